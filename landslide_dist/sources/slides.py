"""Landslides as bodies: where they start, what they cover, and how likely a pixel is covered.

Every pixel starts a landslide with a probability of its own, independent of all others; its body is
an ellipse that begins there and lies downslope. So a pixel is spared if none of the bodies that
would cover it starts, and its probability is the exact product over them.
"""

from functools import cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.kernels.uphill import uphill_index

#: The highest pixel of this ring says where uphill is.
DIRECTION_PX = 3
#: Semi-axes of a body along and across the slope, and how far downslope its centre lies.
LENGTH_PX, WIDTH_PX, SHIFT_PX = 7.0, 3.5, 5.0
#: No body reaches farther from its start.
REACH_PX = 12


@cache
def bodies() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Offsets (dy, dx) of the body of each uphill direction, and how many each has.

    Returns:
        Shapes (directions, largest body, 2) and (directions,); the last direction is "none", whose
        body is a disc.
    """
    side = np.arange(-REACH_PX, REACH_PX + 1)
    dy, dx = np.meshgrid(side, side, indexing="ij")
    shapes = []
    for uphill_y, uphill_x in ring_offsets(DIRECTION_PX):
        length = np.hypot(uphill_y, uphill_x)
        down = -(dy * uphill_y + dx * uphill_x) / length - SHIFT_PX
        across = (dy * uphill_x - dx * uphill_y) / length
        shapes.append((down / LENGTH_PX) ** 2 + (across / WIDTH_PX) ** 2 <= 1)
    shapes.append(dy**2 + dx**2 <= LENGTH_PX * WIDTH_PX)
    counts = np.array([shape.sum() for shape in shapes])
    offsets = np.zeros((len(shapes), counts.max(), 2), dtype=np.int64)
    for number, shape in enumerate(shapes):
        offsets[number, : counts[number]] = np.argwhere(shape) - REACH_PX
    return offsets, counts


def directions(elevation: NDArray[np.float32]) -> NDArray[np.int64]:
    """Which of the bodies lies downslope of each pixel, shape (height, width)."""
    last = len(ring_offsets(DIRECTION_PX))
    return np.minimum(uphill_index(elevation, DIRECTION_PX).astype(np.int64), last)


def start_rate(rate: NDArray[np.float64], direction: NDArray[np.int64]) -> NDArray[np.float64]:
    """Starts a pixel such that, were it so all around, ``rate`` bodies would lie over each."""
    _, counts = bodies()
    return rate / counts[direction]


def coverage(starts: NDArray[np.float64], direction: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability that at least one body covers each pixel.

    Args:
        starts: Rate of starts r of each pixel; it starts a body with probability 1 - exp(-r).
        direction: Body of each pixel.

    Returns:
        1 - prod(exp(-r_i)) over the pixels i whose body covers a pixel; exact where all pixels
        within ``REACH_PX`` are part of the arrays.
    """
    expected = np.zeros(starts.shape)
    _add_bodies(starts, direction, *bodies(), expected)
    return -np.expm1(-expected)


def covered(started: NDArray[np.bool_], direction: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels under the bodies that started; exact where :func:`coverage` is."""
    expected = np.zeros(started.shape)
    _add_bodies(started.astype(np.float64), direction, *bodies(), expected)
    return expected > 0


@njit(nogil=True, cache=True)
def _add_bodies(
    amounts: NDArray[np.float64],
    direction: NDArray[np.int64],
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Add each pixel's amount over its body; in raster order, so that sums have one order."""
    height, width = out.shape
    for y in range(height):
        for x in range(width):
            amount = amounts[y, x]
            if amount == 0:
                continue
            body = direction[y, x]
            for k in range(counts[body]):
                row, column = y + offsets[body, k, 0], x + offsets[body, k, 1]
                if 0 <= row < height and 0 <= column < width:
                    out[row, column] += amount
