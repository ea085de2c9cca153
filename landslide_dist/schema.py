"""What a cube holds: every variable as data, and the check that a dataset keeps the contract.

Axis order is ``(..., y, x)``. Integer variables carry ``nodata`` as an attribute and as the fill
value of the Zarr array, never ``_FillValue``: xarray would open them as floats.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from landslide_dist.errors import DataError

#: Category code of "not known"; a cube holds it wherever a map has no polygon or no value.
UNKNOWN_CODE = 0
#: Category code a reader gives to pixels beyond the raster; never stored, zero in every channel.
OUTSIDE_CODE = 255
#: ``landslide`` and ``split`` outside the region or without a label.
UNLABELLED = 255
#: Images without data or masked, in `reflectance` and integer `matched`.
NO_IMAGE = 0
#: Attributes of leading coordinates, and those that lie along another dimension than their own.
COORDINATE_ATTRIBUTES: Mapping[str, Mapping[str, str]] = {
    "distance": {"units": "m", "long_name": "looking distance"},
    "time": {"long_name": "day of the image, ISO 8601"},
    "role": {"long_name": "pre or post event"},
    "pair": {"long_name": "images of one pair share a number"},
    "band": {"long_name": "common name of the band"},
}
COORDINATE_DIMENSION: Mapping[str, str] = {"role": "time", "pair": "time"}
#: Values of ``split`` where the parts are not folds.
TRAIN, VALIDATION, TEST = 0, 1, 2
PART_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Variable:
    """One variable of a cube.

    Attributes:
        name: Name in the Zarr group.
        dtype: NumPy dtype name.
        nodata: Value of pixels without data; NaN for floats.
        units: CF units, ``1`` for codes and indices.
        long_name: What a legend prints.
        leading: Sizes of the dimensions before ``y`` and ``x``.
        flags: Code -> meaning for categorical variables.
        scale: What stored integers are multiplied by; None where they are not scaled.
    """

    name: str
    dtype: str
    nodata: float
    units: str
    long_name: str
    leading: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[int, str] = field(default_factory=dict)
    scale: float | None = None

    @property
    def dims(self) -> tuple[str, ...]:
        """Dimension names, ending in ``y, x``."""
        return (*self.leading, "y", "x")

    @property
    def leading_shape(self) -> tuple[int, ...]:
        """Sizes of the leading dimensions."""
        return tuple(self.leading.values())

    @property
    def bytes_per_pixel(self) -> int:
        """Uncompressed bytes of one (y, x) position."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.leading_shape, dtype=int))

    def attributes(self) -> dict[str, Any]:
        """CF attributes as they are stored."""
        attributes: dict[str, Any] = {
            "long_name": self.long_name,
            "units": self.units,
            "grid_mapping": "spatial_ref",
        }
        if np.dtype(self.dtype).kind in "iu":
            attributes["nodata"] = int(self.nodata)
        if self.scale is not None:
            # Unlike codes these are numbers: whoever opens the store should get them as floats.
            attributes |= {"scale_factor": self.scale, "_FillValue": int(self.nodata)}
        if self.flags:
            attributes["flag_values"] = list(self.flags)
            # CF separates them by blanks, and readers split at whatever is white.
            attributes["flag_meanings"] = " ".join(
                re.sub(r"\s", "_", meaning) for meaning in self.flags.values()
            )
        return attributes


ELEVATION = Variable("elevation", "float32", np.nan, "m", "elevation")
SLOPE = Variable("slope", "float32", np.nan, "degree", "slope (Horn 1981)")
LANDSLIDE = Variable(
    "landslide", "uint8", UNLABELLED, "1", "landslide", flags={0: "no landslide", 1: "landslide"}
)
SPLIT = Variable("split", "uint8", UNLABELLED, "1", "part or fold of each labelled pixel")
PROBABILITY = Variable("probability", "float32", np.nan, "1", "landslide probability")
#: Step of values that are stored as uint8; 250 of them, so that 255 is left for no data.
UINT8_STEP = 1 / 250
#: Only synthetic regions have it: the probability their landslides were drawn from.
TRUE_PROBABILITY = Variable(
    "true_probability", "float32", np.nan, "1", "probability that labels were drawn from"
)


def continuous(name: str, units: str) -> Variable:
    """An extra continuous channel declared in the configuration."""
    return Variable(name, "float32", np.nan, units, name.replace("_", " "))


def categorical(name: str, flags: Mapping[int, str]) -> Variable:
    """A categorical map; code 0 is "unknown" and is always part of the flags."""
    return Variable(
        name,
        "uint8",
        UNKNOWN_CODE,
        "1",
        name.replace("_", " "),
        flags={UNKNOWN_CODE: "unknown", **flags},
    )


def uphill(num_distances: int, dtype: str) -> Variable:
    """Index of the highest pixel of each ring; the dtype's maximum means "none"."""
    return Variable(
        "uphill",
        dtype,
        int(np.iinfo(dtype).max),
        "1",
        "ring position of the highest pixel at each looking distance",
        leading={"distance": num_distances},
    )


def reflectance(num_times: int, num_bands: int) -> Variable:
    """Surface reflectance x 10000 of images, at least 1 where there is data."""
    return Variable(
        "reflectance",
        "uint16",
        0,
        "1e-4",
        "surface reflectance",
        leading={"time": num_times, "band": num_bands},
    )


def matched(num_times: int, num_bands: int, dtype: str) -> Variable:
    """Images with a reference's distribution of values."""
    return Variable(
        "matched",
        dtype,
        0 if np.dtype(dtype).kind == "u" else np.nan,
        "1",
        "images matched to a reference",
        leading={"time": num_times, "band": num_bands},
    )


def valid(num_times: int) -> Variable:
    """Where every band of an image has data and no cloud, shadow or snow is mapped."""
    return Variable(
        "valid",
        "uint8",
        0,
        "1",
        "clear pixels",
        leading={"time": num_times},
        flags={0: "masked or no data", 1: "clear"},
    )


def predicted(name: str, long_name: str, dtype: str) -> Variable:
    """A predicted number in [0, 1], stored as a float or in steps of 1/250."""
    if dtype == "uint8":
        return Variable(name, dtype, 255, "1", long_name, scale=UINT8_STEP)
    return Variable(name, dtype, np.nan, "1", long_name)


def susceptibility_class(bounds: Sequence[float]) -> Variable:
    """Classes of predicted probability, from 1 for the lowest."""
    edges = [f"{bound:g}" for bound in bounds]
    names = [
        f"below {edges[0]}",
        *(f"{low} to {high}" for low, high in pairwise(edges)),
        f"from {edges[-1]}",
    ]
    return Variable(
        "susceptibility_class",
        "uint8",
        0,
        "1",
        "class of landslide probability",
        flags={0: "no data", **dict(enumerate(names, start=1))},
    )


_FIXED = {v.name: v for v in (ELEVATION, SLOPE, LANDSLIDE, SPLIT, TRUE_PROBABILITY)}


def validate(ds: xr.Dataset, location: str) -> None:
    """Check that an opened cube keeps the contract.

    Args:
        ds: The dataset, opened with coordinates.
        location: Where it comes from, for the message.

    Raises:
        DataError: A dimension, dtype, coordinate or attribute is not as declared here.
    """
    for axis in ("y", "x"):
        if axis not in ds.coords:
            raise DataError(f"cube {location!r} has no coordinate {axis!r}; ingest it again")
    _check_axes(ds, location)
    if "spatial_ref" not in ds.variables or "crs_wkt" not in ds["spatial_ref"].attrs:
        raise DataError(f"cube {location!r} has no CRS in 'spatial_ref'; ingest it again")
    for name, array in ds.data_vars.items():
        if name != "spatial_ref":
            _check_variable(array, str(name), location)


def _check_axes(ds: xr.Dataset, location: str) -> None:
    steps = {}
    for axis in ("y", "x"):
        values = ds[axis].to_numpy()
        if values.size < 2:
            continue
        differences = np.diff(values)
        if not np.allclose(differences, differences[0], rtol=1e-6, atol=0):
            raise DataError(f"cube {location!r} has unevenly spaced {axis} coordinates")
        steps[axis] = float(differences[0])
    if steps.get("y", -1.0) > 0 or steps.get("x", 1.0) < 0:
        raise DataError(f"cube {location!r} is not north-up; ingest it again")
    if len(steps) == 2 and not np.isclose(-steps["y"], steps["x"], rtol=1e-6):
        raise DataError(
            f"cube {location!r} has pixel size {steps['x']:g} m in x but {-steps['y']:g} m in y; "
            "square pixels are needed: give cube.grid.pixel_m"
        )


def _check_variable(array: xr.DataArray, name: str, location: str) -> None:
    if array.dims[-2:] != ("y", "x"):
        raise DataError(f"cube {location!r}: {name!r} has dims {array.dims}; they end in y, x")
    if "_FillValue" in array.attrs or "missing_value" in array.attrs:
        raise DataError(f"cube {location!r}: {name!r} carries _FillValue; use the attribute nodata")
    kind = array.dtype.kind
    expected = _FIXED.get(name)
    if expected is not None and array.dtype != np.dtype(expected.dtype):
        raise DataError(
            f"cube {location!r}: {name!r} is {array.dtype}, the contract says {expected.dtype}"
        )
    if kind in "iu" and "nodata" not in array.attrs:
        raise DataError(f"cube {location!r}: {name!r} is {array.dtype} without a nodata attribute")
    if kind == "f" and "units" not in array.attrs:
        raise DataError(f"cube {location!r}: {name!r} has no units; declare them in the config")
