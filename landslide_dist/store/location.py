"""Where stores live: local paths, ``file://``, ``s3://`` and ``memory://``, through fsspec.

Endpoint and credentials come from the environment or the usual AWS files (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ...), never from a configuration.
"""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import fsspec
import zarr
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError
from fsspec import AbstractFileSystem
from zarr.abc.store import Store
from zarr.errors import GroupNotFoundError
from zarr.storage import FsspecStore, LocalStore

from landslide_dist.errors import StoreError

SCHEMES = ("file", "s3", "memory")

#: Requests under way at a time, of one process; botocore keeps only ten connections by default.
S3_CONCURRENCY = 64
_S3_OPTIONS: dict[str, Any] = {
    # One request for one object: s3fs would otherwise ask for its size first, to get it in parts.
    "max_concurrency": 1,
    "config_kwargs": {
        "max_pool_connections": S3_CONCURRENCY,
        # s3fs tries again itself, and so does store.retry: their pauses would multiply.
        "retries": {"mode": "standard", "max_attempts": 2},
        "connect_timeout": 10,
        "read_timeout": 60,
    },
}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def scheme_of(location: str) -> str:
    """The URL scheme of a location; ``file`` for plain paths.

    Raises:
        StoreError: A scheme that this package does not know.
    """
    scheme = location.partition("://")[0] if "://" in location else "file"
    if scheme not in SCHEMES:
        raise StoreError(
            f"{location!r} has scheme {scheme!r}; use a path or {', '.join(SCHEMES)}://"
        )
    return scheme


def filesystem(location: str) -> tuple[AbstractFileSystem, str]:
    """The fsspec filesystem of a location and the path in it."""
    scheme = scheme_of(location)
    path = location.removeprefix("file://") if scheme == "file" else location
    with store_errors(location):
        fs, inner = fsspec.core.url_to_fs(path, **_options(scheme))
    return fs, str(inner)


def open_group(
    location: str,
    mode: Literal["r", "r+", "a", "w"] = "r",
    attributes: dict[str, Any] | None = None,
) -> zarr.Group:
    """Open the Zarr group at a location.

    Args:
        location: Path or URL.
        mode: As Zarr has it.
        attributes: Of a new group, there as soon as the group is.

    Raises:
        StoreError: It is not there, or cannot be reached or read.
    """
    with store_errors(location):
        store = _zarr_store(location, mode == "r")
        return zarr.open_group(store, mode=mode, zarr_format=3, attributes=attributes)


def exists(location: str) -> bool:
    """Whether a Zarr group is there."""
    fs, path = filesystem(location)
    with store_errors(location):
        return bool(fs.exists(f"{path}/zarr.json"))


def delete(location: str) -> None:
    """Remove a store and its ledger; nothing happens where there is none.

    Its own metadata goes first: a store whose removal is cut short is no store, and not one that
    lacks blocks.

    Raises:
        StoreError: It is still there afterwards (object stores refuse some removals silently).
    """
    fs, path = filesystem(location)
    with store_errors(location):
        for victim in (f"{path}/zarr.json", f"{path}.state", path):
            if fs.exists(victim):
                fs.rm(victim, recursive=True)
            fs.invalidate_cache()
            # Some object stores go on listing the folder itself.
            if set(fs.find(victim)) - {fs._strip_protocol(victim)}:
                raise StoreError(f"{location!r} could not be removed: is the identity read-only?")


def place_of(array: zarr.Array[Any]) -> str:
    """Path or URL of an array, for messages."""
    store = array.store
    if isinstance(store, FsspecStore):
        return str(store.fs.unstrip_protocol(f"{store.path}/{array.path}"))
    return f"{str(store).removeprefix('file://')}/{array.path}"


def stored_bytes(location: str) -> int:
    """Size of all objects below a location; 0 where there is nothing."""
    fs, path = filesystem(location)
    with store_errors(location):
        fs.invalidate_cache()
        return int(fs.du(path)) if fs.exists(path) else 0


@contextmanager
def store_errors(location: str) -> Iterator[None]:
    """Turn what file systems and object stores raise into one clear line."""
    try:
        yield
    except (GroupNotFoundError, FileNotFoundError) as error:
        raise StoreError(f"there is no store at {location!r}: {_reason(error)}") from error
    except PermissionError as error:
        raise StoreError(
            f"access to {location!r} was refused: {_reason(error)}; check the credentials in the "
            "environment (AWS_ACCESS_KEY_ID, AWS_PROFILE) and the bucket's policy"
        ) from error
    except (OSError, BotoCoreError, ClientError, HttpError) as error:
        raise StoreError(_failure(location, error)) from error


@contextmanager
def codec_errors(location: str) -> Iterator[None]:
    """As :func:`store_errors`, also for what decoding a damaged shard raises."""
    try:
        with store_errors(location):
            yield
    except (RuntimeError, ValueError) as error:
        if number := _OS_ERROR.search(str(error)):
            # Rust tells the operating system's number.
            cause = OSError(int(number[1]), _reason(error))
            raise StoreError(_failure(location, cause)) from error
        raise StoreError(
            f"{location!r} holds a damaged shard: {_reason(error)}; remove the store and make it "
            "again"
        ) from error


def _failure(location: str, error: BaseException) -> str:
    if getattr(error, "errno", None) in _DISK_FULL:
        return (
            f"there is no room left at {location!r}: {_reason(error)}; free some and run again: "
            "finished blocks are kept"
        )
    return f"{location!r} could not be used: {_reason(error)}"


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _zarr_store(location: str, read_only: bool) -> Store:
    scheme = scheme_of(location)
    if scheme == "file":
        path = location.removeprefix("file://")
        return LocalStore(os.path.expanduser(path), read_only=read_only)
    return FsspecStore.from_url(location, storage_options=_options(scheme), read_only=read_only)


def _options(scheme: str) -> dict[str, Any]:
    return _S3_OPTIONS if scheme == "s3" else {}
