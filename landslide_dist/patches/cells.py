"""The regular grid of square cells, patch cores or blocks of them, and counting pixels in them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landslide_dist.grid import Window


@dataclass(frozen=True)
class CellGrid:
    """Square cells from the upper-left corner of a raster; those at the far edges may be cut.

    Attributes:
        shape: Rows and columns of the raster.
        cell_px: Side of a cell.
    """

    shape: tuple[int, int]
    cell_px: int

    @property
    def num_cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return -(-self.shape[0] // self.cell_px), -(-self.shape[1] // self.cell_px)

    def add(self, counts: NDArray[np.int64], window: Window, mask: NDArray[np.bool_]) -> None:
        """Add the true pixels of a window to the counts of their cells.

        Args:
            counts: One number a cell, of shape ``num_cells``; changed in place.
            window: Where the mask lies; inside the raster, anywhere relative to the cells.
            mask: Pixels to count, of the window's shape.
        """
        rows, row_starts = self._cut(window.y0, window.height)
        columns, column_starts = self._cut(window.x0, window.width)
        # Columns first: a cell's row of pixels lies together.
        by_column = np.add.reduceat(mask, column_starts, axis=1, dtype=np.int32)
        counts[rows, columns] += np.add.reduceat(by_column, row_starts, axis=0, dtype=np.int64)

    def _cut(self, start: int, length: int) -> tuple[slice, NDArray[np.int64]]:
        """Cells that a run of pixels touches, and where each begins in the run."""
        first, last = start // self.cell_px, (start + length - 1) // self.cell_px
        cells = np.arange(first, last + 1, dtype=np.int64)
        return slice(first, last + 1), np.maximum(cells * self.cell_px - start, 0)
