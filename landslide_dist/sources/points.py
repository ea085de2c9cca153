"""Labelled points as a sparse raster: 1 and 0 at the points, 255 elsewhere."""

import math
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from landslide_dist.config.sources import PointsSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import Variable
from landslide_dist.sources.band import one_crs
from landslide_dist.sources.files import describe, reason, some
from landslide_dist.sources.layer import LayerQuery, read_features

_TRUE, _FALSE = {"1", "1.0", "true"}, {"0", "0.0", "false"}


@dataclass(frozen=True, eq=False)
class PointBlocks:
    """Labels of single pixels.

    Attributes:
        variable: What it fills.
        grid: Target grid.
        path: The file.
        pixels: Labelled pixels, row * width + column, ascending, shape (pixels,).
        labels: Their labels, shape (pixels,).
        points: Row, column of each point itself, shape (points, 2).
    """

    variable: Variable
    grid: Grid
    path: str
    pixels: NDArray[np.int64]
    labels: NDArray[np.uint8]
    points: NDArray[np.int64]

    def read(self, window: Window) -> NDArray[Any]:
        """A block, shape (height, width)."""
        block: NDArray[Any] = np.full(window.shape, self.variable.nodata, self.variable.dtype)
        width = self.grid.width
        first, last = np.searchsorted(self.pixels, [window.y0 * width, window.y1 * width])
        rows, columns = np.divmod(self.pixels[first:last], width)
        inside = (columns >= window.x0) & (columns < window.x1)
        block[rows[inside] - window.y0, columns[inside] - window.x0] = self.labels[first:last][
            inside
        ]
        return block

    def provenance(self) -> list[dict[str, Any]]:
        """The file."""
        return describe(self.path)

    def require(self, window: Window, allowed: NDArray[np.bool_], problem: str) -> None:
        """Refuse points in pixels of a window that are not allowed.

        Args:
            window: Block of the grid.
            allowed: Shape (height, width) of the window.
            problem: What is wrong with such a point, for the message.

        Raises:
            DataError: There are such points.
        """
        rows, columns = self.points[:, 0] - window.y0, self.points[:, 1] - window.x0
        height, width = window.shape
        here = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        refused = self.points[here][~allowed[rows[here], columns[here]]]
        if len(refused):
            raise DataError(
                f"{self.path!r}: {len(refused)} labelled points {problem}, the first at "
                f"{_place(self.grid, *refused[0])}; remove them or correct their coordinates"
            )


def open_points(config: PointsSource, variable: Variable, grid: Grid) -> PointBlocks:
    """Read labelled points and place them on the grid.

    Raises:
        DataError: The file is missing or empty, lacks columns or CRS, holds labels other than 0
            and 1 or coordinates that are no numbers, points lie outside the grid, or one pixel
            has both labels.
        ConfigError: A CSV comes without a CRS.
    """
    frame = _read(config)
    _check_coordinates(frame, config.path)
    labels = _labels(frame, config)
    projected = frame.geometry.to_crs(grid.crs)
    x, y = projected.x.to_numpy(), projected.y.to_numpy()
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.all():
        raise DataError(
            f"{config.path!r}: the coordinates of {some(frame.index[~finite])} do not exist in "
            f"{grid.crs}; check the source's crs"
        )
    rows, columns = grid.rows_columns(x, y)
    outside = (rows < 0) | (rows >= grid.height) | (columns < 0) | (columns >= grid.width)
    if outside.any():
        first = int(np.argmax(outside))
        raise DataError(
            f"{config.path!r}: {outside.sum()} of {len(x)} points lie outside the grid, the first "
            f"at x {x[first]:.10g}, y {y[first]:.10g} in {grid.crs}; check crs, x and y, or remove "
            "them"
        )
    pixels, pixel_labels = _label_pixels(config, grid, x, y, labels)
    points = np.stack([rows, columns], axis=1)
    return PointBlocks(variable, grid, config.path, pixels, pixel_labels, points)


def _read(config: PointsSource) -> gpd.GeoDataFrame:
    """Points with their CRS and, if one is configured, the column of labels."""
    if PurePath(config.path).suffix.lower() == ".csv":
        return _read_csv(config)
    query = LayerQuery(config.path, config.layer, None, config.crs, config.label, "")
    frame = read_features(query)
    kinds = sorted(set(frame.geom_type) - {"Point"})
    if kinds:
        raise DataError(
            f"{config.path!r} holds {some(kinds)} where points are needed; for polygons use "
            "kind: vector"
        )
    return frame


def _read_csv(config: PointsSource) -> gpd.GeoDataFrame:
    if config.crs is None:
        raise ConfigError(f"{config.path!r}: a CSV states no CRS; give the source's crs")
    wanted = [config.x, config.y] + ([] if config.label is None else [config.label])
    try:
        table = pd.read_csv(config.path)
    except (OSError, ValueError) as error:
        raise DataError(f"{config.path!r} cannot be read: {reason(error)}") from error
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        present = some(table.columns, 60)
        raise DataError(f"{config.path!r} has no column {some(missing)}; it has {present}")
    if table.empty:
        raise DataError(f"{config.path!r} has no points")
    x, y = (pd.to_numeric(table[name], errors="coerce") for name in (config.x, config.y))
    # Lines are counted as an editor does: the header is line 1.
    table.index = pd.Index(np.arange(len(table)) + 2).map("line {}".format)
    crs = one_crs(config.path, None, config.crs)
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x.to_numpy(), y.to_numpy()), crs=crs)


def _check_coordinates(frame: gpd.GeoDataFrame, path: str) -> None:
    finite = np.isfinite(frame.geometry.x) & np.isfinite(frame.geometry.y)
    if not finite.all():
        raise DataError(
            f"{path!r}: coordinates are no numbers at {some(frame.index[~finite])}; "
            "remove or correct them"
        )


def _labels(frame: gpd.GeoDataFrame, config: PointsSource) -> NDArray[np.uint8]:
    if config.label is None:
        return np.ones(len(frame), np.uint8)
    texts = frame[config.label].map(lambda value: str(value).strip().lower())
    wrong = sorted(set(texts) - _TRUE - _FALSE)
    if wrong:
        raise DataError(
            f"{config.path!r}: column {config.label!r} holds {some(map(repr, wrong))}; "
            "labels are 1 and 0, or true and false"
        )
    labels: NDArray[np.uint8] = texts.isin(_TRUE).to_numpy().astype(np.uint8)
    return labels


def _label_pixels(
    config: PointsSource,
    grid: Grid,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    labels: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Every labelled pixel once, ascending, and its label."""
    positive = _pixels_near(grid, x[labels == 1], y[labels == 1], config.buffer_m)
    negative = _pixels_near(grid, x[labels == 0], y[labels == 0], config.buffer_m)
    both = np.intersect1d(positive, negative, assume_unique=True)
    if both.size and config.conflict == "error":
        place = _place(grid, *divmod(int(both[0]), grid.width))
        raise DataError(
            f"{config.path!r}: {both.size} pixels are labelled both landslide and no landslide, "
            f"the first at {place}; remove one of the points, or set prefer: landslide"
        )
    negative = np.setdiff1d(negative, both, assume_unique=True)
    pixels = np.concatenate([positive, negative])
    order = np.argsort(pixels)
    values = np.concatenate([np.ones(len(positive), np.uint8), np.zeros(len(negative), np.uint8)])
    return pixels[order], values[order]


def _pixels_near(
    grid: Grid, x: NDArray[np.float64], y: NDArray[np.float64], buffer_m: float
) -> NDArray[np.int64]:
    """The pixels that hold a point, and those whose centre is within the buffer; unique."""
    rows, columns = grid.rows_columns(x, y)
    found = [rows * grid.width + columns]
    reach = math.ceil(buffer_m / grid.pixel_m) if buffer_m else -1
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            row, column = rows + dy, columns + dx
            inside = (row >= 0) & (row < grid.height) & (column >= 0) & (column < grid.width)
            row, column = row[inside], column[inside]
            distance = np.hypot(grid.x[column] - x[inside], grid.y[row] - y[inside])
            near = distance <= buffer_m
            found.append(row[near] * grid.width + column[near])
    return np.unique(np.concatenate(found))


def _place(grid: Grid, row: int, column: int) -> str:
    return f"x {grid.x[column]:.10g}, y {grid.y[row]:.10g} (row {row}, column {column})"
