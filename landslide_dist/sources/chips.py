"""Folders of image chips, on this machine or behind a URL: their files, and counts of their values.

Bijie and its like are plain 8-bit RGB pictures without a CRS (reporting bias paper, data); scenes
are matched to their values before chips' models see them.
"""

import glob
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
import rasterio
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError
from fsspec import AbstractFileSystem
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from landslide_dist.errors import DataError
from landslide_dist.kernels.histogram import count_values, num_values
from landslide_dist.progress import track
from landslide_dist.sources.files import filesystem_of, gdal_errors, reason, some

#: Endings of the pictures that are read, in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
NUM_COLOURS = 3
#: Table beside pictures that were cut out of larger ones: ``file`` below its folder, and ``patch``.
TABLE = "chips.csv"
#: Read at once, what is missing of a truncated PNG would pass for black.
PNG_BY_ROWS = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}


@dataclass(frozen=True)
class ChipFile:
    """A file of chips; as text, what messages call it.

    Attributes:
        path: Path or URL.
        fs: Where a URL is read from; None: a file of this machine.
    """

    path: str
    fs: AbstractFileSystem | None = None

    @classmethod
    def of(cls, path: str) -> "ChipFile":
        """A file by its path or URL, whether it is there or not.

        Raises:
            DataError: The scheme is unknown.
        """
        return cls(_local(path)) if _is_local(path) else cls(path, filesystem_of(path)[0])

    def __str__(self) -> str:
        return self.path

    @property
    def suffix(self) -> str:
        """Ending of its name, in lower case."""
        return PurePosixPath(self.path).suffix.lower()

    @property
    def exists(self) -> bool:
        """Whether it is there.

        Raises:
            DataError: It cannot be reached.
        """
        if self.fs is None:
            return os.path.isfile(self.path)
        with _reached(self.path):
            return bool(self.fs.exists(self.path))

    def to_read(self) -> str | BytesIO:
        """What libraries open: the path, or all that a URL holds.

        Raises:
            DataError: It cannot be reached.
        """
        if self.fs is None:
            return self.path
        with _reached(self.path):
            return BytesIO(self.fs.cat_file(self.path))


def files_matching(pattern: str) -> list[ChipFile]:
    """Files that a glob matches, in order of their paths.

    Args:
        pattern: Path, or ``s3://``, ``file://`` or ``https://`` URL where the server lists folders;
            ``**`` stands for any folders. Names that begin with a dot are matched by such alone.

    Raises:
        DataError: The URL cannot be reached.
    """
    if _is_local(pattern):
        found = glob.glob(_local(pattern), recursive=True)
        return [ChipFile(path) for path in sorted(found) if os.path.isfile(path)]
    fs, inner = filesystem_of(pattern)
    with _reached(pattern):
        # What was listed before may have changed.
        fs.invalidate_cache()
        entries = fs.glob(inner, detail=True)
        if not entries and pattern.startswith("s3://"):
            _check_bucket(fs, pattern, inner.partition("/")[0])
    names = [name for name, entry in entries.items() if entry["type"] == "file"]
    if not PurePosixPath(inner).name.startswith("."):
        names = [name for name in names if not PurePosixPath(name).name.startswith(".")]
    return [ChipFile(path, fs) for path in sorted(map(fs.unstrip_protocol, names))]


def files_below(folder: str | Path) -> dict[PurePosixPath, ChipFile]:
    """Path below a folder -> file, of it and its subfolders, in order of these paths.

    Args:
        folder: Path, or URL as of :func:`files_matching`.

    Raises:
        DataError: It does not exist, or the URL cannot be reached.
    """
    place = str(folder)
    if _is_local(place):
        root = Path(_local(place))
        if not root.is_dir():
            raise DataError(f"folder {place!r} does not exist")
        files = [path for path in sorted(root.rglob("*")) if path.is_file()]
        below = [PurePosixPath(path.relative_to(root)) for path in files]
        return dict(zip(below, map(ChipFile, map(str, files)), strict=True))
    fs, inner = filesystem_of(place)
    above = f"{inner.rstrip('/')}/"
    with _reached(place):
        fs.invalidate_cache()
        entries = fs.find(above, detail=True)
    # Object stores may list the folder itself as well.
    names = [name for name in entries if name.startswith(above) and not name.endswith("/")]
    found = {PurePosixPath(name.removeprefix(above)): name for name in names}
    return {name: ChipFile(fs.unstrip_protocol(found[name]), fs) for name in sorted(found)}


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
    files = pictures(folder)
    for file in track(files, "counting values of chips", total=len(files)):
        _add_picture(file, counts)
    return dict(zip(bands, counts, strict=True))


def pictures(folder: str | Path) -> list[ChipFile]:
    """Pictures in a folder and its subfolders, in order of their paths.

    Raises:
        DataError: There are none, or the folder cannot be reached.
    """
    files = files_below(folder)
    found = [file for file in files.values() if file.suffix in SUFFIXES]
    if not found:
        others = f"it has {some(path.name for path in files)}" if files else "it is empty"
        raise DataError(f"no {', '.join(SUFFIXES)} pictures below {str(folder)!r}: {others}")
    return found


def _add_picture(file: ChipFile, counts: NDArray[np.int64]) -> None:
    with gdal_errors(file.path), rasterio.Env(**PNG_BY_ROWS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(file.path) as picture:
            _check_rgb(picture, file)
            valid = picture.dataset_mask()
            for band in range(NUM_COLOURS):
                counts[band] += count_values(picture.read(band + 1), valid, counts.shape[1])


def _check_rgb(picture: DatasetReader, file: ChipFile) -> None:
    alpha = picture.count == NUM_COLOURS + 1 and picture.colorinterp[-1] == ColorInterp.alpha
    if not (picture.count == NUM_COLOURS or alpha) or set(picture.dtypes) != {"uint8"}:
        raise DataError(
            f"{file.path!r} has {picture.count} bands of {picture.dtypes[0]}; chips must be 8-bit "
            "RGB: keep masks and other pictures in another folder"
        )


def _is_local(path: str) -> bool:
    return "://" not in _local(path)


def _local(path: str) -> str:
    return path.removeprefix("file://")


def _check_bucket(fs: AbstractFileSystem, pattern: str, bucket: str) -> None:
    """To a glob, a bucket that does not exist is one in which nothing matches."""
    try:
        # Who may list a folder need not be allowed to look at its bucket.
        with suppress(PermissionError):
            fs.info(bucket)
    except FileNotFoundError as error:
        raise DataError(f"{pattern!r} cannot be reached: there is no bucket {bucket!r}") from error


@contextmanager
def _reached(path: str) -> Iterator[None]:
    """What servers refuse, or do not answer, becomes one line that names the URL."""
    try:
        yield
    except PermissionError as error:
        raise DataError(
            f"access to {path!r} was refused: {reason(error)}; check the credentials in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_PROFILE) and the bucket's policy"
        ) from error
    except (OSError, ValueError, BotoCoreError, ClientError, HttpError) as error:
        raise DataError(f"{path!r} cannot be reached: {reason(error)}") from error
