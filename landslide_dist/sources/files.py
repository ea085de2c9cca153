"""Input files as such: how GDAL reaches them, which version was read, and one-line reasons."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import rasterio
from fsspec import AbstractFileSystem
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from landslide_dist.errors import DataError

#: The parts of a Shapefile that change with its content.
_SHAPEFILE_PARTS = (".shp", ".dbf", ".shx", ".prj")


#: How inputs are reached; fsspec knows more ways, some of which run programs or unpack archives.
SCHEMES = ("file", "s3", "https", "http")

#: What GDAL puts before the files of object stores and servers, and what their URLs begin with.
_REMOTE = {"/vsis3/": "s3://", "/vsicurl/": ""}
#: What GDAL calls a file inside a local archive.
_ARCHIVED = re.compile(r"/vsi(?:zip|tar|gzip)/(.+)")
#: Part of a file, or a database, as a driver of GDAL names it: ``NETCDF:file.nc:variable``.
_CONNECTION = re.compile(r"[A-Za-z0-9_]+:(?!//)")


def filesystem_of(path: str) -> tuple[AbstractFileSystem, str]:
    """The file system of an input, and its path there.

    Args:
        path: Path or URL, also a pattern of several.

    Raises:
        DataError: Its scheme is unknown, or it cannot be reached.
    """
    scheme = path.partition("://")[0] if "://" in path else "file"
    if scheme not in SCHEMES:
        raise DataError(
            f"{path!r} has scheme {scheme!r}; inputs are paths or {', '.join(SCHEMES)}://"
        )
    try:
        fs, inner = fsspec.core.url_to_fs(path)
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"{path!r} cannot be reached: {reason(error)}") from error
    return fs, str(inner)


def describe(path: str) -> list[dict[str, Any]]:
    """Which version of a file was read.

    Returns:
        One entry a file: ``path``, ``size`` in bytes and ``mtime`` (ISO 8601, UTC), or what the
        object store tells: ``etag``. A file in a local archive has those of the archive; one that
        is not there has the path alone.

    Raises:
        DataError: It cannot be reached, or nothing tells one version of it from another.
    """
    if path.startswith("/vsi"):
        return [_describe_virtual(path)]
    if "://" in path and not path.startswith("file://"):
        return [_describe_remote(path)]
    local = Path(path.removeprefix("file://"))
    if _is_connection(path):
        raise _no_version(path)
    if local.suffix.lower() == ".shp":
        parts = [local.with_suffix(suffix) for suffix in _SHAPEFILE_PARTS]
        return [_describe_local(str(part), part) for part in parts if part.exists()]
    return [_describe_local(path, local)]


def describe_raster(path: str) -> list[dict[str, Any]]:
    """Which versions of a raster's files were read.

    These are the file itself, those beside it that GDAL reads with it (masks, world files) and, of
    a virtual raster (VRT), the same of all its sources. Viewers write statistics into an
    ``.aux.xml``, so of that only what changes values is told.

    Returns:
        Entries as :func:`describe` gives them, the file itself first.

    Raises:
        DataError: The raster cannot be opened, a file of it cannot be reached, or nothing tells
            one version of it from another.
    """
    entries: _Entries = {}
    _name_files(path, entries)
    return [
        entry
        for name, known in entries.items()
        for entry in (describe(name) if known is None else [known])
    ]


#: File -> what is told of it; None: its version.
_Entries = dict[str, dict[str, Any] | None]


def _name_files(path: str, names: _Entries) -> None:
    """Add the files of a raster that are not named yet."""
    with gdal_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # as tiles of a VRT may be
        with rasterio.open(path) as dataset:
            files = [_url_of(file) for file in dataset.files]
            is_virtual = dataset.driver == "VRT"
            read = {
                "nodata": [str(value) for value in dataset.nodatavals],
                "scales": [*dataset.scales, *dataset.offsets],
                "transform": list(dataset.transform)[:6],
                "crs": dataset.crs.to_wkt() if dataset.crs else None,
            }
    if not _is_connection(path):
        names[path] = None
    for file in files:
        if file in names or file == _url_of(path.removeprefix("file://")):
            continue
        if file.endswith(".ovr"):
            continue  # the full resolution is read
        if file.endswith(".aux.xml"):
            names[file] = {"path": file, **read}
            continue
        if not is_virtual:
            names[file] = None
            continue
        # GDAL names the sources of a VRT, but neither what lies beside them nor their own sources.
        try:
            _name_files(file, names)
        except DataError:
            names[file] = None  # no raster but e.g. statistics, or a tile that is not there


def _url_of(file: str) -> str:
    """The URL of a file of an object store or server that GDAL names; others as they are."""
    for prefix, scheme in _REMOTE.items():
        if file.startswith(prefix):
            return scheme + file.removeprefix(prefix)
    return file


def _is_connection(path: str) -> bool:
    return _CONNECTION.match(path) is not None and not Path(path).exists()


def _no_version(path: str) -> DataError:
    return DataError(
        f"{path!r} has neither size and time nor ETag by which to tell whether it has changed; "
        f"give a plain file, or {', '.join(scheme + '://' for scheme in SCHEMES[1:])}"
    )


def _describe_virtual(path: str) -> dict[str, Any]:
    """A path of GDAL's own file systems."""
    url = _url_of(path)
    if url != path:
        return _describe_remote(url) | {"path": path}
    if archived := _ARCHIVED.match(path):
        inside = Path(archived[1])
        for archive in (inside, *inside.parents):
            if archive.is_file():
                return _describe_local(path, archive)
    raise _no_version(path)


def _describe_local(path: str, local: Path) -> dict[str, Any]:
    if not local.exists():
        return {"path": path}
    status = local.stat()
    mtime = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="microseconds")
    return {"path": path, "size": status.st_size, "mtime": mtime}


def _describe_remote(path: str) -> dict[str, Any]:
    fs, inner = filesystem_of(path)
    try:
        info = fs.info(inner)
    except (OSError, ValueError) as error:
        raise DataError(f"{path!r} cannot be reached: {reason(error)}") from error
    entry = {"path": path, "size": info.get("size")}
    etag = info.get("ETag") or info.get("etag")
    return entry | ({"etag": str(etag).strip('"')} if etag else {})


@contextmanager
def gdal_errors(path: str) -> Iterator[None]:
    """GDAL set up for object stores; what it raises becomes one line that names the file."""
    try:
        with rasterio.Env(**_remote_options(path)):
            yield
    except RasterioError as error:
        # "Read failed. See previous exception for details."
        cause = error.__cause__ or error
        raise DataError(f"{path!r} cannot be read: {reason(cause)}") from error


def _remote_options(path: str) -> dict[str, Any]:
    """Remote reads are cached and tried again, after a pause, when a server is busy."""
    if "://" not in path or path.startswith("file://"):
        return {}
    return {
        "GDAL_HTTP_MAX_RETRY": 5,
        "GDAL_HTTP_RETRY_DELAY": 1,
        "VSI_CACHE": True,
        **_endpoint(path),
    }


def _endpoint(path: str) -> dict[str, Any]:
    """GDAL knows the usual AWS settings but for the endpoint's URL."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not path.startswith("s3://") or not endpoint:
        return {}
    parts = urlsplit(endpoint)
    return {
        "AWS_S3_ENDPOINT": parts.netloc + parts.path.rstrip("/"),
        "AWS_HTTPS": parts.scheme == "https",
        "AWS_VIRTUAL_HOSTING": False,
    }


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def some(values: Any, limit: int = 5) -> str:
    """The first of many values, for a message: ``3, 7, 9, 12, 40 and 12 more``."""
    listed = [str(value) for value in values]
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
