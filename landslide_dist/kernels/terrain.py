"""Slope, aspect and hillshade from the 3 x 3 neighbourhood (Horn 1981, Proc. IEEE 69, 14-47).

Each output pixel is a fixed sequence of operations on its nine inputs, so any tiling with a halo of
one pixel gives the same bits.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Reach of the 3 x 3 neighbourhood.
HALO_PX = 1


def _arctangent_coefficients() -> NDArray[np.float32]:
    """Polynomial P with arctan(z) = z P(z^2) on [0, 1]; its error is below 2e-8 rad."""
    t = 0.5 * (1 - np.cos(np.pi * (np.arange(64) + 0.5) / 64))
    values = np.arctan(np.sqrt(t)) / np.sqrt(t)
    fit = np.polynomial.Chebyshev.fit(t, values, 9, domain=[0, 1])
    return fit.convert(kind=np.polynomial.Polynomial).coef.astype(np.float32)


_C = tuple(np.float32(c) for c in _arctangent_coefficients())
_DEGREES = np.float32(180 / np.pi)


def slope(elevation: NDArray[Any], pixel_m: float) -> NDArray[np.float32]:
    """Steepest slope.

    Args:
        elevation: ``(y, x)`` metres.
        pixel_m: Pixel size, metres.

    Returns:
        ``(y, x)`` float32 degrees; NaN where any of the nine is NaN or beyond the array.
    """
    out = np.full(elevation.shape, np.nan, dtype=np.float32)
    if min(elevation.shape) > 2:
        _slope(
            np.ascontiguousarray(elevation, dtype=np.float32), np.float32(1 / (8 * pixel_m)), out
        )
    return out


def aspect(elevation: NDArray[Any], pixel_m: float) -> NDArray[np.float32]:
    """Direction in which the ground falls.

    Args:
        elevation: ``(y, x)`` metres.
        pixel_m: Pixel size, metres.

    Returns:
        ``(y, x)`` float32 degrees clockwise from north, in [0, 360); NaN on flat ground and where
        the slope is NaN.
    """
    east, south = _gradient(elevation, pixel_m)
    degrees = np.degrees(np.arctan2(-east, south)) % 360
    degrees[(east == 0) & (south == 0)] = np.nan
    return degrees.astype(np.float32)


def hillshade(
    elevation: NDArray[Any],
    pixel_m: float,
    azimuth_deg: float = 315.0,
    altitude_deg: float = 45.0,
    z_factor: float = 1.0,
) -> NDArray[np.float32]:
    """Light that the ground reflects towards the viewer above.

    Args:
        elevation: ``(y, x)`` metres.
        pixel_m: Pixel size, metres.
        azimuth_deg: Direction of the sun, degrees clockwise from north.
        altitude_deg: Height of the sun over the horizon, degrees.
        z_factor: Exaggeration of heights.

    Returns:
        ``(y, x)`` float32 in [0, 1]; NaN where the slope is NaN.
    """
    east, south = (g * z_factor for g in _gradient(elevation, pixel_m))
    azimuth, altitude = np.radians(azimuth_deg), np.radians(altitude_deg)
    # Scalar product of the sun's direction (east, south, up) with the unit normal of the ground.
    towards_sun = (
        np.sin(altitude) - np.cos(altitude) * (np.sin(azimuth) * east - np.cos(azimuth) * south)
    ) / np.sqrt(1 + east**2 + south**2)
    return np.asarray(np.clip(towards_sun, 0, 1), dtype=np.float32)


def _gradient(
    elevation: NDArray[Any], pixel_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rise per metre towards the east and towards the south (down the rows)."""
    z = elevation.astype(np.float64)
    east, south = np.full((2, *z.shape), np.nan)
    if min(z.shape) > 2:
        left = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
        right = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
        above = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
        below = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
        # The centre has no weight, but where it does not exist there is no ground to be steep.
        centre = 0 * z[1:-1, 1:-1]
        east[1:-1, 1:-1] = (right - left) / (8 * pixel_m) + centre
        south[1:-1, 1:-1] = (below - above) / (8 * pixel_m) + centre
    return east, south


@njit(nogil=True, cache=True)
def _slope(z: NDArray[np.float32], scale: np.float32, out: NDArray[np.float32]) -> None:
    height, width = z.shape
    size = width - 2
    one, right_angle = np.float32(1), np.float32(np.pi / 2)
    for y in range(1, height - 1):
        above, row, below = z[y - 1], z[y], z[y + 1]
        target = out[y]
        for i in range(size):
            x = i + 1
            east = (
                (above[x + 1] - above[x - 1])
                + np.float32(2) * (row[x + 1] - row[x - 1])
                + (below[x + 1] - below[x - 1])
            )
            south = (
                (below[x - 1] - above[x - 1])
                + np.float32(2) * (below[x] - above[x])
                + (below[x + 1] - above[x + 1])
            )
            # The centre only decides whether there is ground: 0 * NaN is NaN.
            rise = np.sqrt(east * east + south * south) * scale + np.float32(0) * row[x]
            # arctan(r) = pi / 2 - arctan(1 / r) keeps the polynomial inside [0, 1], branch-free.
            steep = rise > one
            ratio = (one if steep else rise) / (rise if steep else one)
            t = ratio * ratio
            p = _C[9]
            p = p * t + _C[8]
            p = p * t + _C[7]
            p = p * t + _C[6]
            p = p * t + _C[5]
            p = p * t + _C[4]
            p = p * t + _C[3]
            p = p * t + _C[2]
            p = p * t + _C[1]
            p = p * t + _C[0]
            angle = p * ratio
            target[x] = (right_angle - angle if steep else angle) * _DEGREES
