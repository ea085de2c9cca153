import threading
import time

import pytest
from distributed import Client, LocalCluster

from landslide_dist.errors import DataError, ProcessError
from landslide_dist.grid import Grid
from landslide_dist.store import retry
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger, block_key
from landslide_dist.store.lock import hold

GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 1000, 1000))
WINDOWS = list(GRID.windows(16))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path / "cube.zarr"), "stage", "abc")


@pytest.fixture
def lock(ledger):
    with hold(ledger.location, "stage") as lock:
        yield lock


class Recorder:
    """Hands each block from step to step and notes what was written."""

    def __init__(self, failing_step=None):
        self.written, self._mutex = [], threading.Lock()
        self.failing_step = failing_step

    def _pass(self, step, window):
        if step == self.failing_step and window == WINDOWS[20]:
            raise DataError("broken block")

    def read(self, window):
        self._pass("read", window)
        return window, "read"

    def compute(self, window, inputs):
        assert inputs == (window, "read")
        self._pass("compute", window)
        return window, "computed"

    def write(self, window, outputs):
        assert outputs == (window, "computed")
        self._pass("write", window)
        with self._mutex:
            self.written.append(window)


class Nothing:
    def read(self, window):
        return None

    def compute(self, window, inputs):
        assert window.height

    def write(self, window, outputs):
        pass


def test_each_block_once_and_then_never_again(ledger, lock):
    task = Recorder()
    assert run_blocks(task, WINDOWS, ledger, lock, "test").blocks == len(WINDOWS)
    assert sorted(task.written) == sorted(WINDOWS)
    assert run_blocks(task, WINDOWS, ledger, lock, "test").blocks == 0
    assert len(task.written) == len(WINDOWS)


@pytest.mark.parametrize("step", ["read", "compute", "write"])
def test_a_failed_run_keeps_what_was_done_and_the_next_does_the_rest(ledger, lock, step):
    failing = Recorder(step)
    with pytest.raises(DataError, match="broken block"):
        run_blocks(failing, WINDOWS, ledger, lock, "test", threads=2)
    done = ledger.done()
    # What was written is marked, and nothing else.
    assert {block_key(w) for w in failing.written} == done
    assert 0 < len(done) < len(WINDOWS)
    whole = Recorder()
    assert run_blocks(whole, WINDOWS, ledger, lock, "test").blocks == len(WINDOWS) - len(done)
    assert sorted(failing.written + whole.written) == sorted(WINDOWS)


def test_the_next_block_is_read_and_the_last_written_while_one_is_computed(ledger, lock):
    steps = {step: threading.Event() for step in ("read", "write")}

    class Meeting(Nothing):
        def read(self, window):
            if window == WINDOWS[2]:
                steps["read"].set()

        def compute(self, window, inputs):
            if window == WINDOWS[1]:
                assert steps["read"].wait(10), "the next block is not read ahead"
                assert steps["write"].wait(10), "the last block is not written behind"

        def write(self, window, outputs):
            if window == WINDOWS[0]:
                steps["write"].set()

    run_blocks(Meeting(), WINDOWS[:4], ledger, lock, "test", threads=1)


def test_never_more_than_three_blocks_are_held(ledger, lock):
    held, most, mutex = set(), [0], threading.Lock()

    class Holding(Nothing):
        def read(self, window):
            with mutex:
                held.add(window)
                most[0] = max(most[0], len(held))

        def compute(self, window, inputs):
            time.sleep(0.002)

        def write(self, window, outputs):
            with mutex:
                held.remove(window)

    run_blocks(Holding(), WINDOWS, ledger, lock, "test", threads=1)
    # One being read, one being computed, one being written.
    assert most[0] == 3


def test_what_passes_is_tried_again_and_what_does_not_is_not(ledger, lock, monkeypatch):
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.01)
    tries = []

    class Flaky(Nothing):
        def write(self, window, outputs):
            tries.append(window)
            if len(tries) < retry.ATTEMPTS:
                raise ConnectionResetError("cut")

    run_blocks(Flaky(), WINDOWS[:1], ledger, lock, "test")
    assert len(tries) == retry.ATTEMPTS

    class Refused(Nothing):
        def write(self, window, outputs):
            tries.append(window)
            raise PermissionError("no")

    tries.clear()
    with pytest.raises(PermissionError):
        run_blocks(Refused(), WINDOWS[1:2], ledger, lock, "test")
    assert len(tries) == 1


def test_another_configuration_starts_afresh(ledger, lock):
    run_blocks(Nothing(), WINDOWS, ledger, lock, "test")
    assert Ledger(ledger.location, "stage", "other").done() == frozenset()
    ledger.clear()
    assert ledger.done() == frozenset()


def test_on_a_cluster(ledger, lock):
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as client,
    ):
        steps = run_blocks(Nothing(), WINDOWS, ledger, lock, "test", client)
        assert steps.blocks == len(WINDOWS)
        assert run_blocks(Nothing(), WINDOWS, ledger, lock, "test", client).blocks == 0
    assert len(ledger.done()) == len(WINDOWS)


def test_a_lost_lock_stops_the_run(ledger, lock):
    lock._lost.set()
    with pytest.raises(ProcessError, match="another run took it over"):
        run_blocks(Nothing(), WINDOWS, ledger, lock, "test")
    assert len(ledger.done()) < len(WINDOWS)
    lock._lost.clear()
