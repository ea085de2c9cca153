"""A raster of any CRS and resolution onto the target grid, through GDAL's warper.

Values are made meaningful (range, nodata, codes) before they are resampled: nothing out of range
bleeds into a neighbour, and ``mode`` counts classes rather than raster values.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.sources.band import Band
from landslide_dist.sources.tiles import TILE_PX

#: Raw pixels along a side that one tile may need: what it costs in memory.
_SOURCE_PX = 4096
#: Largest error of a warped position, source pixels; GDAL's usual eighth of a pixel is too coarse.
_TOLERANCE_PX = 1e-6
#: Misplacement over a whole raster, pixels, below which two grids are the same.
_SAME_PX = 1e-3
#: Points along each side of a tile's outline.
_OUTLINE_POINTS = 21

#: Makes raw values, and where they are data, into values of the variable.
Meaning = Callable[[NDArray[Any], NDArray[np.bool_]], NDArray[Any]]


@dataclass(frozen=True)
class Placement:
    """How a band lies on the grid."""

    band: Band
    grid: Grid

    @cached_property
    def offset(self) -> tuple[int, int] | None:
        """Grid row and column of the band's first pixel if both share their pixels, else None."""
        ours, theirs = self.grid.transform, self.band.transform
        if CRS.from_user_input(self.grid.crs) != CRS.from_wkt(self.band.crs):
            return None
        step = ~ours @ theirs
        longest = max(self.band.shape)
        shears = abs(step.b), abs(step.d), abs(step.a - 1), abs(step.e - 1)
        row, column = round(step.f), round(step.c)
        if longest * max(shears) > _SAME_PX:
            return None
        if max(abs(step.f - row), abs(step.c - column)) > _SAME_PX:
            return None
        return row, column

    @cached_property
    def shrinkage(self) -> tuple[float, float]:
        """Band rows and columns per grid pixel, in the middle of what both cover.

        Raises:
            DataError: They have no pixel in common.
        """
        common = self.band_window(Window(0, 0, *self.grid.shape), margin_px=0)
        if not (common.height and common.width):
            raise DataError(self._no_overlap())
        middle = self.band.transform @ (
            (common.x0 + common.x1) / 2,
            (common.y0 + common.y1) / 2,
        )
        x, y = _project([middle[0]], [middle[1]], self.band.crs, self.grid.crs)
        step = self.grid.pixel_m / 2
        columns, rows = self._band_pixels(
            [x[0] - step, x[0] + step, x[0], x[0]], [y[0], y[0], y[0] - step, y[0] + step]
        )
        along_x = math.hypot(columns[1] - columns[0], rows[1] - rows[0])
        along_y = math.hypot(columns[3] - columns[2], rows[3] - rows[2])
        return along_y, along_x

    @property
    def shrinks(self) -> bool:
        """Whether a pixel of the grid is larger than one of the band."""
        return math.prod(self.shrinkage) > 1 + 1e-3

    @cached_property
    def tile_px(self) -> int:
        """Side of a tile such that its part of the band fits in memory."""
        tile_px = TILE_PX
        while tile_px > 1 and tile_px * max(self.shrinkage) > _SOURCE_PX:
            tile_px //= 2
        return tile_px

    def is_inside(self, window: Window) -> bool:
        """Whether a window of the grid lies inside the band as a whole."""
        under = self._under(window)
        return under == under.clip(self.band.shape)

    def covers(self, window: Window) -> NDArray[np.bool_]:
        """Pixels of a window of the grid whose centres lie in the band, shape (height, width)."""
        rows, columns = window.slices
        x, y = np.meshgrid(self.grid.x[columns], self.grid.y[rows])
        band_x, band_y = self._band_pixels(x.ravel(), y.ravel())
        height, width = self.band.shape
        inside = (band_x >= 0) & (band_x < width) & (band_y >= 0) & (band_y < height)
        return inside.reshape(window.shape)

    def band_window(self, window: Window, margin_px: int) -> Window:
        """The part of the band that lies under a window of the grid, clipped to the band."""
        return self._under(window).expand(margin_px).clip(self.band.shape)

    def _under(self, window: Window) -> Window:
        left, bottom, right, top = self.grid.window_bounds(window)
        along = np.linspace(0, 1, _OUTLINE_POINTS)
        x, y = left + along * (right - left), bottom + along * (top - bottom)
        same = np.ones_like(along)
        columns, rows = self._band_pixels(
            np.concatenate([x, x, left * same, right * same]),
            np.concatenate([bottom * same, top * same, y, y]),
        )
        finite = np.isfinite(columns) & np.isfinite(rows)
        if not finite.any():
            return Window(0, 0, 0, 0)
        # Rounding to a millionth: neighbours that only touch share no pixel.
        y0, x0 = (math.floor(v[finite].min() + 1e-6) for v in (rows, columns))
        y1, x1 = (math.ceil(v[finite].max() - 1e-6) for v in (rows, columns))
        return Window(y0, x0, y1 - y0, x1 - x0)

    def _band_pixels(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns and rows of the band at map coordinates of the grid."""
        xs, ys = _project(x, y, self.grid.crs, self.band.crs)
        inverse = ~self.band.transform
        return (
            inverse.a * xs + inverse.b * ys + inverse.c,
            inverse.d * xs + inverse.e * ys + inverse.f,
        )

    def _no_overlap(self) -> str:
        height, width = self.band.shape
        corners = [self.band.transform @ corner for corner in ((0, 0), (width, height))]
        (x0, y0), (x1, y1) = corners
        name = CRS.from_wkt(self.band.crs).to_string()
        return (
            f"{self.band.path!r} covers x {min(x0, x1):.10g} to {max(x0, x1):.10g}, "
            f"y {min(y0, y1):.10g} to {max(y0, y1):.10g} in {name.partition('[')[0]}, which has "
            f"no pixel in common with the grid ({self.grid.crs.partition('[')[0]}, bounds "
            f"{', '.join(f'{b:.10g}' for b in self.grid.bounds)}); check its CRS and cube.grid"
        )


def read_shifted(
    place: Placement, window: Window, meaning: Meaning, nodata: float, dtype: str
) -> NDArray[Any]:
    """A block of a band whose pixels are the grid's: values as they are.

    Args:
        place: Has an offset.
        window: Block of the grid.
        meaning: Makes raw values into the variable's.
        nodata: Beyond the band.
        dtype: Of the variable.
    """
    assert place.offset is not None
    row, column = place.offset
    wanted = Window(window.y0 - row, window.x0 - column, window.height, window.width)
    inside = wanted.clip(place.band.shape)
    block: NDArray[Any] = np.full(window.shape, nodata, dtype)
    if inside.height and inside.width:
        block[inside.relative_to(wanted).slices] = meaning(*place.band.read(inside))
    return block


def warp_tile(
    place: Placement,
    tile: Window,
    meaning: Meaning,
    resampling: Resampling,
    nodata: float,
    dtype: str,
) -> NDArray[Any]:
    """A tile of the grid from a band of any CRS and resolution.

    Args:
        place: Band and grid.
        tile: Window of the grid.
        meaning: Makes raw values into the variable's.
        resampling: GDAL's method.
        nodata: Where there is no value.
        dtype: Of the variable.
    """
    source = place.band_window(tile, margin_px=2 + math.ceil(max(place.shrinkage)))
    if not (source.height and source.width):
        return np.full(tile.shape, nodata, dtype)
    values = meaning(*place.band.read(source))
    shrinks = resampling in (Resampling.average, Resampling.mode)
    scale = (1 / place.shrinkage[0], 1 / place.shrinkage[1]) if shrinks else (1.0, 1.0)
    warped = _warp(
        values,
        CRS.from_wkt(place.band.crs),
        place.band.transform @ Affine.translation(source.x0, source.y0),
        nodata,
        {
            "crs": CRS.from_user_input(place.grid.crs),
            "transform": place.grid.window_transform(tile),
            "height": tile.height,
            "width": tile.width,
            "resampling": resampling,
            # Else GDAL guesses them from the shapes of tile and source.
            "XSCALE": scale[1],
            "YSCALE": scale[0],
        },
    )
    if shrinks and not place.is_inside(tile):
        # These two fill every pixel that the band so much as touches; the others go by centres.
        warped[~place.covers(tile)] = nodata
    return warped


def _warp(
    values: NDArray[Any], crs: CRS, affine: Affine, nodata: float, target: dict[str, Any]
) -> NDArray[Any]:
    """Through a virtual raster: rasterio's ``reproject`` approximates positions to 0.1 pixel."""
    height, width = values.shape
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "nodata": nodata}
    with MemoryFile() as memory:
        with memory.open(
            **profile, height=height, width=width, crs=crs, transform=affine
        ) as dataset:
            dataset.write(values, 1)
        with (
            memory.open() as dataset,
            WarpedVRT(dataset, nodata=nodata, tolerance=_TOLERANCE_PX, **target) as warped,
        ):
            tile: NDArray[Any] = warped.read(1)
            return tile


def _project(
    x: Any, y: Any, from_crs: str, to_crs: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Map coordinates into another CRS; not finite where it has none."""
    source, target = CRS.from_user_input(from_crs), CRS.from_user_input(to_crs)
    xs, ys = transform(source, target, x, y)
    return np.asarray(xs, np.float64), np.asarray(ys, np.float64)
