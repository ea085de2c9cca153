"""The object that a lock is: created only where there is none, replaced only if unchanged."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from botocore.exceptions import ClientError
from fsspec import AbstractFileSystem

from landslide_dist.store.location import filesystem, scheme_of, store_errors

#: What S3 answers to a conditional PUT whose condition does not hold.
_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@dataclass(frozen=True)
class Content:
    """A lock as it was read: what it holds, when it was written (Unix time), its ETag on S3."""

    content: bytes
    written: float
    etag: str = ""


class LockFile(Protocol):
    """One object that several processes contend for."""

    def create(self, content: bytes) -> bool:
        """Write it unless it is there; whether it was written."""

    def read(self) -> Content | None:
        """What is there."""

    def replace(self, content: bytes, current: Content) -> bool:
        """Write it if it is still as it was read; whether it was written."""

    def remove(self) -> None:
        """Remove it."""


def open_lock_file(location: str) -> LockFile:
    """The lock file of a store, ``<store>.lock``."""
    fs, path = filesystem(f"{location.rstrip('/')}.lock")
    if scheme_of(location) == "file":
        return LocalLockFile(Path(path))
    return ObjectLockFile(fs, path, is_s3=scheme_of(location) == "s3")


@dataclass(frozen=True)
class LocalLockFile:
    """A file: ``O_EXCL`` to create, ``flock`` while it is compared and rewritten."""

    path: Path

    def create(self, content: bytes) -> bool:
        """Write it unless it is there."""
        with store_errors(str(self.path)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            except FileExistsError:
                return False
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        return True

    def read(self) -> Content | None:
        """What is there."""
        with store_errors(str(self.path)):
            try:
                content = self.path.read_bytes()
                written = self.path.stat().st_mtime
            except FileNotFoundError:
                return None
        return Content(content, written)

    def replace(self, content: bytes, current: Content) -> bool:
        """Rewrite it in place, so that all contenders lock the same file."""
        with store_errors(str(self.path)), self._guarded() as is_there:
            if not is_there or self.path.read_bytes() != current.content:
                return False
            with self.path.open("r+b") as file:
                file.write(content)
                file.truncate()
        return True

    def remove(self) -> None:
        """Remove it."""
        with store_errors(str(self.path)):
            self.path.unlink(missing_ok=True)

    @contextmanager
    def _guarded(self) -> Iterator[bool]:
        try:
            # On NFS only what is open for writing can be locked for one alone.
            handle = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield True
        finally:
            os.close(handle)


@dataclass(frozen=True)
class ObjectLockFile:
    """An object: conditional PUTs, by ``If-None-Match`` and ``If-Match``."""

    fs: AbstractFileSystem
    path: str
    is_s3: bool

    def create(self, content: bytes) -> bool:
        """Write it unless it is there."""
        return self._put(content, mode="create")

    def read(self) -> Content | None:
        """What is there."""
        with store_errors(self.path):
            self.fs.invalidate_cache()
            try:
                info = self.fs.info(self.path)
                content = bytes(self.fs.cat_file(self.path))
            except FileNotFoundError:
                return None
        written = info.get("LastModified") or info["created"]
        return Content(content, written.timestamp(), str(info.get("ETag", "")))

    def replace(self, content: bytes, current: Content) -> bool:
        """Rewrite it if its ETag is the one that was read."""
        return self._put(content, **({"IfMatch": current.etag} if self.is_s3 else {}))

    def remove(self) -> None:
        """Remove it."""
        with store_errors(self.path):
            self.fs.invalidate_cache()
            if self.fs.exists(self.path):
                self.fs.rm_file(self.path)

    def _put(self, content: bytes, **condition: str) -> bool:
        with store_errors(self.path):
            try:
                self.fs.pipe_file(self.path, content, **condition)
            except (FileExistsError, FileNotFoundError):
                return False
            except OSError as error:
                if not _was_refused(error):
                    raise
                return False
        return True


def _was_refused(error: OSError) -> bool:
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response["Error"]["Code"] in _REFUSED
