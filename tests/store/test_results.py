import threading
import time

import pytest
from distributed import Client, LocalCluster

from landslide_dist.errors import DataError
from landslide_dist.grid import Grid
from landslide_dist.store.results import block_results

WINDOWS = list(Grid.from_bounds("EPSG:32632", 10, (0, 0, 1000, 1000)).windows(16))


def corner(window):
    # Later blocks end sooner.
    time.sleep(0.01 if window.x0 == 0 else 0)
    return window.y0, window.x0


def broken(window):
    if window == WINDOWS[9]:
        raise DataError("broken block")
    return corner(window)


EXPECTED = [(w.y0, w.x0) for w in WINDOWS]


@pytest.mark.parametrize("threads", [1, 2, 7, 100])
def test_results_come_in_order_from_any_number_of_threads(threads):
    assert list(block_results(corner, WINDOWS, "test", threads=threads)) == EXPECTED


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_results_come_in_order_from_any_number_of_workers(workers):
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        assert list(block_results(corner, WINDOWS, "test", client)) == EXPECTED
        with pytest.raises(DataError, match="broken block"):
            list(block_results(broken, WINDOWS, "test", client))


def test_an_error_ends_the_run_before_the_last_block():
    called, mutex = [], threading.Lock()

    def failing(window):
        with mutex:
            called.append(window)
        return broken(window)

    with pytest.raises(DataError, match="broken block"):
        list(block_results(failing, WINDOWS, "test", threads=2))
    assert len(called) < len(WINDOWS)


def test_no_more_blocks_are_under_way_than_threads_and_one():
    begun = 0

    def counting(window):
        nonlocal begun
        begun += 1

    for taken, _ in enumerate(block_results(counting, WINDOWS, "test", threads=3)):
        time.sleep(0.002)
        assert begun <= taken + 1 + 4
