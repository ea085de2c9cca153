import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from torch import distributed

from landslide_dist.errors import StoreError
from landslide_dist.patches.node import ALONE, Node, fill_once, least

LAYOUT = {
    "elevation": ((7, 5), np.dtype("float32")),
    "uphill": ((3, 7, 5), np.dtype("uint16")),
    "train": ((7, 5), np.dtype("uint8")),
    "empty": ((0, 5), np.dtype("uint8")),
}


def values():
    rng = np.random.default_rng(0)
    return {
        name: rng.integers(0, 99, shape).astype(dtype) for name, (shape, dtype) in LAYOUT.items()
    }


def fill(arrays):
    assert {name: (a.shape, a.dtype) for name, a in arrays.items()} == LAYOUT
    for name, plane in values().items():
        arrays[name][...] = plane


def refuse(arrays):
    raise AssertionError("only the first process of a node fills")


def assert_filled(arrays):
    assert list(arrays) == list(LAYOUT)
    for name, plane in values().items():
        assert arrays[name].dtype == plane.dtype
        np.testing.assert_array_equal(arrays[name], plane)


def join(rank, store):
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{store}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )


def second_process(store):
    """Sees what the first has filled, writes to it, and waits until it is killed."""
    join(1, store)
    arrays = fill_once(LAYOUT, refuse, Node(0, 1, 2))
    assert_filled(arrays)
    assert least(2.0) == 1.0
    arrays["uphill"][1, 2, 3] = 1234
    # What the first has written since.
    distributed.barrier()
    assert arrays["train"][6, 4] == 77
    print("saw it", flush=True)
    sys.stdin.read()


def first_process_that_fails(store):
    join(0, store)

    def fail(arrays):
        raise StoreError("the store no longer answers")

    fill_once(LAYOUT, fail, Node(0, 0, 2))


def start(function, store):
    program = f"import sys; from tests.patches.test_node import {function} as f; f(sys.argv[1])"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, store],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.fixture
def store(tmp_path):
    yield str(tmp_path / "store")
    if distributed.is_initialized():
        distributed.destroy_process_group()


def named(folder):
    """Files of ours in a folder that all programs use."""
    return [path.name for path in Path(folder).iterdir() if "landslide" in path.name]


def maps():
    """Parts of memory that are mapped, by the name of their file."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line.split(maxsplit=5)[5] for line in lines if "landslide-dist planes" in line]


def descriptors():
    """What of our shared memory this process holds open."""
    targets = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(path.readlink()))
        except FileNotFoundError:
            continue
    return [target for target in targets if "landslide-dist planes" in target]


def test_one_process_shares_with_nobody():
    arrays = fill_once(LAYOUT, fill, ALONE)
    assert_filled(arrays)
    assert maps() == descriptors() == []
    assert least(3.0) == 3.0


def test_processes_see_the_same_memory_and_leave_nothing_when_killed(store):
    before = {folder: named(folder) for folder in ("/dev/shm", "/tmp")}
    other = start("second_process", store)
    try:
        join(0, store)
        arrays = fill_once(LAYOUT, fill, Node(0, 0, 2))
        assert least(1.0) == 1.0
        arrays["train"][6, 4] = 77
        distributed.barrier()
        assert other.stdout.readline() == "saw it\n", other.stderr.read()
        assert arrays["uphill"][1, 2, 3] == 1234
        assert arrays["uphill"].ctypes.data % 64 == 0
        # The memory has no name, and lives by being mapped alone.
        assert maps() == ["/memfd:landslide-dist planes (deleted)"]
        # Python's own, which goes with the map.
        assert len(descriptors()) <= 1
        assert {folder: named(folder) for folder in before} == before
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    arrays["elevation"][0, 0] = -5
    assert arrays["elevation"][0, 0] == -5
    del arrays
    assert maps() == descriptors() == []
    assert {folder: named(folder) for folder in before} == before


def test_no_process_waits_for_one_that_failed_to_fill(store):
    other = start("first_process_that_fails", store)
    try:
        join(1, store)
        with pytest.raises(RuntimeError):
            fill_once(LAYOUT, refuse, Node(0, 1, 2))
    finally:
        errors = other.communicate(timeout=60)[1]
    assert "the store no longer answers" in errors
    assert maps() == descriptors() == []
