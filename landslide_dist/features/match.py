"""Lazy histogram matching of scenes; see :mod:`landslide_dist.kernels.histogram`.

:func:`count` says how often each value occurs, a :class:`Reference` keeps such counts, and
:func:`match` gives a scene the reference's distribution of values.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landslide_dist.errors import DataError
from landslide_dist.features.reference import Reference, band_names, listed
from landslide_dist.features.reread import reread_after
from landslide_dist.kernels.histogram import (
    apply_table,
    count_values,
    matching_table,
    num_values,
)

#: What scenes can be matched to, and what a pixel without data is in each.
NODATA = {"uint8": 0, "uint16": 0, "float32": np.nan, "float64": np.nan}
#: Where rasters state their value without data, by precedence.
NODATA_ATTRIBUTES = ("nodata", "_FillValue")


def count(raster: xr.DataArray, valid: xr.DataArray | None = None) -> xr.DataArray:
    """Valid pixels of each value, for every leading index.

    Args:
        raster: ``(..., y, x)`` uint8 or uint16; its attribute ``nodata``, if any, is no valid
            value.
        valid: Bool or uint8, ``(y, x)`` and any of the leading dims; zero where clouds and the
            like hide the ground. None: every pixel that is not ``nodata``.

    Returns:
        ``(..., value)`` int64, lazy where an input is; counts of blocks are summed as a tree, so
        that few of them are in memory at a time.

    Raises:
        DataError: Of another dtype, or dims that do not fit.
    """
    values, mask = _arrays(raster, valid)
    kept = {name: c for name, c in raster.coords.items() if not {"y", "x"} & set(c.dims)}
    return xr.DataArray(
        _count(values, mask, _nodata(raster)),
        dims=(*raster.dims[:-2], "value"),
        coords={**kept, "value": np.arange(num_values(raster.dtype))},
        name="count",
        attrs={"long_name": "valid pixels of each value", "units": "1"},
    )


def match(
    raster: xr.DataArray,
    reference: Reference,
    valid: xr.DataArray | None = None,
    dtype: str = "uint16",
) -> xr.DataArray:
    """Give every acquisition the distribution of values of a reference, band by band.

    The table of a band comes from the whole acquisition, so any chunks give the same bits; the
    source is read twice, first to count and then to look up.

    Args:
        raster: ``(band, y, x)``, or with a leading dim such as ``time`` whose entries are
            acquisitions of their own; uint8 or uint16, never a mosaic. ``band`` has names; the
            attribute ``nodata``, if any, is no valid value.
        reference: Counts of at least these bands.
        valid: As for :func:`count`.
        dtype: ``uint8`` or ``uint16``, rounded to, or ``float32`` or ``float64``.

    Returns:
        The raster's dims and coordinates; pixels that are not valid are 0, or NaN in floating
        point, and valid ones at least 1 in integers. Lazy where an input is.

    Raises:
        DataError: Dims, dtypes, bands or the mask do not fit; when computed, an acquisition
            without valid pixels.
    """
    if raster.dims[-3:] != ("band", "y", "x") or raster.ndim > 4:
        raise DataError(
            f"raster has dims {raster.dims}; they must be band, y, x or time, band, y, x"
        )
    values, mask = _arrays(raster, valid)
    rows = _rows(reference, raster, dtype)
    match_part = partial(_match, reference=rows, nodata=_nodata(raster), dtype=dtype)
    labels = _labels(raster)
    if raster.ndim == 4 and isinstance(values, da.Array):
        # Each acquisition waits for its own counts only, and few tables are in memory at a time.
        data = da.concatenate(
            [
                match_part(values[part], _of_part(mask, part), labels[part])
                for part in _slices(values.chunks[0])
            ]
        )
    else:
        data = match_part(values, mask, labels)
    attrs = {name: value for name, value in raster.attrs.items() if name not in NODATA_ATTRIBUTES}
    if np.dtype(dtype).kind == "u":
        attrs["nodata"] = NODATA[dtype]
    return xr.DataArray(data, raster.coords, raster.dims, raster.name, attrs)


def _match(
    values: Any,
    mask: Any,
    labels: NDArray[Any],
    reference: NDArray[np.int64],
    nodata: int | None,
    dtype: str,
) -> Any:
    """Count, make the tables, look up; of NumPy arrays at once, of Dask arrays as two passes."""
    counts = _count(values, mask, nodata)
    to_tables = partial(_tables, reference=reference, labels=labels, nodata=nodata)
    if not isinstance(values, da.Array):
        return _match_block(values, mask, to_tables(counts), dtype)
    tables = counts.rechunk(counts.shape).map_blocks(
        to_tables, dtype=np.float64, meta=np.empty((0,) * counts.ndim)
    )
    tables = tables.rechunk((*values.chunks[:-2], -1))
    # Read anew once the tables are there; shared reads would keep the whole scene in memory.
    values = reread_after(values, tables)
    mask = None if mask is None else reread_after(mask, tables)
    indices = _indices(values)
    return da.blockwise(
        _match_block, indices,
        values, indices, mask, None if mask is None else indices,
        tables, (*indices[:-2], "value"), dtype, None,
        concatenate=True, dtype=dtype, meta=np.empty((0,) * values.ndim, dtype),
    )  # fmt: skip


def _count(values: Any, mask: Any, nodata: int | None) -> Any:
    """Counts of ``(..., y, x)``, as ``(..., value)``."""
    if not isinstance(values, da.Array):
        return _count_block(values, mask, nodata)[..., 0, 0, :]
    indices = _indices(values)
    size = num_values(values.dtype)
    blocks = da.blockwise(
        _count_block, (*indices, "value"),
        values, indices, mask, None if mask is None else indices, nodata, None,
        new_axes={"value": size}, adjust_chunks={"y": 1, "x": 1},
        dtype=np.int64, meta=np.empty((0,) * (values.ndim + 1), np.int64),
    )  # fmt: skip
    return blocks.sum(axis=(-3, -2))


def _count_block(values: NDArray[Any], mask: Any, nodata: int | None) -> NDArray[np.int64]:
    """Counts of one block, ``(..., 1, 1, value)``."""
    size = num_values(values.dtype)
    counts = np.empty((*values.shape[:-2], 1, 1, size), dtype=np.int64)
    for index, plane, valid in _planes(values, mask):
        counts[index] = count_values(plane, valid, size)
    if nodata is not None:
        counts[..., nodata] = 0
    return counts


def _tables(
    counts: NDArray[np.int64],
    reference: NDArray[np.int64],
    labels: NDArray[Any],
    nodata: int | None,
) -> NDArray[np.float64]:
    """Tables of ``(..., band, value)`` counts; NaN at ``nodata``."""
    tables = np.empty(counts.shape)
    for index in np.ndindex(counts.shape[:-1]):
        try:
            tables[index] = matching_table(counts[index], reference[index[-1]])
        except DataError as error:
            raise DataError(f"{labels[index]}: {error}") from error
    if nodata is not None:
        tables[..., nodata] = np.nan
    return tables


def _match_block(
    values: NDArray[Any], mask: Any, tables: NDArray[np.float64], dtype: str
) -> NDArray[Any]:
    out = np.empty(values.shape, dtype)
    for index, plane, valid in _planes(values, mask):
        out[index] = apply_table(plane, tables[index], valid, dtype, NODATA[dtype])
    return out


def _planes(values: NDArray[Any], mask: Any) -> Iterator[tuple[tuple[int, ...], Any, Any]]:
    """Each leading index with its plane and the plane's mask."""
    masks = None if mask is None else np.broadcast_to(mask, values.shape)
    for index in np.ndindex(values.shape[:-2]):
        yield index, values[index], None if masks is None else masks[index]


def _arrays(raster: xr.DataArray, valid: xr.DataArray | None) -> tuple[Any, Any]:
    """Values and mask, both NumPy or both Dask, the mask 1 long where one serves all indices."""
    if raster.dims[-2:] != ("y", "x"):
        raise DataError(f"raster has dims {raster.dims}; the last two must be y, x: transpose it")
    num_values(raster.dtype)
    if valid is None:
        return raster.data, None
    if not {"y", "x"} <= set(valid.dims) <= set(raster.dims):
        raise DataError(
            f"mask of valid pixels has dims {valid.dims}; they must be y, x and any of the "
            f"raster's {raster.dims}"
        )
    if valid.dtype not in (np.bool_, np.uint8):
        raise DataError(f"mask of valid pixels is {valid.dtype}; it must be bool or uint8")
    try:
        raster, valid = xr.align(raster, valid, join="exact", copy=False)
    except ValueError as error:
        raise DataError(
            "raster and mask of valid pixels have other sizes or coordinates: reindex the mask"
        ) from error
    valid = valid.expand_dims([dim for dim in raster.dims if dim not in valid.dims])
    valid = valid.transpose(*raster.dims)
    alike = [dim for dim in raster.dims if valid.sizes[dim] == raster.sizes[dim]]
    if valid.chunks is not None and raster.chunks is None:
        raster = raster.chunk({dim: valid.chunksizes[dim] for dim in alike})
    elif raster.chunks is not None:
        valid = valid.chunk({dim: raster.chunksizes[dim] for dim in alike})
    return raster.data, valid.data


def _of_part(mask: Any, part: slice) -> Any:
    return mask if mask is None or len(mask) == 1 else mask[part]


def _nodata(raster: xr.DataArray) -> int | None:
    """The value that is never valid, if the raster states one."""
    stated = [raster.attrs[name] for name in NODATA_ATTRIBUTES if name in raster.attrs]
    return next((int(v) for v in stated if v in range(num_values(raster.dtype))), None)


def _rows(reference: Reference, raster: xr.DataArray, dtype: str) -> NDArray[np.int64]:
    """The reference's counts of each band of a raster, if ``dtype`` holds its values."""
    if dtype not in NODATA:
        raise DataError(f"a raster is matched to {listed(NODATA)}, not to {dtype}")
    rows = reference.rows(band_names(raster))
    highest = int(np.flatnonzero(rows.any(axis=0))[-1])
    if np.dtype(dtype).kind == "u" and highest > np.iinfo(dtype).max:
        raise DataError(f"the reference has values up to {highest}, too high for {dtype}")
    return rows


def _labels(raster: xr.DataArray) -> NDArray[Any]:
    """What messages call each band of each acquisition."""
    bands = np.array([f"band {name!r}" for name in band_names(raster)])
    if raster.ndim == 3:
        return bands
    acquisitions = raster[raster.dims[0]].to_numpy()
    return np.array([[f"{raster.dims[0]} {a}, {band}" for band in bands] for a in acquisitions])


def _indices(array: da.Array) -> tuple[str, ...]:
    """Names of an array's axes for Dask."""
    return (*(f"axis {i}" for i in range(array.ndim - 2)), "y", "x")


def _slices(chunks: tuple[int, ...]) -> Iterator[slice]:
    start = 0
    for size in chunks:
        yield slice(start, start + size)
        start += size
