"""``doctor``: whether stores can be read and written, and how fast.

What is written is a small object of its own beside a cube, never inside it, and is removed again
whatever happens.
"""

import os
import shutil
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from fsspec import AbstractFileSystem

from landslide_dist.errors import LandslideDistError, StoreError
from landslide_dist.sources import target_grid
from landslide_dist.stages.doctor.check import Check, amount, fail, guarded, ok, refused, warn
from landslide_dist.stages.doctor.needs import Needs, written_bytes
from landslide_dist.store.location import filesystem, scheme_of, store_errors, stored_bytes
from landslide_dist.store.lock_file import open_lock_file

_MIB = 2**20
#: Long enough that the start of a transfer does not count.
_TRANSFER_BYTES = 16 * _MIB
_NUM_REQUESTS = 5
#: What makes a store the part that everything else waits for.
_SLOW_S, _SLOW_MIB_S = 0.5, 5.0
_NO_PERMISSION = "give a folder that you may write to, or mend its permissions"

_NO_BUCKET = "make the bucket, or correct cube.location or AWS_ENDPOINT_URL"


def stores(needs: Needs) -> Iterator[Check]:
    """Every place that the run writes to, each once."""
    run_dir = needs.run_dir
    places = [_above(location) for location in needs.cubes]
    if "://" in run_dir and not run_dir.startswith("file://"):
        yield fail("run_dir", f"{run_dir!r} is no local folder", "give run_dir a local path")
    else:
        places.append(run_dir)
    for folder in dict.fromkeys(_existing(place) for place in places):
        yield from guarded(f"store {folder}", partial(_store, folder))
    yield from disk_space(needs)


def _store(folder: str) -> Iterator[Check]:
    """One folder: credentials, reading, writing, and what locks need."""
    name = f"store {folder}"
    scheme = scheme_of(folder)
    if scheme == "memory":
        yield warn(name, "is gone when a command ends", "give a path or an s3:// URL")
    if scheme == "s3":
        yield credentials(name)
    remedy = _NO_PERMISSION if scheme == "file" else ""
    for look in (_listing, _transfer, _conditional_writes):
        try:
            yield from look(name, folder)
        except LandslideDistError as error:
            yield refused(f"{name}, {_DOES[look]}", error, remedy, _NO_BUCKET)
            return


def credentials(name: str) -> Check:
    """Where the credentials of an object store come from; what they are is never shown."""
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        found = botocore.session.Session().get_credentials()
    except BotoCoreError as error:
        raise StoreError(
            f"credentials cannot be read: {error}; correct AWS_PROFILE or the AWS files"
        ) from error
    given = [variable for variable in sorted(os.environ) if variable.startswith("AWS_")]
    listed = f"; set are {', '.join(given)}" if given else ""
    if found is None:
        return fail(
            f"{name}, credentials",
            f"there are none{listed}",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        )
    return ok(f"{name}, credentials", f"by {found.method}{listed}")


def _listing(name: str, folder: str) -> Iterator[Check]:
    fs, path = filesystem(folder)
    with store_errors(folder):
        fs.invalidate_cache()
        # An object store has no folder before something is in it; a missing bucket is an error.
        bucket = fs._strip_protocol(folder).split("/", 1)[0] if scheme_of(folder) == "s3" else path
        fs.ls(bucket if not fs.exists(path) else path)
    yield ok(f"{name}, reading", "can be listed")


def _transfer(name: str, folder: str) -> Iterator[Check]:
    """An object written, read back, timed and removed."""
    probe = _probe(folder)
    fs, path = filesystem(probe)
    content = os.urandom(_TRANSFER_BYTES)
    with store_errors(folder):
        try:
            fs.pipe_file(path, content[:1])
            latency_s = statistics.median(
                _seconds(lambda: fs.cat_file(path)) for _ in range(_NUM_REQUESTS)
            )
            written = _TRANSFER_BYTES / _MIB / _seconds(lambda: fs.pipe_file(path, content))
            back: list[bytes] = []
            read = _TRANSFER_BYTES / _MIB / _seconds(lambda: back.append(fs.cat_file(path)))
        finally:
            is_left = not _removed(fs, path)
    if is_left:
        raise StoreError(f"{probe!r} could not be removed; allow the identity to delete objects")
    found = (
        f"{1000 * latency_s:.2g} ms a request, {written:.0f} MiB/s written, {read:.0f} MiB/s read"
    )
    if back != [content]:
        yield fail(f"{name}, writing", "gave back other bytes", "do not use this store")
    elif latency_s > _SLOW_S or min(written, read) < _SLOW_MIB_S:
        yield warn(f"{name}, writing", found, "run nearer to the store; blocks will wait for it")
    else:
        yield ok(f"{name}, writing", found)


def _conditional_writes(name: str, folder: str) -> Iterator[Check]:
    """What keeps two runs from writing one cube: an object made only where there is none."""
    label = f"{name}, locks"
    file = open_lock_file(_probe(folder))
    try:
        made, made_again = file.create(b"first"), file.create(b"second")
        current = file.read()
        replaced = current is not None and file.replace(b"third", current)
        # On what has been replaced since, the condition does not hold.
        outdated = current is not None and file.replace(b"fourth", current)
    finally:
        file.remove()
    if made and not made_again and replaced and not outdated:
        yield ok(label, "an object is made once and replaced only as it was read")
    else:
        yield fail(
            label,
            "conditional writes are not honoured: two runs could write one cube",
            "use a store with conditional PUTs (Amazon S3, MinIO, SeaweedFS), or a local disk",
        )


def disk_space(needs: Needs) -> Iterator[Check]:
    """Free space of local disks against what will be written, uncompressed."""
    wanted: dict[str, int] = {}
    for run in needs.regions.values():
        location = run.cube.location
        if scheme_of(location) != "file":
            continue
        try:
            size = written_bytes(run, target_grid(run))
        except LandslideDistError:
            continue  # the looks at inputs tell
        folder = _existing(_above(location))
        wanted[folder] = wanted.get(folder, 0) + max(0, size - stored_bytes(location))
    for folder, size in wanted.items():
        free = shutil.disk_usage(folder).free
        found = f"{amount(free)} free, at most {amount(size)} will be written"
        if free < size:
            yield warn(f"disk {folder}", found, "free some, or give cube.location another disk")
        else:
            yield ok(f"disk {folder}", found)


_DOES: dict[Callable[[str, str], Iterator[Check]], str] = {
    _listing: "reading",
    _transfer: "writing",
    _conditional_writes: "locks",
}


def _probe(folder: str) -> str:
    return f"{folder.rstrip('/')}/.landslide-dist-doctor-{uuid.uuid4().hex[:12]}"


def _removed(fs: AbstractFileSystem, path: str) -> bool:
    """Remove an object, if it is there; some object stores refuse that silently."""
    fs.invalidate_cache()
    if fs.exists(path):
        fs.rm_file(path)
        fs.invalidate_cache()
    return not fs.exists(path)


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _above(location: str) -> str:
    """The folder that a store lies in."""
    scheme, separator, path = location.rstrip("/").rpartition("://")
    parent = path.rpartition("/")[0]
    return f"{scheme}{separator}{parent}" if separator else parent or "."


def _existing(folder: str) -> str:
    """The folder, or of local ones that are not made yet the next above that is."""
    if "://" in folder and not folder.startswith("file://"):
        return folder
    path = Path(folder.removeprefix("file://")).expanduser().absolute()
    return str(next(place for place in (path, *path.parents) if place.is_dir()))
