"""Rasters at half the size: one value for each two by two pixels.

Where the raster has an odd number of rows or columns, the last ones stand for two by one, one by
two or one pixel. Windows whose corner is even give what the whole raster gives, bit for bit.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Of :func:`first_valid`: none of the pixels is valid.
NOT_ANY = 4


def halved(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a raster at half the size."""
    return -(-shape[0] // 2), -(-shape[1] // 2)


def halve_mean(values: NDArray[Any], nodata: float) -> NDArray[np.float32]:
    """Mean of the valid pixels.

    Args:
        values: ``(..., y, x)``, numbers of any kind.
        nodata: Value of those that are not valid, as those that are not finite are not.

    Returns:
        ``(..., ceil(y / 2), ceil(x / 2))`` float32; NaN where no pixel is valid.
    """
    planes = _planes(values)
    out = np.empty((len(planes), *halved(values.shape[-2:])), dtype=np.float32)
    _halve_mean(planes, np.float64(nodata), out)
    return out.reshape(*values.shape[:-2], *out.shape[1:])


def halve_mode(values: NDArray[Any], nodata: int | None) -> NDArray[Any]:
    """The most frequent valid code; among equals the first, row by row.

    Args:
        values: ``(..., y, x)`` unsigned integers.
        nodata: Code of pixels that are not valid; None where all are.

    Returns:
        ``(..., ceil(y / 2), ceil(x / 2))`` of the same dtype; ``nodata`` where no pixel is valid.
    """
    planes = _planes(values)
    out = np.empty((len(planes), *halved(values.shape[-2:])), dtype=values.dtype)
    _halve_mode(planes, -1 if nodata is None else nodata, out)
    return out.reshape(*values.shape[:-2], *out.shape[1:])


def first_valid(valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Which of the two by two pixels is the first valid one, row by row.

    Args:
        valid: ``(y, x)``.

    Returns:
        ``(ceil(y / 2), ceil(x / 2))``: 0 to 3, or :data:`NOT_ANY`.
    """
    out = np.empty(halved((valid.shape[0], valid.shape[1])), dtype=np.uint8)
    _first_valid(np.ascontiguousarray(valid), out)
    return out


def pick(values: NDArray[Any], choice: NDArray[np.uint8], nodata: float) -> NDArray[Any]:
    """The chosen one of each two by two pixels.

    Args:
        values: ``(..., y, x)``.
        choice: Of :func:`first_valid` of a raster of this size.
        nodata: Value where none is chosen.

    Returns:
        ``(..., ceil(y / 2), ceil(x / 2))`` of the same dtype.
    """
    planes = _planes(values)
    out = np.empty((len(planes), *choice.shape), dtype=values.dtype)
    _pick(planes, choice, values.dtype.type(nodata), out)
    return out.reshape(*values.shape[:-2], *choice.shape)


def _planes(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values).reshape(-1, *values.shape[-2:])


@njit(nogil=True, cache=True)
def _halve_mean(values: NDArray[Any], nodata: float, out: NDArray[np.float32]) -> None:
    num, height, width = values.shape
    for plane in range(num):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                total, count = np.float64(0), 0
                for y in range(2 * i, min(2 * i + 2, height)):
                    for x in range(2 * j, min(2 * j + 2, width)):
                        value = np.float64(values[plane, y, x])
                        if np.isfinite(value) and value != nodata:
                            total += value
                            count += 1
                out[plane, i, j] = total / count if count else np.nan


@njit(nogil=True, cache=True)
def _halve_mode(values: NDArray[Any], nodata: int, out: NDArray[Any]) -> None:
    num, height, width = values.shape
    for plane in range(num):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                y1, x1 = min(2 * i + 2, height), min(2 * j + 2, width)
                best, most = values[plane, 2 * i, 2 * j], 0
                for y in range(2 * i, y1):
                    for x in range(2 * j, x1):
                        value = values[plane, y, x]
                        if np.int64(value) == nodata:
                            continue
                        count = 0
                        for v in range(2 * i, y1):
                            for u in range(2 * j, x1):
                                if values[plane, v, u] == value:
                                    count += 1
                        if count > most:
                            best, most = value, count
                # Where none is valid, the first pixel holds nodata as all of them do.
                out[plane, i, j] = best


@njit(nogil=True, cache=True)
def _first_valid(valid: NDArray[np.bool_], out: NDArray[np.uint8]) -> None:
    height, width = valid.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            chosen = 4
            for y in range(min(2 * i + 2, height) - 1, 2 * i - 1, -1):
                for x in range(min(2 * j + 2, width) - 1, 2 * j - 1, -1):
                    if valid[y, x]:
                        chosen = 2 * (y - 2 * i) + x - 2 * j
            out[i, j] = chosen


@njit(nogil=True, cache=True)
def _pick(values: NDArray[Any], choice: NDArray[np.uint8], nodata: Any, out: NDArray[Any]) -> None:
    for plane in range(values.shape[0]):
        for i in range(choice.shape[0]):
            for j in range(choice.shape[1]):
                chosen = choice[i, j]
                if chosen == 4:
                    out[plane, i, j] = nodata
                else:
                    out[plane, i, j] = values[plane, 2 * i + chosen // 2, 2 * j + chosen % 2]
