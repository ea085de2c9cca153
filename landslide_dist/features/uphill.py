"""The lazy uphill index; see :mod:`landslide_dist.kernels.uphill`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landslide_dist.features.overlap import as_float, map_with_halo, pixel_size_m
from landslide_dist.kernels.rings import index_dtype, ring_radii
from landslide_dist.kernels.uphill import uphill_indices


def uphill(dem: xr.DataArray, distances_m: Sequence[float] = (30.0, 100.0, 300.0)) -> xr.DataArray:
    """Ring position of the highest neighbour at each looking distance.

    Args:
        dem: ``(y, x)`` metres, with coordinates in metres.
        distances_m: Looking distances, ascending.

    Returns:
        ``(distance, y, x)`` uint8, or uint16 where a ring has more than 254 pixels; the dtype's
        maximum, also the attribute ``nodata``, means "none". Lazy where the DEM is.

    Raises:
        ConfigError: A distance is below a pixel, or two fall on one ring.
        DataError: The coordinates are not those of a north-up raster of square pixels.
    """
    radii = ring_radii(distances_m, pixel_size_m(dem))
    raster = as_float(dem)
    dtype = max((index_dtype(radius) for radius in radii), key=lambda d: d.itemsize)
    planes = [
        map_with_halo(raster, partial(_one_distance, radius_px=radius, dtype=dtype), radius, dtype)
        for radius in radii
    ]
    result = xr.concat(planes, dim=xr.Variable("distance", list(distances_m), {"units": "m"}))
    result.attrs = {"long_name": "ring position of the highest pixel", "units": "1"}
    result.attrs["nodata"] = int(np.iinfo(dtype).max)
    return result.rename("uphill").transpose("distance", "y", "x")


def _one_distance(elevation: NDArray[Any], radius_px: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.asarray(uphill_indices(elevation, [radius_px], dtype)[0])
