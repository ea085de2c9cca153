import errno
import fcntl
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from landslide_dist.errors import ProcessError, StoreError
from landslide_dist.progress import console
from landslide_dist.store import lock as lock_module
from landslide_dist.store.lock import Holder, hold
from landslide_dist.store.lock_file import LocalLockFile, open_lock_file


@pytest.fixture(params=["file", "memory"])
def location(request, tmp_path):
    return f"{tmp_path}/cube.zarr" if request.param == "file" else f"memory://{tmp_path}/cube.zarr"


def leave_behind(location, **changes):
    """A lock as a run that was killed leaves it."""
    dead = subprocess.run([sys.executable, "-c", "pass"], check=True)
    assert dead.returncode == 0
    holder = replace(Holder.here("derive"), seen=time.time(), **changes)
    assert open_lock_file(location).create(json.dumps(asdict(holder)).encode())


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    return process.pid


def test_a_lock_is_held_by_one_and_gone_afterwards(location):
    with (
        hold(location, "ingest"),
        pytest.raises(StoreError, match=r"being written by `ingest` on .* \(process \d+\)"),
        hold(location, "derive"),
    ):
        raise AssertionError("held twice")
    with hold(location, "derive"):
        pass
    assert open_lock_file(location).read() is None


def test_a_failed_run_releases_it(location):
    with pytest.raises(ValueError, match="boom"), hold(location, "ingest"):
        raise ValueError("boom")
    assert open_lock_file(location).read() is None


def test_a_dead_process_of_this_machine_is_taken_over_at_once(location):
    leave_behind(location, pid=dead_pid())
    with hold(location, "derive"):
        pass


def test_another_machine_is_watched_until_its_heartbeat_is_old(location, monkeypatch):
    """A job that was put on another machine waits for the dead one instead of failing."""
    monkeypatch.setattr(lock_module, "BEAT_S", 0.1)
    monkeypatch.setattr(lock_module, "STALE_S", 1.0)
    leave_behind(location, machine="elsewhere", host="node7", pid=1)
    begin = time.monotonic()
    with console.capture() as said, hold(location, "derive"):
        assert 0.5 < time.monotonic() - begin < 5
    assert "locked by `derive` on node7: waiting for a sign of life, 1 s at most" in said.get()
    assert "takes over the lock" in said.get()
    old = replace(Holder.here("derive"), machine="elsewhere", seen=time.time() - 2)
    open_lock_file(location).create(old.content())
    with console.capture() as said, hold(location, "derive"):
        pass
    assert "waiting" not in said.get()


@pytest.mark.parametrize("ending", ["beats", "released"])
def test_what_a_watched_lock_does_decides(location, monkeypatch, ending):
    monkeypatch.setattr(lock_module, "BEAT_S", 0.1)
    leave_behind(location, machine="elsewhere", host="node7", pid=1)
    file = open_lock_file(location)
    there = Holder.parse(file.read().content)

    def act():
        if ending == "released":
            file.remove()
        else:
            file.replace(replace(there, seen=time.time()).content(), file.read())

    timer = threading.Timer(0.3, act)
    timer.start()
    if ending == "released":
        with hold(location, "derive"):
            pass
    else:
        with pytest.raises(StoreError, match="on node7"), hold(location, "derive"):
            pass
    timer.join()


def test_a_lock_whose_writer_was_killed_over_it_is_given_time(location):
    open_lock_file(location).create(b"")
    with pytest.raises(StoreError, match="this very moment"), hold(location, "derive"):
        pass


def test_the_heartbeat_shows_and_a_loss_is_noticed(location, monkeypatch):
    monkeypatch.setattr(lock_module, "BEAT_S", 0.05)
    with hold(location, "ingest") as lock:
        first = Holder.parse(open_lock_file(location).read().content)
        time.sleep(0.3)
        assert Holder.parse(open_lock_file(location).read().content).seen > first.seen
        lock.check()
        thief = replace(Holder.here("thief"), seen=time.time())
        file = open_lock_file(location)
        while not file.replace(thief.content(), file.read()):
            pass
        time.sleep(0.3)
        with pytest.raises(ProcessError, match="another run took it over"):
            lock.check()
    # What another run holds is not removed.
    assert Holder.parse(open_lock_file(location).read().content).stage == "thief"


def test_the_heartbeat_outlives_a_store_that_fails_for_a_while(tmp_path, monkeypatch):
    location = str(tmp_path / "cube.zarr")
    monkeypatch.setattr(lock_module, "BEAT_S", 0.05)
    failing = threading.Event()
    read = LocalLockFile.read

    def shaky(self):
        if failing.is_set():
            raise StoreError("busy")
        return read(self)

    monkeypatch.setattr(LocalLockFile, "read", shaky)
    with hold(location, "ingest") as lock:
        failing.set()
        time.sleep(0.3)
        failing.clear()
        time.sleep(0.3)
        lock.check()
        assert time.time() - Holder.parse(open_lock_file(location).read().content).seen < 0.25
        # Others may take over what was not seen for long: the run must stop by itself before.
        monkeypatch.setattr(lock_module, "STALE_S", 0.2)
        failing.set()
        time.sleep(0.5)
        with pytest.raises(ProcessError, match="another run took it over, or may"):
            lock.check()
        failing.clear()


def test_a_heartbeat_on_nfs(tmp_path, monkeypatch):
    """There a file must be open for writing to be locked for one alone."""
    real = fcntl.flock

    def flock(handle, operation):
        if operation == fcntl.LOCK_EX and not fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_RDWR:
            raise OSError(errno.EBADF, "bad file descriptor")
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(lock_module, "BEAT_S", 0.02)
    monkeypatch.setattr(lock_module, "STALE_S", 0.3)
    with hold(str(tmp_path / "cube.zarr"), "ingest") as lock:
        time.sleep(0.6)
        lock.check()


def contend(location, pid, barrier, queue):
    barrier.wait()
    try:
        with hold(location, f"stage{pid}"):
            queue.put("held")
            time.sleep(1)
    except StoreError as error:
        queue.put(str(error))


def test_of_many_that_take_over_at_once_one_wins(tmp_path):
    location = str(tmp_path / "cube.zarr")
    leave_behind(location, pid=dead_pid())
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(4), context.Queue()
    contenders = [
        context.Process(target=contend, args=(location, i, barrier, queue)) for i in range(4)
    ]
    for contender in contenders:
        contender.start()
    answers = [queue.get(timeout=60) for _ in contenders]
    for contender in contenders:
        contender.join()
    assert answers.count("held") == 1
    assert os.listdir(tmp_path) == []
