"""Applies a kernel with a halo to a lazy raster, and reads the pixel size from its coordinates."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landslide_dist.errors import DataError


def pixel_size_m(raster: xr.DataArray) -> float:
    """Side of a pixel of a north-up raster of square pixels.

    Raises:
        DataError: The dims are not y, x; coordinates are missing, in degrees, uneven, or not
            north-up; pixels are not square.
    """
    if raster.dims != ("y", "x"):
        raise DataError(
            f"raster has dims {raster.dims}; they must be y, x: transpose it or take one band"
        )
    if _is_geographic(raster):
        raise DataError("raster has coordinates in degrees; reproject it to a CRS in metres")
    steps = {}
    for axis in ("y", "x"):
        if axis not in raster.coords or raster.sizes[axis] < 2:
            raise DataError(f"raster has no {axis} coordinates to take its pixel size from")
        differences = np.diff(raster[axis].to_numpy().astype(np.float64))
        if not np.allclose(differences, differences[0], rtol=1e-6, atol=0):
            raise DataError(f"raster has unevenly spaced {axis} coordinates; resample it")
        steps[axis] = float(differences[0])
    if steps["y"] > 0 or steps["x"] < 0:
        raise DataError("raster is not north-up: sort it by descending y and ascending x")
    if not np.isclose(-steps["y"], steps["x"], rtol=1e-6):
        raise DataError(
            f"raster has pixel size {steps['x']:g} m in x but {-steps['y']:g} m in y; "
            "square pixels are needed: resample it"
        )
    return steps["x"]


def _is_geographic(raster: xr.DataArray) -> bool:
    """Whether the CF attributes of the coordinates say that they are longitude and latitude."""
    mapping = raster.coords.get("spatial_ref")
    named = mapping is not None and mapping.attrs.get("grid_mapping_name") == "latitude_longitude"
    units = raster["x"].attrs.get("units", "") if "x" in raster.coords else ""
    return named or str(units).startswith("degree")


def map_with_halo(
    raster: xr.DataArray,
    kernel: Callable[[NDArray[Any]], NDArray[Any]],
    halo_px: int,
    dtype: np.dtype[Any],
) -> xr.DataArray:
    """Apply a kernel of one plane that reaches ``halo_px`` to each side.

    Args:
        raster: ``(y, x)``, lazy or in memory, in floating point.
        kernel: ``(y, x)`` -> ``(y, x)``; what lies beyond the raster is NaN to it.
        halo_px: Reach of the kernel.
        dtype: Of its result.

    Returns:
        ``(y, x)`` with the raster's coordinates, lazy where the raster is.
    """
    if raster.chunks is None:
        return raster.copy(data=kernel(raster.to_numpy()))
    data = da.map_overlap(
        kernel,
        raster.data,
        # Beyond the raster there is nothing, so a halo never needs to be wider than the raster.
        depth={axis: min(halo_px, size) for axis, size in enumerate(raster.shape)},
        boundary=np.nan,
        trim=True,
        # Chunks smaller than the halo are merged for the computation.
        allow_rechunk=True,
        dtype=dtype,
        meta=np.empty((0, 0), dtype=dtype),
    )
    return raster.copy(data=data.rechunk(raster.chunks))


def as_float(dem: xr.DataArray) -> xr.DataArray:
    """Elevation as float32, its ``nodata`` value, if it states one, as NaN."""
    nodata = dem.attrs.get("nodata", dem.attrs.get("_FillValue"))
    raster = dem.astype(np.float32)
    return raster if nodata is None else raster.where(dem != nodata)
