"""Where is uphill? Rings at looking distances, and the highest pixel of each (LACNN paper, 4).

A ring of radius r holds all offsets with (2r - 1)^2 <= 4 (dy^2 + dx^2) < (2r + 1)^2, clockwise from
north. The uphill index of a pixel is the position in that order of its highest neighbour.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landslide_dist.errors import ConfigError

#: Columns worked on at a time: the rows of a ring of 30 px over them fit the second-level cache.
BLOCK_COLUMNS = 1024
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


def uphill_index(
    elevation: NDArray[Any], radius_px: int, nodata: float | None = None
) -> NDArray[Any]:
    """Ring position of the highest neighbour of every pixel.

    Args:
        elevation: ``(y, x)`` in any real dtype; float32 and integers of up to 16 bits keep their
            exact order. Values that are not finite in float32 do not exist.
        radius_px: Radius of the ring.
        nodata: A value that does not exist either, for integers, which have no NaN.

    Returns:
        ``(y, x)`` of ``index_dtype(radius_px)``: ties go to the smaller position; the dtype's
        maximum where the pixel or its whole ring does not exist.
    """
    offsets = ring_offsets(radius_px)
    with np.errstate(over="ignore"):
        heights = np.ascontiguousarray(elevation, dtype=np.float32)
        missing = np.float32(np.nan if nodata is None else nodata)
    out = np.empty(heights.shape, dtype=index_dtype(radius_px))
    padded = _padded(heights, radius_px, missing)
    _highest(padded, offsets, radius_px, np.iinfo(out.dtype).max, out)
    return out


def uphill_indices(
    elevation: NDArray[Any], radii_px: Sequence[int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """The uphill index at several looking distances, in one dtype.

    Args:
        elevation: ``(y, x)`` as for :func:`uphill_index`.
        radii_px: Radius of each ring.
        dtype: One that numbers the largest ring; its maximum means "none".

    Returns:
        ``(distance, y, x)`` of ``dtype``.
    """
    out = np.empty((len(radii_px), *elevation.shape), dtype=dtype)
    for plane, radius in zip(out, radii_px, strict=True):
        index = uphill_index(elevation, radius)
        plane[...] = index
        plane[index == np.iinfo(index.dtype).max] = np.iinfo(dtype).max
    return out


def gather(plane: NDArray[Any], index: NDArray[Any], radius_px: int, fill: float) -> NDArray[Any]:
    """Values of a plane at every pixel's highest neighbour.

    Args:
        plane: ``(y, x)`` values.
        index: ``(y, x)`` uphill index at ``radius_px``.
        radius_px: Radius of the ring.
        fill: Value where there is no such neighbour.

    Returns:
        ``(y, x)`` in the plane's dtype.
    """
    offsets = ring_offsets(radius_px)
    found = index != np.iinfo(index.dtype).max
    rows, columns = np.nonzero(found)
    offset = offsets[index[found]]
    out = np.full_like(plane, fill)
    out[rows, columns] = plane[rows + offset[:, 0], columns + offset[:, 1]]
    return out


@njit(nogil=True, cache=True)
def _padded(
    elevation: NDArray[np.float32], radius: int, missing: np.float32
) -> NDArray[np.float32]:
    """The raster in a frame as wide as the ring, in one pass; what does not exist is -inf."""
    height, width = elevation.shape
    padded = np.empty((height + 2 * radius, width + 2 * radius), dtype=np.float32)
    lowest, highest = np.float32(-np.inf), np.float32(np.inf)
    padded[:radius] = lowest
    padded[height + radius :] = lowest
    for y in range(height):
        source, target = elevation[y], padded[y + radius]
        target[:radius] = lowest
        target[width + radius :] = lowest
        for x in range(width):
            z = source[x]
            exists = (z > lowest) & (z < highest) & (z != missing)
            target[x + radius] = z if exists else lowest
    return padded


@njit(nogil=True, cache=True)
def _highest(
    padded: NDArray[np.float32],
    offsets: NDArray[np.int64],
    radius: int,
    none: int,
    out: NDArray[Any],
) -> None:
    """Four ring pixels a pass, value and index carried together over a stretch of a row.

    The index is as wide as the value, so that both compile to selects of whole SIMD registers; it
    is narrowed once at the end.
    """
    height, width = out.shape
    num = len(offsets)
    whole = num - num % 4
    best = np.empty(BLOCK_COLUMNS, dtype=np.float32)
    index = np.empty(BLOCK_COLUMNS, dtype=np.int32)
    lowest = np.float32(-np.inf)
    for x0 in range(0, width, BLOCK_COLUMNS):
        size = min(BLOCK_COLUMNS, width - x0)
        for y in range(height):
            best[:size] = lowest
            index[:size] = none
            for k in range(0, whole, 4):
                a = _stretch(padded, offsets[k], radius, y, x0, size)
                b = _stretch(padded, offsets[k + 1], radius, y, x0, size)
                c = _stretch(padded, offsets[k + 2], radius, y, x0, size)
                d = _stretch(padded, offsets[k + 3], radius, y, x0, size)
                position = np.int32(k)
                for x in range(size):
                    value, at = best[x], index[x]
                    at = position if a[x] > value else at
                    value = a[x] if a[x] > value else value
                    at = position + np.int32(1) if b[x] > value else at
                    value = b[x] if b[x] > value else value
                    at = position + np.int32(2) if c[x] > value else at
                    value = c[x] if c[x] > value else value
                    at = position + np.int32(3) if d[x] > value else at
                    value = d[x] if d[x] > value else value
                    best[x], index[x] = value, at
            for k in range(whole, num):
                a = _stretch(padded, offsets[k], radius, y, x0, size)
                position = np.int32(k)
                for x in range(size):
                    higher = a[x] > best[x]
                    index[x] = position if higher else index[x]
                    best[x] = a[x] if higher else best[x]
            own = padded[y + radius, x0 + radius : x0 + radius + size]
            for x in range(size):
                out[y, x0 + x] = index[x] if own[x] > lowest else none


@njit(nogil=True, cache=True, inline="always")
def _stretch(
    padded: NDArray[np.float32],
    offset: NDArray[np.int64],
    radius: int,
    y: int,
    x0: int,
    size: int,
) -> NDArray[np.float32]:
    start = x0 + radius + offset[1]
    return padded[y + radius + offset[0], start : start + size]
