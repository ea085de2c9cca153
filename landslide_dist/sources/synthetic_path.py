"""Where the ground of a made-up event fails, how a slide runs, and what its body covers.

Positions are rows and columns of the raster, so that sums round alike in every window; only
indices count from a window's corner.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Ground within this distance says whether a place lies high or low.
LOOK_PX = 16
#: Below this gradient rain's slides come to rest, and earthquakes' do.
_REST_RAIN, _REST_QUAKE = 0.12, 0.25


@njit(nogil=True, cache=True)
def suitability(ground: NDArray[np.float32], intensity: float, i: int, j: int, rain: bool) -> float:
    """How readily the ground fails, 0 for never; about 1 is common.

    Args:
        ground: Height in pixels.
        intensity: Of shaking or rain, mean 0, deviation 1.
        i: Row of the array, ``LOOK_PX`` from its edges.
        j: Column.
        rain: Triggered by rain, which gathers in hollows; shaking is strongest on crests.
    """
    here = float(ground[i, j])
    dy = (ground[i + 3, j] - ground[i - 3, j]) / 6.0
    dx = (ground[i, j + 3] - ground[i, j - 3]) / 6.0
    slope = np.sqrt(dy * dy + dx * dx)
    far = LOOK_PX
    around = ground[i - far, j] + ground[i + far, j] + ground[i, j - far] + ground[i, j + far]
    high = here - around / 4.0
    near = ground[i - 6, j] + ground[i + 6, j] + ground[i, j - 6] + ground[i, j + 6]
    hollow = near / 4.0 - here
    strength = max(0.2, 1 + 0.55 * intensity)
    if rain:
        steep = min(1.0, max(0.0, (slope - 0.25) / 0.4))
        place = min(1.0, max(0.04, (hollow + 0.2) / 1.5))
    else:
        steep = min(1.0, max(0.0, (slope - 0.3) / 0.5))
        place = min(1.0, max(0.04, (high - 1.0) / 6.0)) * min(1.0, max(0.2, 0.7 - hollow))
    return float(steep * steep * place * strength * strength)


@njit(nogil=True, cache=True)
def trace(
    ground: NDArray[np.float32],
    corner: tuple[int, int],
    start: tuple[float, float],
    length: int,
    rain: bool,
    margin: int,
    path: NDArray[np.float64],
) -> int:
    """Run downhill, a pixel a step, with some momentum.

    Args:
        ground: Height in pixels.
        corner: Row and column of the raster of its first pixel.
        start: Row and column of the raster.
        length: Steps on steep ground; flat ground takes four times the toll.
        rain: Wet debris follows the valley more closely, and farther.
        margin: Distance from the edges of the array where the path ends; at least 2.
        path: Rows and columns of the points, filled.

    Returns:
        Number of points.
    """
    keep = 0.6 if rain else 0.8
    rest = _REST_RAIN if rain else _REST_QUAKE
    y, x = start
    to_y, to_x = 0.0, 0.0
    left, count = float(length), 0
    while count < len(path):
        i, j = int(np.floor(y)) - corner[0], int(np.floor(x)) - corner[1]
        if i < margin or j < margin:
            break
        if i >= ground.shape[0] - margin or j >= ground.shape[1] - margin:
            break
        path[count, 0], path[count, 1] = y, x
        count += 1
        dy = (ground[i + 2, j] - ground[i - 2, j]) / 4.0
        dx = (ground[i, j + 2] - ground[i, j - 2]) / 4.0
        slope = np.sqrt(dy * dy + dx * dx)
        left -= 4.0 if slope < rest else 1.0
        if left < 0:
            break
        weight = 1 - keep if count > 1 else 1.0
        to_y = (1 - weight) * to_y - weight * dy / (slope + 0.05)
        to_x = (1 - weight) * to_x - weight * dx / (slope + 0.05)
        norm = np.sqrt(to_y * to_y + to_x * to_x)
        if norm < 1e-6:
            break
        to_y, to_x = to_y / norm, to_x / norm
        y, x = y + to_y, x + to_x
    return count


@njit(nogil=True, cache=True)
def profile(
    path: NDArray[np.float64],
    count: int,
    radius: float,
    rain: bool,
    exposure: float,
    edge: NDArray[np.float32],
    y0: int,
    x0: int,
    out: NDArray[np.float32],
) -> None:
    """Cover the discs along a path.

    Args:
        path: Rows and columns of the raster.
        count: Points of it.
        radius: Half the width of the scar, pixels.
        rain: Wide scar, narrow channel, fan; else a teardrop.
        exposure: Share of the ground laid bare.
        edge: Noise that frays the edge, shape (height, width).
        y0: Row of the raster of the window's first pixel.
        x0: Its column.
        out: Depth, along and exposure, shape (3, height, width): the deepest body of each pixel.
    """
    height, width = edge.shape
    for k in range(count):
        along = (k + 0.5) / count
        if rain:
            bell = max(0.0, 1 - abs(along - 0.12) / 0.2) + max(0.0, (along - 0.8) / 0.2)
            disc = radius * (0.62 + 0.55 * bell)
        else:
            disc = radius * (0.75 + 1.6 * along * (1 - along))
        disc = max(0.8, disc)
        y, x = path[k, 0], path[k, 1]
        reach = 1.6 * disc
        for row in range(max(0, int(y - reach) - y0), min(height, int(y + reach) + 2 - y0)):
            for column in range(max(0, int(x - reach) - x0), min(width, int(x + reach) + 2 - x0)):
                dy, dx = row + y0 + 0.5 - y, column + x0 + 0.5 - x
                depth = 1 + edge[row, column] - np.sqrt(dy * dy + dx * dx) / disc
                if depth > out[0, row, column]:
                    out[0, row, column] = depth
                    out[1, row, column] = along
                    out[2, row, column] = exposure
