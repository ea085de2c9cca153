"""Histogram matching by tables: v -> F_ref^-1(F_src(v)), F the cumulative share of valid pixels.

Counts of parts of a scene add up to those of the whole, so a scene of any size is matched by two
passes over its blocks: one counts values, one looks them up in the table of the whole scene.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from landslide_dist.errors import DataError


def num_values(dtype: DTypeLike) -> int:
    """How many values pixels of a dtype can take: 256 or 65,536.

    Raises:
        DataError: It is neither uint8 nor uint16.
    """
    if np.dtype(dtype) not in (np.uint8, np.uint16):
        raise DataError(
            f"histogram matching takes uint8 or uint16 values, got {np.dtype(dtype)}: scale and "
            "round them to one of these first"
        )
    return int(np.iinfo(dtype).max) + 1


def count_values(
    values: NDArray[Any], valid: NDArray[Any] | None, num_values: int
) -> NDArray[np.int64]:
    """Valid pixels of each value, in one pass that makes no array of the raster's size.

    Args:
        values: uint8 or uint16 of any shape; one that is not contiguous in memory is copied.
        valid: Bool or uint8 of the same shape, non-zero where a pixel counts; None counts all.
        num_values: Values to count, at least as many as the dtype has.

    Returns:
        ``(num_values,)`` int64.

    Raises:
        DataError: The dtype is another, or the counts do not fit the values.
    """
    _check_covers(values, num_values, "counts")
    counts = np.zeros(num_values, dtype=np.int64)
    if valid is None:
        _count_all(values.ravel(), counts)
    else:
        _count_valid(values.ravel(), _flat_mask(valid, values), counts)
    return counts


def matching_table(
    source_counts: NDArray[np.int64], reference_counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What each value of the source becomes.

    Args:
        source_counts: Pixels of each value from 0 in the whole source.
        reference_counts: The same of the reference; it may have another number of values.

    Returns:
        float64 as long as the source's counts, ascending: where the reference, with straight lines
        between the values it has, reaches the share of the source's pixels up to a value.

    Raises:
        DataError: The source or the reference has no pixels.
    """
    reference_values = np.flatnonzero(reference_counts)
    num_source, num_reference = source_counts.sum(), reference_counts.sum()
    for name, num in (("source", num_source), ("reference", num_reference)):
        if num == 0:
            raise DataError(f"histogram matching: the {name} has no valid pixels")
    # Whole numbers are summed and divided last: the order decides the last bit.
    source_shares = np.cumsum(source_counts) / num_source
    reference_shares = np.cumsum(reference_counts[reference_values]) / num_reference
    return np.asarray(np.interp(source_shares, reference_shares, reference_values))


def apply_table(
    values: NDArray[Any],
    table: NDArray[np.float64],
    valid: NDArray[Any] | None,
    dtype: DTypeLike,
    nodata: float,
) -> NDArray[Any]:
    """Look every pixel up in a table.

    Args:
        values: uint8 or uint16 of any shape; one that is not contiguous in memory is copied.
        table: float64, at least as long as the dtype has values; NaN for a value that no valid
            pixel has.
        valid: Bool or uint8 of the same shape, non-zero where a pixel is valid; None: all are.
        dtype: Of the result: floating point, or integers, to which the table is rounded (half to
            even) and clipped.
        nodata: What invalid pixels become. For integers the lowest or the highest value of the
            dtype, to which no valid pixel is clipped: with uint16 and 0, those lie in 1 to 65,535.

    Returns:
        ``dtype`` of the values' shape.

    Raises:
        DataError: The dtype of the values is another, the table is too short, or ``nodata`` lies
            amid the values of an integer dtype.
    """
    _check_covers(values, len(table), "a table")
    looked_up = _converted(table, np.dtype(dtype), nodata)
    out = np.empty(values.size, dtype=dtype)
    if valid is None:
        _take_all(values.ravel(), looked_up[1:], out)
    else:
        _take_valid(values.ravel(), _flat_mask(valid, values), looked_up, out)
    return out.reshape(values.shape)


def valid_limits(dtype: DTypeLike, nodata: float) -> tuple[int, int]:
    """Lowest and highest value of a valid pixel in an integer dtype.

    Raises:
        DataError: ``nodata`` is neither the lowest nor the highest value of the dtype.
    """
    lowest, highest = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if nodata == lowest:
        return lowest + 1, highest
    if nodata == highest:
        return lowest, highest - 1
    raise DataError(
        f"nodata {nodata:g} lies amid the values of {np.dtype(dtype)}: take {lowest} or {highest}"
    )


def _converted(table: NDArray[np.float64], dtype: np.dtype[Any], nodata: float) -> NDArray[Any]:
    """The table in the dtype of the result, after one entry for invalid pixels."""
    if dtype.kind in "iu":
        table = np.clip(np.rint(table), *valid_limits(dtype, nodata))
    return np.concatenate([[nodata], np.where(np.isnan(table), nodata, table)]).astype(dtype)


def _check_covers(values: NDArray[Any], length: int, what: str) -> None:
    due = num_values(values.dtype)
    if length < due:
        raise DataError(f"{what} of {length} values cannot hold {values.dtype}: {due} are needed")


def _flat_mask(valid: NDArray[Any], values: NDArray[Any]) -> NDArray[np.uint8]:
    if valid.shape != values.shape or valid.dtype not in (np.bool_, np.uint8):
        raise DataError(
            f"mask of valid pixels is {valid.dtype} {valid.shape}; "
            f"it must be bool or uint8 {values.shape}"
        )
    return valid.ravel().view(np.uint8)


@njit(nogil=True, cache=True)
def _count_all(values: NDArray[Any], counts: NDArray[np.int64]) -> None:
    for i in range(len(values)):
        counts[values[i]] += 1


@njit(nogil=True, cache=True)
def _count_valid(values: NDArray[Any], valid: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    for i in range(len(values)):
        # Adding nothing, unlike a branch, costs the same however scattered the clouds are.
        counts[values[i]] += valid[i] != 0


@njit(nogil=True, cache=True)
def _take_all(values: NDArray[Any], table: NDArray[Any], out: NDArray[Any]) -> None:
    for i in range(len(values)):
        out[i] = table[values[i]]


@njit(nogil=True, cache=True)
def _take_valid(
    values: NDArray[Any], valid: NDArray[np.uint8], table: NDArray[Any], out: NDArray[Any]
) -> None:
    for i in range(len(values)):
        # Invalid pixels look up the first entry: a choice of values would become a branch.
        out[i] = table[(values[i] + 1) * (valid[i] != 0)]
