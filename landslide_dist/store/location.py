"""Where stores live: local paths, ``file://``, ``s3://`` and ``memory://``, through fsspec.

Endpoint and credentials come from the environment or the usual AWS files (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ...), never from a configuration.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import fsspec
import zarr
from botocore.exceptions import BotoCoreError, ClientError
from fsspec import AbstractFileSystem
from zarr.abc.store import Store
from zarr.errors import GroupNotFoundError
from zarr.storage import FsspecStore, LocalStore

from landslide_dist.errors import StoreError

SCHEMES = ("file", "s3", "memory")


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
        fs, inner = fsspec.core.url_to_fs(path)
    return fs, str(inner)


def open_group(location: str, mode: Literal["r", "r+", "a", "w"] = "r") -> zarr.Group:
    """Open the Zarr group at a location.

    Raises:
        StoreError: It is not there, or cannot be reached or read.
    """
    with store_errors(location):
        return zarr.open_group(_zarr_store(location, mode == "r"), mode=mode, zarr_format=3)


def exists(location: str) -> bool:
    """Whether a Zarr group is there."""
    fs, path = filesystem(location)
    with store_errors(location):
        return bool(fs.exists(f"{path}/zarr.json"))


def delete(location: str) -> None:
    """Remove a store and its ledger; nothing happens where there is none.

    Raises:
        StoreError: It is still there afterwards (object stores refuse some removals silently).
    """
    fs, path = filesystem(location)
    with store_errors(location):
        for victim in (path, f"{path}.state"):
            if fs.exists(victim):
                fs.rm(victim, recursive=True)
            fs.invalidate_cache()
            # Some object stores go on listing the folder itself.
            if set(fs.find(victim)) - {fs._strip_protocol(victim)}:
                raise StoreError(f"{location!r} could not be removed: is the identity read-only?")


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
    except (OSError, BotoCoreError, ClientError) as error:
        raise StoreError(f"{location!r} could not be used: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _zarr_store(location: str, read_only: bool) -> Store:
    scheme = scheme_of(location)
    if scheme == "file":
        path = location.removeprefix("file://")
        return LocalStore(os.path.expanduser(path), read_only=read_only)
    return FsspecStore.from_url(location, read_only=read_only)
