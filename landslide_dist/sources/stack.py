"""Scenes from one netCDF file with a time dimension and a variable a band."""

from collections.abc import Mapping
from datetime import date

import numpy as np
import xarray as xr

from landslide_dist.config.imagery import BAND_IDS, BoaOffset, StackSource
from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import DataError
from landslide_dist.sources.files import reason
from landslide_dist.sources.netcdf import HDF5_LOCK
from landslide_dist.sources.scene import Scene, Span, none_within, unknown_offset


def stack_scenes(
    source: StackSource, bands: tuple[str, ...], boa_offset: BoaOffset, span: Span
) -> list[Scene]:
    """One scene a time step.

    Args:
        source: The file.
        bands: Common names of the bands that are wanted.
        boa_offset: Is subtracted; such files say nothing of it themselves.
        span: Days that count.

    Raises:
        ConfigError: ``metadata`` is to tell the offset.
        DataError: The file is missing or broken, lacks a variable or dates, or has none in span.
    """
    names = {band: source.variables.get(band, BAND_IDS[band]) for band in bands}
    days = _days(source, names)
    wanted = [position for position, day in enumerate(days) if day in span]
    if not wanted:
        raise none_within(source.path, span, days)
    if boa_offset == "metadata":
        raise unknown_offset(source.path)

    def section(variable: str, position: int, nodata: float | None) -> RasterSource:
        return RasterSource(
            path=source.path,
            variable=variable,
            dims=source.dims and dict(source.dims),
            select={source.time: position},
            crs=source.crs,
            nodata=nodata,
        )

    return [
        Scene(
            name=f"{source.path.rpartition('/')[2]} time {i}",
            day=days[i],
            # Two time steps of one day are two acquisitions.
            acquisition=f"{days[i]} time {i:04d}",
            order=("", 0.0, str(i)),
            bands={band: section(name, i, source.nodata) for band, name in names.items()},
            offsets=dict.fromkeys(bands, boa_offset),
            classes=section(source.scl, i, None) if source.scl else None,
        )
        for i in wanted
    ]


def _days(source: StackSource, names: Mapping[str, str]) -> list[date]:
    try:
        with HDF5_LOCK, xr.open_dataset(source.path, cache=False) as ds:
            _check_variables(source, names, [str(name) for name in ds.data_vars])
            if source.time not in ds.coords:
                raise DataError(
                    f"{source.path!r} has no dates along {source.time!r} (it has the coordinates "
                    f"{', '.join(map(str, ds.coords))}); give the source's time"
                )
            times = np.atleast_1d(ds[source.time].to_numpy())
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{source.path!r} cannot be opened by xarray: {reason(error)}") from error
    if times.dtype.kind != "M" or np.isnat(times).any():
        raise DataError(f"{source.path!r}: {source.time!r} holds no dates (units 'days since ...')")
    days: list[date] = times.astype("datetime64[D]").tolist()
    return days


def _check_variables(source: StackSource, names: Mapping[str, str], there: list[str]) -> None:
    for band, name in names.items():
        if name not in there:
            raise DataError(
                f"{source.path!r} has no variable {name!r} for {band}; give variables: "
                f"{{{band}: NAME}} (it has {', '.join(there)})"
            )
    if source.scl and source.scl not in there:
        raise DataError(
            f"{source.path!r} has no variable {source.scl!r}; give scl: NAME, or scl: null if "
            f"clouds are not mapped (it has {', '.join(there)})"
        )
