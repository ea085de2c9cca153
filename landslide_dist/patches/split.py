"""Divides the labels into parts or folds: the values of the split raster.

A plan is small (one value a cell, or one a label) and picklable; blocks of the raster are computed
from it independently. ``random`` (LACNN paper, section 4.2) and ``block`` give whole cells, which
are patch cores or squares of several, to a part; ``random_labels`` and ``kmeans_labels`` give it
single labelled pixels.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from landslide_dist.config.split import OF_LABELS, SplitConfig
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid, Window
from landslide_dist.patches.cells import CellGrid
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.order import permutation
from landslide_dist.patches.reader import PatchReader
from landslide_dist.patches.split_regions import plan_regions
from landslide_dist.schema import UNLABELLED

#: Cores on a side of a block where ``block_px`` is not given.
BLOCK_CORES = 4
#: Splits of single labels hold them all in memory; this many take 100 MB.
MAX_LABELS = 10_000_000

Parts = NDArray[np.uint8]


class SplitPlan(Protocol):
    """Which part each labelled pixel belongs to."""

    def block(self, window: Window, landslide: Parts) -> Parts:
        """The split raster in a window.

        Args:
            window: Pixels inside the raster.
            landslide: Labels there, 255 where there is none.

        Returns:
            uint8 of the window's shape: part or fold, 255 where unlabelled or in a buffer.
        """
        ...


@dataclass(frozen=True)
class CellPlan:
    """Whole cells belong to a part; near another part their pixels are masked.

    Attributes:
        cell_px: Side of a cell.
        parts: Part of each cell, -1 for cells without labels, ``(cell row, cell column)`` int16.
        reach_px: A pixel is masked if a cell of another part lies within this Chebyshev distance.
        symmetric: Every part yields to every other (folds), rather than lower parts to higher ones
            (training to validation, both to test).
    """

    cell_px: int
    parts: NDArray[np.int16]
    reach_px: int = 0
    symmetric: bool = False

    def block(self, window: Window, landslide: Parts) -> Parts:
        """The split raster in a window; see :class:`SplitPlan`."""
        rows, row_of = self._stripes(window.y0, window.height, self.parts.shape[0])
        columns, column_of = self._stripes(window.x0, window.width, self.parts.shape[1])
        own = self.parts[np.ix_(rows[:, 0], columns[:, 0])]
        masked = (own < 0) | (_over_boxes(np.maximum, self.parts, rows, columns) > own)
        if self.symmetric:
            masked |= _over_boxes(np.minimum, self.parts, rows, columns) < own
        part_of_stripe = np.where(masked, UNLABELLED, own).astype(np.uint8)
        part = part_of_stripe[np.ix_(row_of, column_of)]
        part[landslide == UNLABELLED] = UNLABELLED
        return part

    def _stripes(
        self, start: int, length: int, num_cells: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Runs of rows (or columns) that see the same cells.

        Returns:
            ``(stripe, 3)``: own cell, first and last cell within reach; and the stripe of each row.
        """
        at = np.arange(start, start + length, dtype=np.int64)
        reach = np.stack([at, at - self.reach_px, at + self.reach_px], axis=1) // self.cell_px
        stripes, stripe_of = np.unique(
            np.clip(reach, 0, num_cells - 1), axis=0, return_inverse=True
        )
        return stripes, stripe_of.ravel()


@dataclass(frozen=True)
class LabelPlan:
    """Single labelled pixels belong to a part.

    Attributes:
        width: Columns of the raster.
        pixels: Labelled pixels as ``row * width + column``, ascending.
        parts: Part of each.
    """

    width: int
    pixels: NDArray[np.int64]
    parts: Parts

    def block(self, window: Window, landslide: Parts) -> Parts:
        """The split raster in a window; see :class:`SplitPlan`."""
        first, last = np.searchsorted(self.pixels, [window.y0 * self.width, window.y1 * self.width])
        rows, columns = np.divmod(self.pixels[first:last], self.width)
        inside = (columns >= window.x0) & (columns < window.x1)
        part = np.full(window.shape, UNLABELLED, dtype=np.uint8)
        part[rows[inside] - window.y0, columns[inside] - window.x0] = self.parts[first:last][inside]
        part[landslide == UNLABELLED] = UNLABELLED
        return part


def plan_split(
    config: SplitConfig,
    grid: Grid,
    core_px: int,
    buffer_px: int,
    reader: PatchReader,
    windows: Iterable[Window],
) -> SplitPlan:
    """Divide the labels of a region.

    Args:
        config: How.
        grid: The region's grid.
        core_px: Side of a patch core.
        buffer_px: Chebyshev distance that parts of ``block`` and ``regions`` stay apart by; no
            other kind has one.
        reader: Gives ``landslide``.
        windows: Blocks that cover the raster once.

    Raises:
        ConfigError: There are fewer labels than folds, or too many for a split of single labels.
        DataError: The polygons of the parts cannot be read, or overlap.
    """
    if config.kind in OF_LABELS:
        return _plan_labels(config, grid, reader, windows)
    if config.regions is not None:
        return plan_regions(config.regions, grid, buffer_px)
    cell_px = core_px
    if config.kind == "block":
        cell_px = config.block_px or BLOCK_CORES * core_px
    parts = _draw_cells(config, _labelled_cells(CellGrid(grid.shape, cell_px), reader, windows))
    if config.kind == "random" or not buffer_px:
        return CellPlan(cell_px, parts)
    if config.folds is None:
        return CellPlan(cell_px, parts, buffer_px)
    # Folds have no roles yet, so both sides of a border yield half of the buffer. Cells without
    # labels go to the nearest fold: then there is a border between any two folds to count from.
    nearest = distance_transform_edt(parts < 0, return_distances=False, return_indices=True)
    return CellPlan(cell_px, parts[tuple(nearest)], -(-buffer_px // 2), symmetric=True)


def check_parts(config: SplitConfig, index: PatchIndex) -> None:
    """Refuse a split of which a part cannot be trained on or scored.

    Args:
        config: The split.
        index: Counts of the finished split raster.

    Raises:
        ConfigError: A part or fold has no labels, or none of one class; says which.
    """
    for name, values in _named_parts(config).items():
        num_labelled, num_positive = index.totals(values)
        if 0 < num_positive < num_labelled:
            continue
        missing = "landslides" if num_labelled else "labels"
        if num_labelled and num_positive:
            missing = "pixels without landslide"
        raise ConfigError(
            f"split {config.kind!r} with seed {config.seed} leaves {name} no {missing} "
            f"({num_labelled} labelled pixels); {_remedy(config)}"
        )


def _named_parts(config: SplitConfig) -> Mapping[str, frozenset[int]]:
    if config.folds is not None:
        return {f"fold {fold}": frozenset({fold}) for fold in range(config.folds)}
    if config.regions is not None:
        return config.parts()
    wanted = zip(config.parts().items(), config.fractions, strict=True)
    return {name: values for (name, values), fraction in wanted if fraction}


def _remedy(config: SplitConfig) -> str:
    if config.regions is not None:
        return "draw its polygons over labels of both kinds"
    cell = {"random": ", a smaller patches.core_px", "block": ", a smaller split.block_px"}
    share = "fewer split.folds" if config.folds else "other split.fractions"
    return f"try another split.seed{cell.get(config.kind, '')} or {share}"


def _labelled_cells(
    cells: CellGrid, reader: PatchReader, windows: Iterable[Window]
) -> NDArray[np.bool_]:
    counts = np.zeros(cells.num_cells, dtype=np.int64)
    for window in windows:
        landslide = reader.read(window, ("landslide",))["landslide"]
        cells.add(counts, window, landslide != UNLABELLED)
    return counts > 0


def _draw_cells(config: SplitConfig, labelled: NDArray[np.bool_]) -> NDArray[np.int16]:
    parts = np.full(labelled.shape, -1, dtype=np.int16)
    parts[labelled] = _draw(config, int(labelled.sum()))
    return parts


def _draw(config: SplitConfig, count: int) -> Parts:
    """Random parts of ``count`` cells or labels, in shares as near as possible to those wanted."""
    folds = config.folds
    fractions = np.asarray(config.fractions if folds is None else [1 / folds] * folds)
    part_of_place = np.repeat(np.arange(len(fractions)), largest_remainder(fractions, count))
    parts = np.empty(count, dtype=np.uint8)
    parts[permutation(count, config.seed)] = part_of_place
    return parts


def largest_remainder(fractions: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Whole shares of ``count`` nearest to ``fractions``, which sum to 1; ties go to the first."""
    # Rounding keeps 0.8 * 10 from being a little less than 8.
    exact = np.round(fractions * count, 9)
    shares = np.floor(exact).astype(np.int64)
    most_due = np.argsort(shares - exact, kind="stable")
    shares[most_due[: count - shares.sum()]] += 1
    return shares


def _plan_labels(
    config: SplitConfig, grid: Grid, reader: PatchReader, windows: Iterable[Window]
) -> LabelPlan:
    pixels = _labelled_pixels(config, grid, reader, windows)
    if config.kind == "random_labels":
        return LabelPlan(grid.width, pixels, _draw(config, len(pixels)))
    num_clusters = config.folds
    if num_clusters is None or len(pixels) < num_clusters:
        raise ConfigError(f"{len(pixels)} labels cannot make {num_clusters} folds")
    rows, columns = np.divmod(pixels, grid.width)
    coordinates = np.stack([grid.x[columns], grid.y[rows]], axis=1)
    # One thread adds the coordinates up in one order: the same seed gives the same clusters.
    with threadpool_limits(1):
        clusters = KMeans(num_clusters, n_init=10, random_state=config.seed).fit_predict(
            coordinates
        )
    return LabelPlan(grid.width, pixels, clusters.astype(np.uint8))


def _labelled_pixels(
    config: SplitConfig, grid: Grid, reader: PatchReader, windows: Iterable[Window]
) -> NDArray[np.int64]:
    found: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    num_labels = 0
    for window in windows:
        landslide = reader.read(window, ("landslide",))["landslide"]
        rows, columns = np.nonzero(landslide != UNLABELLED)
        found.append((rows + window.y0) * grid.width + columns + window.x0)
        num_labels += len(rows)
        if num_labels > MAX_LABELS:
            raise ConfigError(
                f"split {config.kind!r} is for sparse labels and the cube has more than "
                f"{MAX_LABELS} labelled pixels; use split.kind random or block"
            )
    return np.sort(np.concatenate(found))


def _over_boxes(
    extreme: np.ufunc,
    parts: NDArray[np.int16],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
) -> NDArray[np.int16]:
    """Largest or smallest part in the box of cells that each pair of stripes sees."""
    by_row = np.stack([extreme.reduce(parts[a : b + 1], axis=0) for _, a, b in rows])
    by_box = [extreme.reduce(by_row[:, a : b + 1], axis=1) for _, a, b in columns]
    return np.asarray(np.stack(by_box, axis=1))
