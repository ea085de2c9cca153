"""Which patches there are: the regular grid of cores, and what each holds of every part.

Nothing is dropped but cores without any label of the wanted part; cores at the far edges reach
beyond the raster.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.patches.cells import CellGrid
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import UNLABELLED

#: Cores on a side of the blocks that samples are grouped by; the first that leaves enough blocks.
BLOCK_CORES = (4, 2, 1)
#: Blocks a lane should get for the lanes to be of nearly equal length.
BLOCKS_PER_LANE = 4


@dataclass(frozen=True)
class Patches:
    """The patches of one part.

    Attributes:
        core_px: Side of a core.
        stride_px: What origins are multiples of: less than ``core_px`` where cores overlap.
        origins: ``(patch, 2)`` row and column of each core's upper-left pixel, in row order.
        num_labelled: Labelled pixels of the part in each core, at least 1.
        num_positive: Landslide pixels among them.
    """

    core_px: int
    stride_px: int
    origins: NDArray[np.int64]
    num_labelled: NDArray[np.int64]
    num_positive: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.origins)

    def copies(self, oversample: int) -> NDArray[np.int64]:
        """How often each patch appears in an epoch: ``oversample`` times with a landslide, or once.

        Landslides of other parts do not count: the loss cannot see them (LACNN paper, section 4.2).
        """
        return np.where(self.num_positive > 0, oversample, 1).astype(np.int64)

    def blocks(self, num_lanes: int, block_cores: int | None = None) -> NDArray[np.int64]:
        """Block of each patch: neighbouring cores, that one read can serve.

        Args:
            num_lanes: Lanes that the blocks are dealt to.
            block_cores: Side of a block in cores; None: as large as leaves every lane a few.
        """
        cores = self.origins // self.stride_px
        width = int(cores[:, 1].max(initial=0)) + 1
        for side in BLOCK_CORES if block_cores is None else (block_cores,):
            rows, columns = (cores // side).T
            blocks = rows * width + columns
            if len(np.unique(blocks)) >= BLOCKS_PER_LANE * num_lanes:
                break
        return np.asarray(blocks, dtype=np.int64)


@dataclass(frozen=True)
class PatchIndex:
    """Labels of each value of the split raster in every core.

    Attributes:
        core_px: Side of a core, or of what cores that overlap are made of.
        num_labelled: ``(value, core row, core column)`` labelled pixels.
        num_positive: Landslide pixels among them.
    """

    core_px: int
    num_labelled: NDArray[np.int64]
    num_positive: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        reader: PatchReader,
        windows: Iterable[Window],
        shape: tuple[int, int],
        core_px: int,
        num_values: int,
    ) -> "PatchIndex":
        """Count the labels of a region, block by block.

        Args:
            reader: Gives ``landslide`` and ``split``.
            windows: Blocks that cover the raster once.
            shape: Rows and columns of the raster.
            core_px: Side of a core.
            num_values: Values of the split raster: ``SplitConfig.folds``, or 3.
        """
        cells = CellGrid(shape, core_px)
        num_labelled = np.zeros((num_values, *cells.num_cells), dtype=np.int64)
        num_positive = np.zeros_like(num_labelled)
        for window in windows:
            planes = reader.read(window, ("landslide", "split"))
            for value in np.unique(planes["split"]):
                if value != UNLABELLED:
                    of_value = planes["split"] == value
                    positive = of_value & (planes["landslide"] == 1)
                    cells.add(num_labelled[value], window, of_value)
                    cells.add(num_positive[value], window, positive)
        return cls(core_px, num_labelled, num_positive)

    def select(self, values: Collection[int], side: int = 1, step: int | None = None) -> Patches:
        """Patches with labels of a part, which is one or more values of the split raster.

        Args:
            values: Of the split raster.
            side: Side of a patch in cells of this index.
            step: Cells from one patch to the next, less than ``side`` where they overlap; None:
                ``side``.
        """
        chosen, step = sorted(values), step or side
        num_labelled, num_positive = (
            _over_squares(counts[chosen].sum(axis=0), side)[::step, ::step]
            for counts in (self.num_labelled, self.num_positive)
        )
        rows, columns = np.nonzero(num_labelled)
        return Patches(
            side * self.core_px,
            step * self.core_px,
            np.stack([rows, columns], axis=1) * step * self.core_px,
            num_labelled[rows, columns],
            num_positive[rows, columns],
        )

    def totals(self, values: Collection[int]) -> tuple[int, int]:
        """Labelled pixels of a part, and landslide pixels among them."""
        patches = self.select(values)
        return int(patches.num_labelled.sum()), int(patches.num_positive.sum())


def _over_squares(counts: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Sum over the square of cells that begins at each; cells beyond the last hold nothing."""
    padded = np.pad(counts, (0, side - 1))
    squares = sliding_window_view(padded, (side, side))
    return np.asarray(squares.sum(axis=(2, 3), dtype=np.int64))
