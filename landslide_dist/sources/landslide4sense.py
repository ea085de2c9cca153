"""Landslide4Sense: patches of one Sentinel-2 date with landslide masks, and no place on a map.

Ghorbanzadeh et al. 2022, IEEE JSTARS 15: HDF5 files of 14 bands (``img``; B1 to B12, slope,
elevation, rescaled) and of masks (``mask``), 128 x 128 pixels. Copies as RGB pictures, with masks
as pictures, go about as well.
"""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.chips import NUM_COLOURS, PNG_BY_ROWS, ChipFile, files_below
from landslide_dist.sources.files import gdal_errors, reason, some
from landslide_dist.sources.netcdf import HDF5_LOCK

NUM_BANDS = 14
#: Positions of red, green and blue (B4, B3, B2) along the bands.
RGB = [3, 2, 1]
#: Shares of the values of a band that become black and white.
STRETCH = (0.02, 0.98)
#: ``image_12.h5`` goes with ``mask_12.h5``; others have named it ``mask_for_image_12.png``.
_NAME = re.compile(r"(?P<kind>image|mask|mask_for_image)_(?P<number>\d+)\.(?:h5|png)", re.I)
_KINDS = {"image": "image", "mask": "mask", "mask_for_image": "mask"}
#: Folders that part images from masks and tell nothing else.
_OF_KIND = frozenset({"img", "image", "images", "mask", "masks"})


@dataclass(frozen=True)
class Patch:
    """One image and its mask.

    Attributes:
        name: Path of the image below the folder, without its ending and the folder of images.
        image: File.
        mask: File.
    """

    name: str
    image: ChipFile
    mask: ChipFile

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Colours, shape (3, y, x), of HDF5 stretched band by band; and where landslides are.

        Raises:
            ConfigError: h5py is not installed.
            DataError: A file is broken, holds something else, or the two differ in size.
        """
        colours, mask = _colours(self.image), _mask(self.mask)
        if colours.shape[1:] != mask.shape:
            raise DataError(
                f"{self.image.path!r} has {colours.shape[1]} x {colours.shape[2]} px but "
                f"{self.mask.path!r} {mask.shape[0]} x {mask.shape[1]}"
            )
        return colours, mask


def find_patches(folder: str | Path) -> list[Patch]:
    """All images with their masks below a folder, in order of their names.

    Images are ``image_N.h5`` or ``.png``, masks ``mask_N`` or ``mask_for_image_N``, in one folder
    or in ``img`` and ``mask`` (``images`` and ``masks``) beside each other.

    Args:
        folder: Path, or URL that can be listed, e.g. ``s3://``.

    Raises:
        DataError: There are none, two of one number, or one without the other, or the folder cannot
            be reached.
    """
    files = files_below(folder)
    found: dict[str, dict[tuple[PurePosixPath, int], PurePosixPath]] = {"image": {}, "mask": {}}
    for path in files:
        if match := _NAME.fullmatch(path.name):
            of_kind = path.parent.name.lower() in _OF_KIND
            place = path.parent.parent if of_kind else path.parent
            key = (place, int(match["number"]))
            paths = found[_KINDS[match["kind"].lower()]]
            if key in paths:
                raise DataError(
                    f"{files[paths[key]].path!r} and {files[path].path!r} have one number; leave "
                    "one of them"
                )
            paths[key] = path
    _check_pairs(folder, found["image"], found["mask"])
    return [
        Patch((place / image.stem).as_posix(), files[image], files[found["mask"][place, number]])
        for (place, number), image in sorted(found["image"].items())
    ]


def _check_pairs(
    folder: str | Path, images: dict[Any, PurePosixPath], masks: dict[Any, PurePosixPath]
) -> None:
    if not images:
        raise DataError(f"no image_N.h5 or image_N.png below {str(folder)!r}")
    for missing, there, others in (("mask", images, masks), ("image", masks, images)):
        if alone := _names(path for key, path in there.items() if key not in others):
            raise DataError(f"below {str(folder)!r} {alone} have no {missing} of the same number")


def _names(paths: Iterable[PurePosixPath]) -> str:
    return some(path.name for path in paths)


def _colours(file: ChipFile) -> NDArray[np.uint8]:
    if file.suffix == ".png":
        return _picture(file)
    values = _dataset(file, "img")
    if values.ndim != 3 or values.shape[2] != NUM_BANDS:
        raise DataError(
            f"{file.path!r}: img has shape {values.shape}; published are (rows, columns, "
            f"{NUM_BANDS})"
        )
    colours = np.moveaxis(values[..., RGB], 2, 0).astype(np.float64)
    if not np.isfinite(colours).all():
        raise DataError(f"{file.path!r}: img holds values that are not finite")
    low, high = np.quantile(colours, STRETCH, axis=(1, 2), keepdims=True)
    # The values are rescaled ones without a unit: only their order within a patch is known.
    share = (colours - low) / np.maximum(high - low, np.finfo(np.float64).tiny)
    return np.asarray(np.rint(255 * np.clip(share, 0, 1)), np.uint8)


def _mask(file: ChipFile) -> NDArray[np.bool_]:
    values = _picture(file)[0] if file.suffix == ".png" else _dataset(file, "mask")
    kinds = np.unique(values)
    if values.ndim != 2 or not set(kinds.tolist()) <= {0, 1} | {0, 255}:
        raise DataError(
            f"{file.path!r} is no mask: it has the values {some(kinds)}, not 0 and 1 or 255"
        )
    return np.asarray(values > 0)


def _picture(file: ChipFile) -> NDArray[np.uint8]:
    """The colours of an 8-bit picture; one of greys has one."""
    with gdal_errors(file.path), rasterio.Env(**PNG_BY_ROWS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(file.path) as picture:
            if set(picture.dtypes) != {"uint8"} or picture.count == 2:
                raise DataError(
                    f"{file.path!r} has {picture.count} bands of {picture.dtypes[0]}; pictures "
                    "must be 8-bit RGB, and masks that or grey"
                )
            bands = list(range(1, min(picture.count, NUM_COLOURS) + 1))
            return np.asarray(picture.read(bands), np.uint8)


def _dataset(file: ChipFile, name: str) -> NDArray[Any]:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{file.path!r} is HDF5, which needs h5py: pip install 'landslide-dist[hdf5]'"
        ) from error
    content = file.to_read()
    with HDF5_LOCK:
        try:
            with h5py.File(content, "r") as hdf5:
                if name not in hdf5:
                    raise DataError(f"{file.path!r} has no {name!r}; it has {some(hdf5)}")
                return np.asarray(hdf5[name][...])
        except (OSError, RuntimeError) as error:
            raise DataError(f"{file.path!r} cannot be read as HDF5: {reason(error)}") from error
