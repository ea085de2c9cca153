"""What makes computed blocks independent of their windows: one fixed tiling of the grid.

A resampled or rasterised pixel may differ in its last bit with the window it is computed in, since
GDAL counts coordinates from the window's corner. So whole tiles are computed, and a block is cut
out of them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.schema import Variable

#: Side of a tile; less where one tile would need too many pixels of a finer source.
TILE_PX = 512


def from_tiles(
    window: Window,
    shape: tuple[int, int],
    variable: Variable,
    compute: Callable[[Window], NDArray[Any]],
    tile_px: int = TILE_PX,
) -> NDArray[Any]:
    """A block cut out of whole tiles.

    Args:
        window: The block, inside the grid.
        shape: Rows and columns of the grid.
        variable: Gives the dtype.
        compute: Makes one whole tile, shape (tile height, tile width).
        tile_px: Side of the tiles; tiles at the grid's edges are smaller.
    """
    block: NDArray[Any] = np.empty(window.shape, variable.dtype)
    for tile in _tiles(window, shape, tile_px):
        common = tile.intersect(window)
        block[common.relative_to(window).slices] = compute(tile)[common.relative_to(tile).slices]
    return block


def _tiles(window: Window, shape: tuple[int, int], tile_px: int) -> Iterator[Window]:
    for y0 in range(window.y0 // tile_px * tile_px, window.y1, tile_px):
        for x0 in range(window.x0 // tile_px * tile_px, window.x1, tile_px):
            yield Window(y0, x0, tile_px, tile_px).clip(shape)
