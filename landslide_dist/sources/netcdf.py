"""Where raw pixels come from: one variable of a netCDF file, or of what else xarray opens."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rioxarray  # noqa: F401 - registers the accessor `rio`
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import DataError
from landslide_dist.grid import Window
from landslide_dist.sources.band import differs, one_crs
from landslide_dist.sources.files import describe, reason

#: The HDF5 library serves one thread at a time.
HDF5_LOCK = threading.Lock()


@dataclass(frozen=True)
class NetcdfBand:
    """A two-dimensional section of a variable, north-up whatever the order in the file.

    Attributes:
        y: The file's name of the dimension of rows.
        x: The file's name of the dimension of columns.
        select: Position along each other dimension.
        nodata: Value without data beside the file's own fill value; None: no other.
        states_nodata: Whether NaN stands for the file's own fill value.
    """

    path: str
    variable: str
    y: str
    x: str
    select: Mapping[str, int]
    crs: str
    transform: Affine
    shape: tuple[int, int]
    nodata: float | None
    states_nodata: bool

    @classmethod
    def open(cls, config: RasterSource) -> "NetcdfBand":
        """Look at a file without reading pixels.

        The coordinates are pixel centres, as the CF conventions say, even where a
        ``GeoTransform`` attribute says otherwise.

        Raises:
            DataError: The file is missing or broken, has no such variable or dimension, its
                coordinates are uneven, or it has no CRS.
        """
        names = {"y": "y", "x": "x", **(config.dims or {})}
        with HDF5_LOCK, _open(config.path) as ds:
            array = _section(ds, config, names)
            (y_origin, y_step), (x_origin, x_step) = (
                _axis(array, names[axis], config.path) for axis in ("y", "x")
            )
            stated = array.rio.crs
            filled = {"_FillValue", "missing_value"} & set(array.encoding)
            return cls(
                config.path,
                str(config.variable),
                names["y"],
                names["x"],
                dict(config.select),
                one_crs(config.path, stated.to_wkt() if stated else None, config.crs),
                Affine(x_step, 0.0, x_origin, 0.0, -y_step, y_origin),
                (array.sizes[names["y"]], array.sizes[names["x"]]),
                config.nodata,
                any(array.encoding[name] is not None for name in filled),
            )

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values of a window, unpacked as CF says, and where they are data."""
        with HDF5_LOCK, _open(self.path) as ds:
            array = _north_up(ds[self.variable].isel(self.select), self.y, self.x)
            try:
                values = array.isel({self.y: window.slices[0], self.x: window.slices[1]}).to_numpy()
            except (OSError, RuntimeError) as error:
                raise DataError(f"{self.path!r} cannot be read: {reason(error)}") from error
        valid = ~np.isnan(values) if self.states_nodata else np.ones(values.shape, np.bool_)
        return values, valid if self.nodata is None else valid & differs(values, self.nodata)

    def provenance(self) -> list[dict[str, Any]]:
        """The file."""
        return describe(self.path)


def _open(path: str) -> xr.Dataset:
    try:
        return xr.open_dataset(path, decode_times=False, decode_coords="all", cache=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{path!r} cannot be opened by xarray: {reason(error)}") from error


def _section(ds: xr.Dataset, config: RasterSource, names: Mapping[str, str]) -> xr.DataArray:
    """The variable, with y and x as its only dimensions, in this order, north-up."""
    if config.variable not in ds.data_vars:
        raise DataError(
            f"{config.path!r} has no variable {config.variable!r}; it has "
            f"{', '.join(map(str, ds.data_vars))}"
        )
    array = ds[config.variable]
    sizes = {str(name): size for name, size in array.sizes.items()}
    for axis, name in names.items():
        if name not in sizes:
            raise DataError(
                f"{config.path!r}: {config.variable!r} has dimensions {list(sizes)}, not "
                f"{name!r}; give dims: {{{axis}: NAME}}"
            )
    others = {name: size for name, size in sizes.items() if name not in names.values()}
    for name, size in others.items():
        if not 0 <= config.select.get(name, -1) < size:
            raise DataError(
                f"{config.path!r}: {config.variable!r} has {size} positions along {name!r}; "
                f"give select: {{{name}: 0 to {size - 1}}}"
            )
    if extra := sorted(set(config.select) - set(others)):
        raise DataError(
            f"{config.path!r}: select names {extra}, but {config.variable!r} has {list(others)}"
        )
    return _north_up(array.isel(config.select), names["y"], names["x"])


def _north_up(array: xr.DataArray, y: str, x: str) -> xr.DataArray:
    array = array.transpose(y, x)
    for axis, sign in ((y, -1), (x, 1)):
        if axis in array.coords and array.sizes[axis] > 1:
            first, last = array[axis].to_numpy()[[0, -1]]
            if (last - first) * sign < 0:
                array = array.isel({axis: slice(None, None, -1)})
    return array


def _axis(array: xr.DataArray, axis: str, path: str) -> tuple[float, float]:
    """Outer edge and pixel size along an axis; pixel size counts positive."""
    if axis not in array.coords or array.sizes[axis] < 2:
        raise DataError(f"{path!r} has no coordinates along {axis!r}: its pixels have no place")
    centres = array[axis].to_numpy().astype(np.float64)
    step = (centres[-1] - centres[0]) / (len(centres) - 1)
    even = centres[0] + step * np.arange(len(centres))
    # Coordinates may be float32: a hundredth of a pixel is their rounding, not unevenness.
    if not np.allclose(centres, even, rtol=0, atol=0.01 * abs(step)):
        raise DataError(f"{path!r} has uneven coordinates along {axis!r}; regrid it first")
    return float(centres[0] - step / 2), abs(float(step))
