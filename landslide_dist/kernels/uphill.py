"""Where is uphill? The highest pixel of each ring around every pixel (LACNN paper, section 4).

The uphill index of a pixel is the position of its highest neighbour in the order of the ring.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landslide_dist.kernels.rings import index_dtype, ring_offsets

#: Columns worked on at a time: the rows of a ring of 30 px over them fit the second-level cache.
BLOCK_COLUMNS = 1024


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
    dtype = index_dtype(radius_px)
    return np.asarray(uphill_indices(elevation, (radius_px,), dtype, nodata=nodata)[0])


def uphill_indices(
    elevation: NDArray[Any],
    radii_px: Sequence[int],
    dtype: np.dtype[Any],
    halo_px: int = 0,
    nodata: float | None = None,
) -> NDArray[Any]:
    """The uphill index at several looking distances, in one dtype.

    Args:
        elevation: ``(y + 2 halo_px, x + 2 halo_px)`` as for :func:`uphill_index`.
        radii_px: Radius of each ring.
        dtype: One that numbers the largest ring; its maximum means "none".
        halo_px: Width of the frame of neighbours that was read with the block; beyond it nothing
            exists.
        nodata: As for :func:`uphill_index`.

    Returns:
        ``(distance, y, x)`` of ``dtype``.
    """
    with np.errstate(over="ignore"):
        elevation = np.ascontiguousarray(elevation, dtype=np.float32)
    height, width = (side - 2 * halo_px for side in elevation.shape)
    frame_px = max(0, max(radii_px) - halo_px)
    missing = np.float32(np.nan if nodata is None else nodata)
    heights, index = _comparable(elevation, missing, frame_px)
    out = np.empty((len(radii_px), height, width), dtype=dtype)
    best = np.empty(BLOCK_COLUMNS, dtype=heights.dtype)
    for plane, radius in zip(out, radii_px, strict=True):
        offsets = ring_offsets(radius)
        positions = np.arange(len(offsets), dtype=index.dtype)
        lowest = heights.dtype.type(_lowest(heights.dtype))
        # Narrowed to an unsigned dtype, -1 is its maximum, which means "none".
        none = index.dtype.type(-1)
        halo = halo_px + frame_px
        _highest(heights, offsets, positions, halo, lowest, none, best, index, plane)
    return out


def _comparable(
    elevation: NDArray[np.float32], missing: np.float32, frame_px: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Heights with one lowest value for what does not exist, and as wide a row of indices.

    Around them lies a frame of what does not exist.

    Whole metres that fit 16 bits, as most global DEMs have them, compare about twice as fast; the
    order, and so the result, is the same.
    """
    shape = tuple(side + 2 * frame_px for side in elevation.shape)
    whole = np.empty(shape, dtype=np.int16)
    if _as_whole_metres(elevation, missing, frame_px, whole):
        _fill_frame(whole, frame_px)
        return whole, np.empty(BLOCK_COLUMNS, dtype=np.int16)
    heights = np.empty(shape, dtype=np.float32)
    _as_floats(elevation, missing, frame_px, heights)
    _fill_frame(heights, frame_px)
    return heights, np.empty(BLOCK_COLUMNS, dtype=np.int32)


def _fill_frame(heights: NDArray[Any], frame_px: int) -> None:
    if frame_px:
        rows, columns = heights, heights.T
        for side in (rows[:frame_px], rows[-frame_px:], columns[:frame_px], columns[-frame_px:]):
            side[...] = _lowest(heights.dtype)


def _lowest(dtype: np.dtype[Any]) -> float:
    """What stands for a height that does not exist."""
    return -np.inf if dtype.kind == "f" else float(np.iinfo(dtype).min)


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
def _as_floats(
    elevation: NDArray[np.float32], missing: np.float32, frame: int, out: NDArray[np.float32]
) -> None:
    """Copy; what does not exist becomes -inf."""
    lowest, highest = np.float32(-np.inf), np.float32(np.inf)
    height, width = elevation.shape
    for y in range(height):
        source, target = elevation[y], out[y + frame, frame : frame + width]
        for x in range(width):
            z = source[x]
            exists = (z > lowest) & (z < highest) & (z != missing)
            target[x] = z if exists else lowest


@njit(nogil=True, cache=True)
def _as_whole_metres(
    elevation: NDArray[np.float32], missing: np.float32, frame: int, out: NDArray[np.int16]
) -> bool:
    """Copy; what does not exist becomes the lowest. False at the first row that does not fit."""
    lowest, highest = np.float32(-np.inf), np.float32(np.inf)
    limit = np.float32(32767)
    height, width = elevation.shape
    for y in range(height):
        source, target = elevation[y], out[y + frame, frame : frame + width]
        fits = True
        for x in range(width):
            z = source[x]
            exists = (z > lowest) & (z < highest) & (z != missing)
            value = z if exists else np.float32(-32768)
            clipped = min(max(value, np.float32(-32768)), limit)
            metres = np.int16(clipped)
            fits &= (np.float32(metres) == value) & (not exists or z > np.float32(-32768))
            target[x] = metres
        if not fits:
            return False
    return True


@njit(nogil=True, cache=True)
def _highest(
    heights: NDArray[Any],
    offsets: NDArray[np.int64],
    positions: NDArray[Any],
    halo: int,
    lowest: Any,
    none: Any,
    best: NDArray[Any],
    index: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Four ring pixels a pass, value and index carried together over a stretch of a row.

    The index is as wide as the value, so that both compile to selects of whole SIMD registers; it
    is narrowed once at the end.
    """
    height, width = out.shape
    num, columns = len(offsets), len(best)
    whole = num - num % 4
    for x0 in range(0, width, columns):
        size = min(columns, width - x0)
        for y in range(height):
            best[:size] = lowest
            index[:size] = none
            for k in range(0, whole, 4):
                a = _stretch(heights, offsets[k], halo, y, x0, size)
                b = _stretch(heights, offsets[k + 1], halo, y, x0, size)
                c = _stretch(heights, offsets[k + 2], halo, y, x0, size)
                d = _stretch(heights, offsets[k + 3], halo, y, x0, size)
                at_a, at_b = positions[k], positions[k + 1]
                at_c, at_d = positions[k + 2], positions[k + 3]
                for x in range(size):
                    value, at = best[x], index[x]
                    at = at_a if a[x] > value else at
                    value = a[x] if a[x] > value else value
                    at = at_b if b[x] > value else at
                    value = b[x] if b[x] > value else value
                    at = at_c if c[x] > value else at
                    value = c[x] if c[x] > value else value
                    at = at_d if d[x] > value else at
                    value = d[x] if d[x] > value else value
                    best[x], index[x] = value, at
            for k in range(whole, num):
                a = _stretch(heights, offsets[k], halo, y, x0, size)
                at_a = positions[k]
                for x in range(size):
                    higher = a[x] > best[x]
                    index[x] = at_a if higher else index[x]
                    best[x] = a[x] if higher else best[x]
            own = heights[y + halo, x0 + halo : x0 + halo + size]
            target = out[y, x0 : x0 + size]
            for x in range(size):
                target[x] = index[x] if own[x] > lowest else none


@njit(nogil=True, cache=True, inline="always")
def _stretch(
    heights: NDArray[Any],
    offset: NDArray[np.int64],
    halo: int,
    y: int,
    x0: int,
    size: int,
) -> NDArray[Any]:
    start = x0 + halo + offset[1]
    return heights[y + halo + offset[0], start : start + size]
