"""Landslide4Sense: patches of one Sentinel-2 date with landslide masks, and no place on a map.

Ghorbanzadeh et al. 2022, IEEE JSTARS 15: HDF5 files of 14 bands (``img``; B1 to B12, slope,
elevation, rescaled) and of masks (``mask``), 128 x 128 pixels. Copies as RGB pictures, with masks
as pictures, go about as well.
"""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.chips import NUM_COLOURS, PNG_BY_ROWS
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
    image: Path
    mask: Path

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Colours, shape (3, y, x), of HDF5 stretched band by band; and where landslides are.

        Raises:
            ConfigError: h5py is not installed.
            DataError: A file is broken, holds something else, or the two differ in size.
        """
        colours, mask = _colours(self.image), _mask(self.mask)
        if colours.shape[1:] != mask.shape:
            raise DataError(
                f"{str(self.image)!r} has {colours.shape[1]} x {colours.shape[2]} px but "
                f"{str(self.mask)!r} {mask.shape[0]} x {mask.shape[1]}"
            )
        return colours, mask


def find_patches(folder: str | Path) -> list[Patch]:
    """All images with their masks below a folder, in order of their names.

    Images are ``image_N.h5`` or ``.png``, masks ``mask_N`` or ``mask_for_image_N``, in one folder
    or in ``img`` and ``mask`` (``images`` and ``masks``) beside each other.

    Raises:
        DataError: There are none, two of one number, or one without the other.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"folder {str(folder)!r} does not exist")
    found: dict[str, dict[tuple[Path, int], Path]] = {"image": {}, "mask": {}}
    for path in sorted(root.rglob("*")):
        if (match := _NAME.fullmatch(path.name)) and path.is_file():
            of_kind = path.parent.name.lower() in _OF_KIND and path.parent != root
            place = path.parent.parent if of_kind else path.parent
            key = (place.relative_to(root), int(match["number"]))
            files = found[_KINDS[match["kind"].lower()]]
            if key in files:
                raise DataError(
                    f"{str(files[key])!r} and {str(path)!r} have one number; leave one of them"
                )
            files[key] = path
    _check_pairs(folder, found["image"], found["mask"])
    return [
        Patch((place / image.stem).as_posix(), image, found["mask"][place, number])
        for (place, number), image in sorted(found["image"].items())
    ]


def _check_pairs(folder: str | Path, images: dict[Any, Path], masks: dict[Any, Path]) -> None:
    if not images:
        raise DataError(f"no image_N.h5 or image_N.png below {str(folder)!r}")
    for missing, there, others in (("mask", images, masks), ("image", masks, images)):
        if alone := _names(path for key, path in there.items() if key not in others):
            raise DataError(f"below {str(folder)!r} {alone} have no {missing} of the same number")


def _names(paths: Iterable[Path]) -> str:
    return some(path.name for path in paths)


def _colours(path: Path) -> NDArray[np.uint8]:
    if path.suffix.lower() == ".png":
        return _picture(path)
    values = _dataset(path, "img")
    if values.ndim != 3 or values.shape[2] != NUM_BANDS:
        raise DataError(
            f"{str(path)!r}: img has shape {values.shape}; published are (rows, columns, "
            f"{NUM_BANDS})"
        )
    colours = np.moveaxis(values[..., RGB], 2, 0).astype(np.float64)
    if not np.isfinite(colours).all():
        raise DataError(f"{str(path)!r}: img holds values that are not finite")
    low, high = np.quantile(colours, STRETCH, axis=(1, 2), keepdims=True)
    # The values are rescaled ones without a unit: only their order within a patch is known.
    share = (colours - low) / np.maximum(high - low, np.finfo(np.float64).tiny)
    return np.asarray(np.rint(255 * np.clip(share, 0, 1)), np.uint8)


def _mask(path: Path) -> NDArray[np.bool_]:
    values = _picture(path)[0] if path.suffix.lower() == ".png" else _dataset(path, "mask")
    kinds = np.unique(values)
    if values.ndim != 2 or not set(kinds.tolist()) <= {0, 1} | {0, 255}:
        raise DataError(
            f"{str(path)!r} is no mask: it has the values {some(kinds)}, not 0 and 1 or 255"
        )
    return np.asarray(values > 0)


def _picture(path: Path) -> NDArray[np.uint8]:
    """The colours of an 8-bit picture; one of greys has one."""
    with gdal_errors(str(path)), rasterio.Env(**PNG_BY_ROWS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as picture:
            if set(picture.dtypes) != {"uint8"} or picture.count == 2:
                raise DataError(
                    f"{str(path)!r} has {picture.count} bands of {picture.dtypes[0]}; pictures "
                    "must be 8-bit RGB, and masks that or grey"
                )
            bands = list(range(1, min(picture.count, NUM_COLOURS) + 1))
            return np.asarray(picture.read(bands), np.uint8)


def _dataset(path: Path, name: str) -> NDArray[Any]:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{str(path)!r} is HDF5, which needs h5py: pip install 'landslide-dist[hdf5]'"
        ) from error
    with HDF5_LOCK:
        try:
            with h5py.File(path, "r") as file:
                if name not in file:
                    raise DataError(f"{str(path)!r} has no {name!r}; it has {some(file)}")
                return np.asarray(file[name][...])
        except (OSError, RuntimeError) as error:
            raise DataError(f"{str(path)!r} cannot be read as HDF5: {reason(error)}") from error
