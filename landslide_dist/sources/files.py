"""Input files as such: how GDAL reaches them, which version was read, and one-line reasons."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
import rasterio
from fsspec import AbstractFileSystem
from rasterio.errors import RasterioError

from landslide_dist.errors import DataError

#: The parts of a Shapefile that change with its content.
_SHAPEFILE_PARTS = (".shp", ".dbf", ".shx", ".prj")


#: How inputs are reached; fsspec knows more ways, some of which run programs or unpack archives.
SCHEMES = ("file", "s3", "https", "http")


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
        object store tells: ``etag``. Paths that only GDAL understands have no size.
    """
    if "://" in path and not path.startswith("file://"):
        return [_describe_remote(path)]
    local = Path(path.removeprefix("file://"))
    if local.suffix.lower() == ".shp":
        parts = [local.with_suffix(suffix) for suffix in _SHAPEFILE_PARTS]
        return [_describe_local(str(part), part) for part in parts if part.exists()]
    return [_describe_local(path, local)]


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
