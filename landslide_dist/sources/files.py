"""Input files as such: how GDAL reaches them, which version was read, and one-line reasons."""

import os
import re
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
from landslide_dist.progress import console

#: The parts of a Shapefile that change with its content.
_SHAPEFILE_PARTS = (".shp", ".dbf", ".shx", ".prj")


#: How inputs are reached; fsspec knows more ways, some of which run programs or unpack archives.
SCHEMES = ("file", "s3", "https", "http")

#: Files of a virtual raster that are asked for at a time.
_REQUESTS = 16
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
        is not there, or of a place that tells neither, has the path alone.

    Raises:
        DataError: It cannot be reached.
    """
    if path.startswith("/vsi"):
        return [_describe_virtual(path)]
    if "://" in path and not path.startswith("file://"):
        return [_describe_remote(path)]
    local = Path(path.removeprefix("file://"))
    if _is_connection(path):
        return [_no_version(path)]
    if local.suffix.lower() == ".shp":
        parts = [local.with_suffix(suffix) for suffix in _SHAPEFILE_PARTS]
        return [_describe_local(str(part), part) for part in parts if part.exists()]
    return [_describe_local(path, local)]


def describe_raster(path: str) -> list[dict[str, Any]]:
    """Which versions of a raster's files were read.

    These are the file itself, masks and world files beside it and, of a virtual raster (VRT), its
    sources. Viewers write overviews and statistics aside: of an ``.aux.xml`` only what changes
    values counts, and only if it does.

    Returns:
        Entries as :func:`describe` gives them, the file itself first; a source that cannot be
        reached has the path alone.

    Raises:
        DataError: The raster cannot be opened.
    """
    entries: dict[str, dict[str, Any] | None] = {}
    _name_files(path, entries)
    with ThreadPoolExecutor(_REQUESTS) as pool:
        versions = pool.map(_described, entries)
        return [
            entry
            for known, found in zip(entries.values(), versions, strict=True)
            for entry in ([known] if known else found)
        ]


def _described(path: str) -> list[dict[str, Any]]:
    try:
        return describe(path)
    except DataError:
        return [{"path": path}]  # as a tile beyond the grid may be


def _name_files(path: str, entries: dict[str, dict[str, Any] | None]) -> None:
    """Add the files of a raster, None for those whose version is still to be told."""
    dataset_files, is_virtual, read = _opened(path)
    if not _is_connection(path):
        entries[path] = None
    for file in dataset_files:
        if file in entries or file == _url_of(path.removeprefix("file://")):
            continue
        if file.endswith(".aux.xml"):
            if _opened(path, GDAL_PAM_ENABLED="NO")[2] != read:
                entries[file] = {"path": file, **read}
        elif is_virtual and (file.lower().endswith(".vrt") or _is_connection(file)):
            # GDAL does not name the sources of sources, nor the file of what is a part of one.
            try:
                _name_files(file, entries)
            except DataError:
                entries[file] = None
        elif not file.endswith(".ovr"):
            entries[file] = None


def _opened(path: str, **options: str) -> tuple[list[str], bool, dict[str, Any]]:
    """Files of a raster, whether it is virtual, and what is stated beside its pixels."""
    with gdal_errors(path), rasterio.Env(**options), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # as tiles of a VRT may be
        with rasterio.open(path) as dataset:
            read = {
                "nodata": [str(value) for value in dataset.nodatavals],
                "scales": [*dataset.scales, *dataset.offsets],
                "transform": list(dataset.transform)[:6],
                "crs": dataset.crs.to_wkt() if dataset.crs else None,
            }
            return [_url_of(file) for file in dataset.files], dataset.driver == "VRT", read


def _url_of(file: str) -> str:
    """The URL of a file of an object store or server that GDAL names; others as they are."""
    for prefix, scheme in _REMOTE.items():
        if file.startswith(prefix):
            return scheme + file.removeprefix(prefix)
    return file


def _is_connection(path: str) -> bool:
    return _CONNECTION.match(path) is not None and not Path(path).exists()


def _no_version(path: str) -> dict[str, Any]:
    console.print(f"{path}: nothing tells its versions apart; replaced, it counts as the same")
    return {"path": path}


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
    return _no_version(path)


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
