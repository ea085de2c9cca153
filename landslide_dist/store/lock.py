"""One writer for a store: a lock beside it, with an owner and a heartbeat.

The lock is the object ``<store>.lock``, created where there is none (``O_EXCL``, or a conditional
PUT) and kept fresh by a thread. One whose owner has died is taken over: at once if it ran on this
machine, otherwise when its heartbeat is old, for which a run waits: a job that was put on another
machine does not fail there.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from landslide_dist.errors import LockedError, ProcessError, StoreError
from landslide_dist.progress import console
from landslide_dist.store.lock_file import Content, LockFile, open_lock_file
from landslide_dist.store.retry import persistently

#: Seconds between two heartbeats.
BEAT_S = 20.0
#: Seconds after its last heartbeat at which a lock counts as abandoned.
STALE_S = 120.0


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, and when they were last seen."""

    owner: str
    stage: str
    host: str
    machine: str
    pid: int
    seen: float

    @classmethod
    def here(cls, stage: str) -> "Holder":
        """This process."""
        return cls(uuid.uuid4().hex, stage, socket.gethostname(), _machine(), os.getpid(), 0.0)

    @classmethod
    def parse(cls, content: bytes) -> "Holder | None":
        """What a lock holds; None where its writer was killed before it had written it."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError):
            return None

    def content(self) -> bytes:
        """What is written into the lock."""
        return json.dumps(asdict(self)).encode()

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return self.machine == _machine()

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended, or has not been seen for long."""
        if self.is_here and not _is_running(self.pid):
            return True
        return time.time() - self.seen > STALE_S


class Lock:
    """A lock that this process holds."""

    def __init__(self, location: str, file: LockFile, holder: Holder):
        self._location, self._file, self._holder = location, file, holder
        self._lost = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def check(self) -> None:
        """Raise if another process has taken the lock over.

        Raises:
            ProcessError: This one was out of reach for too long; it must not write any more.
        """
        if self._lost.is_set():
            raise ProcessError(
                f"the lock on {self._location!r} was lost: another run took it over, or may, since "
                f"the store could not be told for {STALE_S:g} s that this one is alive; finished "
                "blocks are kept"
            )

    def __enter__(self) -> "Lock":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._thread.join()
        if persistently(self._ours) is not None:
            persistently(self._file.remove)

    def _beat(self) -> None:
        """Show that we are alive; a store that fails for a while is asked again."""
        seen = time.monotonic()
        while not self._released.wait(BEAT_S):
            try:
                current = self._ours()
                if current is None:
                    self._lost.set()
                    return
                fresh = replace(self._holder, seen=time.time())
                # Refused also where our own PUT went through and its answer was lost: the next beat
                # tells who holds it.
                if self._file.replace(fresh.content(), current):
                    seen = time.monotonic()
            except StoreError:
                pass
            if time.monotonic() - seen > STALE_S - BEAT_S:
                # By now others may take it over.
                self._lost.set()
                return

    def _ours(self) -> Content | None:
        """The lock as it is, if it is still this process's."""
        current = self._file.read()
        holder = Holder.parse(current.content) if current else None
        return current if holder and holder.owner == self._holder.owner else None


@contextmanager
def hold(location: str, stage: str) -> Iterator[Lock]:
    """Hold the lock on a store while it is being written.

    Args:
        location: The store.
        stage: What writes; others are told.

    Raises:
        LockedError: Another process that is alive holds it.
    """
    file = open_lock_file(location)
    holder = replace(Holder.here(stage), seen=time.time())
    _acquire(location, file, holder)
    with Lock(location, file, holder) as lock:
        yield lock


def _acquire(location: str, file: LockFile, holder: Holder) -> None:
    # A second round serves a lock that was released between the two looks at it.
    for _ in range(2):
        if file.create(holder.content()):
            return
        current = file.read()
        if current is None:
            continue
        other = Holder.parse(current.content)
        if other is not None and other.owner == holder.owner:
            return  # the answer to our own PUT was lost, and it was sent again
        if other is not None and not other.is_here:
            current = _watched(location, file, current, other)
            if current is None:
                continue
            other = Holder.parse(current.content)
        gone = other.is_gone if other else time.time() - current.written > STALE_S
        if gone and file.replace(holder.content(), current):
            console.print(f"{holder.stage}: takes over the lock that a dead run left on {location}")
            return
        raise LockedError(_refusal(location, other))
    raise LockedError(_refusal(location, None))


def _watched(location: str, file: LockFile, current: Content, other: Holder) -> Content | None:
    """What a lock of another machine is, once it has shown life, was released, or is old."""
    if not other.is_gone:
        console.print(
            f"{location} is locked by `{other.stage}` on {other.host}: waiting for a sign of life, "
            f"{other.seen + STALE_S - time.time():.0f} s at most"
        )
    while not other.is_gone:
        time.sleep(BEAT_S / 10)
        latest = file.read()
        if latest is None or latest.content != current.content:
            return latest
    return current


def _refusal(location: str, other: Holder | None) -> str:
    if other is None:
        return f"{location!r} is being locked by another run this very moment: try again later"
    return (
        f"{location!r} is being written by `{other.stage}` on {other.host} (process {other.pid}), "
        f"last seen {max(0.0, time.time() - other.seen):.0f} s ago; wait for it, or stop it (a run "
        f"that has died is taken over {STALE_S:g} s after it was last seen)"
    )


def _machine() -> str:
    """This machine since its last start, and the process numbers that hold in it."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as boot:
            return f"{boot.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{uuid.getnode():x}"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
