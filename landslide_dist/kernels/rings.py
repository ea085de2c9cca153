"""Rings at looking distances: which pixels lie at a distance, in which order.

A ring of radius r holds all offsets with (2r - 1)^2 <= 4 (dy^2 + dx^2) < (2r + 1)^2, clockwise from
north.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.errors import ConfigError

#: Largest number of ring pixels that uint8 can number beside "none".
MAX_UINT8_RING = 254


def radius_px(distance_m: float, pixel_m: float) -> int:
    """Radius of a looking distance: floor(distance / pixel + 0.5).

    Raises:
        ConfigError: The distance is less than half a pixel, or either is not a length.
    """
    if not (np.isfinite(distance_m) and np.isfinite(pixel_m) and pixel_m > 0):
        raise ConfigError(
            f"looking distance {distance_m:g} m on pixels of {pixel_m:g} m: both must be finite "
            "and the pixel above 0"
        )
    radius = int(np.floor(distance_m / pixel_m + 0.5))
    if radius < 1:
        raise ConfigError(
            f"looking distance {distance_m:g} m is below one pixel of {pixel_m:g} m; usable are "
            f"{pixel_m:g}, {3 * pixel_m:g}, {10 * pixel_m:g} m and the like"
        )
    return radius


def ring_radii(distances_m: Sequence[float], pixel_m: float) -> tuple[int, ...]:
    """Radius of each looking distance.

    Raises:
        ConfigError: A distance is below a pixel, or two fall on the same ring.
    """
    radii = tuple(radius_px(distance, pixel_m) for distance in distances_m)
    for radius in radii:
        same = [d for d, r in zip(distances_m, radii, strict=True) if r == radius]
        if len(same) > 1:
            raise ConfigError(
                f"looking distances {' and '.join(f'{d:g}' for d in same)} m are the same ring of "
                f"{radius} px on {pixel_m:g} m pixels; usable are whole multiples of {pixel_m:g} m"
            )
    return radii


@cache
def ring_offsets(radius_px: int) -> NDArray[np.int64]:
    """Offsets of a ring, clockwise from north.

    Args:
        radius_px: Radius, at least 1.

    Returns:
        ``(n, 2)`` int64 of (dy, dx), read-only; 16, 56 and 200 pixels at 3, 10 and 30 px.
    """
    side = np.arange(-radius_px - 1, radius_px + 2)
    dy, dx = (a.ravel() for a in np.meshgrid(side, side, indexing="ij"))
    four_squares = 4 * (dy**2 + dx**2)
    inside = (four_squares >= (2 * radius_px - 1) ** 2) & (four_squares < (2 * radius_px + 1) ** 2)
    dy, dx = dy[inside], dx[inside]
    clockwise = np.mod(np.arctan2(dx, -dy), 2 * np.pi)
    # Pixels in one direction are told apart by their distance, so that the order is complete.
    order = np.lexsort((dy**2 + dx**2, np.round(clockwise, 12)))
    offsets = np.stack([dy[order], dx[order]], axis=1).astype(np.int64)
    offsets.flags.writeable = False
    return offsets


def index_dtype(radius_px: int) -> np.dtype[Any]:
    """Smallest dtype that numbers a ring's pixels and "none", which is its maximum."""
    return np.dtype(np.uint8 if len(ring_offsets(radius_px)) <= MAX_UINT8_RING else np.uint16)
