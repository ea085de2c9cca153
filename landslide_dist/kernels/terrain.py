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
        ``(y, x)`` float32 degrees; NaN where any of the nine is not finite or lies beyond
        the array.
    """
    out = _empty(elevation)
    _slope(_heights(elevation), _scale(pixel_m), out)
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
    out = _empty(elevation)
    _aspect(_heights(elevation), out)
    return out


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
    azimuth, altitude = np.radians(azimuth_deg), np.radians(altitude_deg)
    east, north, up = (
        np.float32(part)
        for part in (
            np.cos(altitude) * np.sin(azimuth),
            np.cos(altitude) * np.cos(azimuth),
            np.sin(altitude),
        )
    )
    out = _empty(elevation)
    _hillshade(_heights(elevation), _scale(pixel_m, z_factor), east, north, up, out)
    return out


def _heights(elevation: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(elevation, dtype=np.float32)


def _empty(elevation: NDArray[Any]) -> NDArray[np.float32]:
    return np.full(elevation.shape, np.nan, dtype=np.float32)


def _scale(pixel_m: float, z_factor: float = 1.0) -> np.float32:
    """From Horn's weighted differences to rise per metre."""
    return np.float32(z_factor / (8 * pixel_m))


@njit(nogil=True, cache=True)
def _rises(
    above: NDArray[np.float32], row: NDArray[np.float32], below: NDArray[np.float32], x: int
) -> tuple[np.float32, np.float32]:
    """Horn's weighted differences towards the east and towards the south (down the rows)."""
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
    return east, south


@njit(nogil=True, cache=True)
def _arctangent(ratio: np.float32) -> np.float32:
    """Radians, for a ratio in [0, 1]."""
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
    return p * ratio


@njit(nogil=True, cache=True, error_model="numpy")
def _slope(z: NDArray[np.float32], scale: np.float32, out: NDArray[np.float32]) -> None:
    height, width = z.shape
    size = width - 2
    one, right_angle = np.float32(1), np.float32(np.pi / 2)
    for y in range(1, height - 1):
        above, row, below = z[y - 1], z[y], z[y + 1]
        target = out[y]
        for i in range(size):
            x = i + 1
            east, south = _rises(above, row, below, x)
            rise = np.sqrt(east * east + south * south) * scale
            # Only decides whether there is ground, also at the centre: 0 * NaN and 0 * inf are NaN.
            rise = rise + np.float32(0) * (row[x] + rise)
            # arctan(r) = pi / 2 - arctan(1 / r) keeps the polynomial inside [0, 1], branch-free.
            steep = rise > one
            angle = _arctangent((one if steep else rise) / (rise if steep else one))
            target[x] = (right_angle - angle if steep else angle) * _DEGREES


@njit(nogil=True, cache=True, error_model="numpy")
def _aspect(z: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    height, width = z.shape
    size = width - 2
    zero = np.float32(0)
    quarter, half, whole = np.float32(90), np.float32(180), np.float32(360)
    for y in range(1, height - 1):
        above, row, below = z[y - 1], z[y], z[y + 1]
        target = out[y]
        for i in range(size):
            x = i + 1
            east, south = _rises(above, row, below, x)
            across, along = abs(east), abs(south)
            sideways = across > along
            # Flat ground divides 0 by 0, which is the NaN wanted.
            ratio = (along if sideways else across) / (across if sideways else along)
            angle = _arctangent(ratio) * _DEGREES
            angle = quarter - angle if sideways else angle
            # It falls towards the north where it rises to the south, and so on.
            angle = half - angle if south < zero else angle
            angle = whole - angle if east > zero else angle
            angle = zero if angle >= whole else angle
            target[x] = angle + zero * (row[x] + (across + along))


@njit(nogil=True, cache=True, error_model="numpy")
def _hillshade(
    z: NDArray[np.float32],
    scale: np.float32,
    sun_east: np.float32,
    sun_north: np.float32,
    sun_up: np.float32,
    out: NDArray[np.float32],
) -> None:
    """Scalar product of the sun's direction with the unit normal of the ground."""
    height, width = z.shape
    size = width - 2
    zero, one = np.float32(0), np.float32(1)
    for y in range(1, height - 1):
        above, row, below = z[y - 1], z[y], z[y + 1]
        target = out[y]
        for i in range(size):
            x = i + 1
            east, south = _rises(above, row, below, x)
            east, south = east * scale, south * scale
            normal = np.sqrt(one + east * east + south * south)
            light = (sun_up - sun_east * east + sun_north * south) / normal
            light = zero if light < zero else light
            light = one if light > one else light
            target[x] = light + zero * (row[x] + normal)
