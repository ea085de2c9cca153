"""Lazy slope, aspect and hillshade; see :mod:`landslide_dist.kernels.terrain`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from landslide_dist.features.overlap import as_float, map_with_halo, pixel_size_m
from landslide_dist.kernels import terrain


def slope(dem: xr.DataArray) -> xr.DataArray:
    """Steepest slope (Horn 1981).

    Args:
        dem: ``(y, x)`` metres, with coordinates in metres.

    Returns:
        ``(y, x)`` float32 degrees, lazy where the DEM is; NaN at the raster's edge.

    Raises:
        DataError: The coordinates are not those of a north-up raster of square pixels.
    """
    return _named(dem, partial(terrain.slope, pixel_m=pixel_size_m(dem)), "slope", "degree")


def aspect(dem: xr.DataArray) -> xr.DataArray:
    """Direction in which the ground falls, degrees clockwise from north; NaN on flat ground."""
    return _named(dem, partial(terrain.aspect, pixel_m=pixel_size_m(dem)), "aspect", "degree")


def hillshade(
    dem: xr.DataArray,
    azimuth_deg: float = 315.0,
    altitude_deg: float = 45.0,
    z_factor: float = 1.0,
) -> xr.DataArray:
    """Light that the ground reflects towards the viewer, 0 to 1."""
    kernel = partial(
        terrain.hillshade,
        pixel_m=pixel_size_m(dem),
        azimuth_deg=azimuth_deg,
        altitude_deg=altitude_deg,
        z_factor=z_factor,
    )
    return _named(dem, kernel, "hillshade", "1")


def _named(
    dem: xr.DataArray, kernel: Callable[[NDArray[Any]], NDArray[Any]], name: str, units: str
) -> xr.DataArray:
    result = map_with_halo(as_float(dem), kernel, terrain.HALO_PX, np.dtype(np.float32))
    result.attrs = {"long_name": name, "units": units}
    return result.rename(name)
