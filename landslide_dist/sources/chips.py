"""Value counts of folders of image chips, what scenes are matched to before chips' models see them.

Bijie and its like are plain 8-bit RGB pictures without a CRS (reporting bias paper, data).
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from landslide_dist.errors import DataError
from landslide_dist.kernels.histogram import count_values, num_values
from landslide_dist.progress import track
from landslide_dist.sources.files import gdal_errors, some

#: Endings of the pictures that are read, in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
NUM_COLOURS = 3
#: Read at once, what is missing of a truncated PNG would pass for black.
PNG_BY_ROWS = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}


def chip_counts(
    folder: str | Path, bands: Sequence[str] = ("red", "green", "blue")
) -> dict[str, NDArray[np.int64]]:
    """Pixels of each value in all RGB pictures below a folder.

    Args:
        folder: PNG, JPEG and TIFF files in it and its subfolders are read, in order of their
            paths. Transparent pixels and those of the file's nodata value are left out.
        bands: Names of the three bands in the order of the pictures.

    Returns:
        Name of a band -> ``(256,)`` int64.

    Raises:
        DataError: There are no pictures, or one is broken or not 8-bit RGB, with or without alpha.
    """
    if len(bands) != NUM_COLOURS:
        raise DataError(f"chips have {NUM_COLOURS} bands, got the names {', '.join(bands)}")
    counts = np.zeros((NUM_COLOURS, num_values(np.uint8)), dtype=np.int64)
    paths = pictures(folder)
    for path in track(paths, "counting values of chips", total=len(paths)):
        _add_picture(path, counts)
    return dict(zip(bands, counts, strict=True))


def pictures(folder: str | Path) -> list[Path]:
    """Pictures in a folder and its subfolders, in order of their paths.

    Raises:
        DataError: There are none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"folder of chips {str(folder)!r} does not exist")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found = [path for path in files if path.suffix.lower() in SUFFIXES]
    if not found:
        others = f"it has {some(path.name for path in files)}" if files else "it is empty"
        raise DataError(f"no {', '.join(SUFFIXES)} pictures below {str(folder)!r}: {others}")
    return found


def _add_picture(path: Path, counts: NDArray[np.int64]) -> None:
    with gdal_errors(str(path)), rasterio.Env(**PNG_BY_ROWS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as picture:
            _check_rgb(picture, path)
            valid = picture.dataset_mask()
            for band in range(NUM_COLOURS):
                counts[band] += count_values(picture.read(band + 1), valid, counts.shape[1])


def _check_rgb(picture: DatasetReader, path: Path) -> None:
    alpha = picture.count == NUM_COLOURS + 1 and picture.colorinterp[-1] == ColorInterp.alpha
    if not (picture.count == NUM_COLOURS or alpha) or set(picture.dtypes) != {"uint8"}:
        raise DataError(
            f"{str(path)!r} has {picture.count} bands of {picture.dtypes[0]}; chips must be 8-bit "
            "RGB: keep masks and other pictures in another folder"
        )
