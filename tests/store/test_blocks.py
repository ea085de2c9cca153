import threading

import pytest
from distributed import Client, LocalCluster

from landslide_dist.errors import DataError
from landslide_dist.grid import Grid
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger, block_key

GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 1000, 1000))
WINDOWS = list(GRID.windows(16))


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path / "cube.zarr"), "stage", "abc")


def test_each_block_once_and_then_never_again(ledger):
    seen, lock = [], threading.Lock()

    def task(window):
        with lock:
            seen.append(window)

    assert run_blocks(task, WINDOWS, ledger, "test") == len(WINDOWS)
    assert sorted(seen) == sorted(WINDOWS)
    assert run_blocks(task, WINDOWS, ledger, "test") == 0
    assert len(seen) == len(WINDOWS)


def test_a_failed_run_keeps_what_was_done_and_the_next_does_the_rest(ledger):
    seen = []

    def failing(window):
        if window == WINDOWS[20]:
            raise DataError("broken block")
        seen.append(window)

    with pytest.raises(DataError, match="broken block"):
        run_blocks(failing, WINDOWS, ledger, "test", threads=2)
    done = ledger.done()
    assert {block_key(w) for w in seen} == done
    assert 0 < len(done) < len(WINDOWS)
    rest = run_blocks(seen.append, WINDOWS, ledger, "test")
    assert rest == len(WINDOWS) - len(done)
    assert sorted(seen) == sorted(WINDOWS)


def test_another_configuration_starts_afresh(ledger):
    run_blocks(lambda window: None, WINDOWS, ledger, "test")
    assert Ledger(ledger.location, "stage", "other").done() == frozenset()
    ledger.clear()
    assert ledger.done() == frozenset()


def test_on_a_cluster(ledger):
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        assert run_blocks(_Write(ledger.location), WINDOWS, ledger, "test", client) == len(WINDOWS)
        assert run_blocks(_Write(ledger.location), WINDOWS, ledger, "test", client) == 0
    assert len(ledger.done()) == len(WINDOWS)


class _Write:
    def __init__(self, location):
        self.location = location

    def __call__(self, window):
        assert window.height
