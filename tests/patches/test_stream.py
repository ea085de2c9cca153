import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from landslide_dist.errors import StoreError
from landslide_dist.grid import Window
from landslide_dist.patches.planes import Planes
from landslide_dist.patches.reader import HostReader, ZarrReader
from landslide_dist.patches.stream import PatchStream

from .small import INPUTS, SHAPE, assert_equal, cutter, datamodule, planes, shares, write

PLENTY_BYTES = 1e9


@pytest.fixture(scope="module")
def locations(tmp_path_factory):
    return write(str(tmp_path_factory.mktemp("stream") / "cube.zarr"))


@pytest.fixture(scope="module")
def train():
    return cutter("train")


@pytest.fixture(scope="module")
def expected(train):
    """The batches cut from the whole region in memory."""
    return list(resident(train))


def resident(train):
    reader = HostReader(planes())
    whole: Planes = train.decode(reader, Window(0, 0, *SHAPE))
    return PatchStream(reader, train, shares(train.patches), 0, resident=whole)


class Observed(ZarrReader):
    """Notes what is read, and how many bytes of it are in use at a time."""

    def __init__(self, locations):
        super().__init__(locations)
        self.windows = []
        self.num_pixels_read = 0
        self.live_bytes = self.peak_bytes = 0
        # A finalizer may run in a thread that holds it.
        self.lock = threading.RLock()

    def read(self, window, variables=None):
        planes = super().read(window, variables)
        if window.height == 1:
            self.num_pixels_read += window.clip(SHAPE).height
        else:
            with self.lock:
                self.windows.append(window)
                # Labels go as soon as the target (a byte a pixel, as long as the inputs) is made.
            self.watch(planes["elevation"], window.height * window.width)
            for name in INPUTS:
                self.watch(planes[name], planes[name].nbytes)
        return planes

    def watch(self, array, num_bytes):
        self.count(num_bytes)
        weakref.finalize(array, self.count, -num_bytes)

    def count(self, num_bytes):
        with self.lock:
            self.live_bytes += num_bytes
            self.peak_bytes = max(self.peak_bytes, self.live_bytes)


def needed_bytes(stream):
    """What the plan with one read for each visit holds at its busiest."""
    return (
        PatchStream(stream.reader, stream.cutter, stream.shares, PLENTY_BYTES)
        .plan(stream.shares)
        .peak_px()
        * stream.bytes_per_px()
    )


def area_px(windows):
    return sum(window.height * window.width for window in windows)


@pytest.mark.parametrize(
    ("memory", "num_threads"),
    [
        ("nothing", 1),
        ("one byte less", 3),
        ("just enough", 1),
        ("just enough", 3),
        ("plenty", 1),
        ("plenty", 3),
    ],
)
def test_batches_are_those_of_the_region_in_memory(locations, train, expected, memory, num_threads):
    reader = Observed(locations)
    stream = PatchStream(reader, train, shares(train.patches), PLENTY_BYTES, num_threads)
    just = needed_bytes(stream)
    stream.memory_bytes = {"nothing": 0, "one byte less": just - 1, "just enough": just}.get(
        memory, PLENTY_BYTES
    )
    assert len(stream) == len(expected)
    assert_equal(list(stream), expected)
    plan = stream.plan(stream.shares)
    # Each window of the plan once: a visit where memory holds them, else a patch.
    assert sorted(reader.windows) == sorted(plan.windows)
    num_samples = sum(len(share.patch) for share in stream.shares)
    if memory in ("just enough", "plenty"):
        assert len(plan.windows) < num_samples / 2
        assert reader.peak_bytes <= stream.memory_bytes
    else:
        assert len(plan.windows) == num_samples
        assert reader.peak_bytes <= max(stream.memory_bytes, plan.peak_px() * stream.bytes_per_px())
    assert reader.live_bytes == 0


def test_visits_together_decode_less_than_each_patch_alone(locations, train):
    stream = PatchStream(ZarrReader(locations), train, shares(train.patches), PLENTY_BYTES)
    together = stream.plan(stream.shares)
    stream.memory_bytes = 0
    alone = stream.plan(stream.shares)
    assert area_px(together.windows) < 0.7 * area_px(alone.windows)


def test_the_epoch_begins_before_the_region_is_read(locations, train):
    reader = Observed(locations)
    stream = PatchStream(reader, train, shares(train.patches, num_lanes=1), PLENTY_BYTES)
    stream.memory_bytes = needed_bytes(stream)
    plan = stream.plan(stream.shares)
    batches = iter(stream)
    next(batches)
    at_first = area_px(reader.windows)
    batches.close()
    assert 0 < at_first < area_px(plan.windows) / 4
    # Nothing of the store is read to find out how large a pixel is.
    assert reader.num_pixels_read == 0


def test_ranks_that_got_padding_stream_it(locations, train):
    mine = shares(train.patches, rank=3, world_size=4)
    assert any((share.patch == -1).any() for share in mine)
    stream = PatchStream(ZarrReader(locations), train, mine, PLENTY_BYTES)
    held = resident(train)
    held.shares = mine
    assert_equal(list(stream), list(held))
    # All padding is one read, of nothing.
    assert [w.clip(SHAPE).shape for w in stream.plan(mine).windows].count((0, 0)) == 1


def test_nothing_is_left_of_an_epoch_that_is_over(locations, train):
    assert list(PatchStream(ZarrReader(locations), train, [], PLENTY_BYTES)) == []
    stream = PatchStream(ZarrReader(locations), train, shares(train.patches)[:2], PLENTY_BYTES)
    assert len(list(stream)) == 2
    assert threads() == []


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith(("cut", "decode"))]


@pytest.mark.parametrize("end", ["close", "forget"])
def test_an_unfinished_epoch_leaves_no_thread_and_no_memory(locations, train, end):
    reader = Observed(locations)
    batches = iter(PatchStream(reader, train, shares(train.patches), PLENTY_BYTES))
    next(batches)
    assert len(threads()) >= 2
    if end == "close":
        batches.close()
    del batches
    assert threads() == []
    assert reader.live_bytes == 0


class Failing(ZarrReader):
    """Fails late in the epoch."""

    num_reads = 0

    def read(self, window, variables=None):
        self.num_reads += window.height > 1
        if self.num_reads == 20:
            raise StoreError("the store no longer answers")
        return super().read(window, variables)


def test_an_error_comes_in_place_of_its_batch_and_ends_all_threads(locations, train, expected):
    batches = iter(PatchStream(Failing(locations), train, shares(train.patches), 0, 3))
    seen = []
    with pytest.raises(StoreError, match="no longer answers"):
        seen.extend(batches)
    # Each patch is read alone, and read 20 is of the third batch of seven.
    assert_equal(seen, expected[:2])
    assert threads() == []


FAILING_PROGRAM = """
import sys, time
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.stream import PatchStream
from tests.patches.small import cutter, planes, shares

class Slow(HostReader):
    def read(self, window, variables=None):
        if window.height > 1:
            time.sleep(0.05)
            print("read", flush=True)
        return super().read(window, variables)

train = cutter()
batches = iter(PatchStream(Slow(planes()), train, shares(train.patches), 1e9))
next(batches)
print("fails", flush=True)
raise ValueError("the model diverged")
"""


def test_a_process_that_fails_does_not_first_read_the_rest_of_the_epoch():
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FAILING_PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 1
    assert "the model diverged" in ended.stderr
    after = ended.stdout.split("fails")[1]
    # The threads end what they are at, and at most a batch was queued.
    assert after.count("read") <= 7


def test_workers_give_the_batches_of_threads(locations):
    threads_data = datamodule(ZarrReader(locations), "stream", num_threads=2)
    expected = list(threads_data.train_dataloader())
    reader = ZarrReader(locations)
    # The parent has used its store before the workers begin.
    reader.read(Window(0, 0, 5, 5))
    data = datamodule(reader, "stream", num_workers=2, worker_start="forkserver")
    loader = data.train_dataloader()
    assert_equal(list(loader), expected)
    # Together they take what one process may.
    alone = threads_data.stream("train", loader.shares())
    assert data.stream("train", loader.shares()).memory_bytes * 2 == alone.memory_bytes
    assert multiprocessing.active_children() == []


def test_an_error_in_a_worker_is_its_own_line(locations, tmp_path):
    gone = shutil.copytree(Path(locations["split"]), tmp_path / "gone.zarr")
    data = datamodule(
        ZarrReader(locations | {"split": str(gone)}), "stream", num_workers=1,
        worker_start="forkserver",
    )  # fmt: skip
    data.region.settle(torch.device("cpu"))
    shutil.rmtree(gone)
    with pytest.raises(StoreError, match=r"^there is no store at '.*gone.zarr'[^\n]*$"):
        list(data.train_dataloader())


@pytest.mark.slow
def test_spawned_workers_give_the_batches_of_threads(locations):
    expected = list(datamodule(ZarrReader(locations), "stream").train_dataloader())
    reader = ZarrReader(locations)
    reader.read(Window(0, 0, 5, 5))
    data = datamodule(reader, "stream", num_workers=2, worker_start="spawn")
    assert_equal(list(data.train_dataloader()), expected)
    # One that is not finished takes its workers with it.
    unfinished = iter(data.train_dataloader())
    next(unfinished)
    assert len(multiprocessing.active_children()) == 2
    unfinished.close()
    assert multiprocessing.active_children() == []


def test_a_region_in_memory_needs_no_workers():
    data = datamodule(HostReader(planes()), "host", num_workers=2, worker_start="no such way")
    batch = next(iter(data.train_dataloader()))
    np.testing.assert_equal(len(batch), 7)
