"""An object store that answers 500 and 503, cuts connections and loses answers."""

import time
from dataclasses import replace

import numpy as np
import pytest

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.errors import StoreError
from landslide_dist.grid import Grid
from landslide_dist.kernels.uphill import uphill_index
from landslide_dist.stages.derive import DeriveBlock
from landslide_dist.store import cube, retry
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.layout import read_cost
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, filesystem, open_group
from landslide_dist.store.lock import STALE_S, Holder, hold
from landslide_dist.store.lock_file import open_lock_file

pytestmark = pytest.mark.s3

GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 3000, 2000))
STORAGE = StorageConfig(chunk_px=32, shard_px=64)
LOCATION = "s3://landslides/test/cube.zarr"
ELEVATION = np.random.default_rng(0).normal(500, 50, GRID.shape).astype("float32")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(retry, "LONGEST_PAUSE_S", 0.1)


def build(location=LOCATION):
    task = DeriveBlock(location, 10.0, (3, 10), "uint8")
    cube.create(location, GRID, [schema.ELEVATION, *task.outputs], STORAGE, {})
    array = cube.array(open_group(location, "r+"), "elevation")
    for window in cube.shard_windows(location):
        cube.write_block(array, window, ELEVATION[window.slices])
    return task


def run(task):
    with hold(LOCATION, "derive") as lock:
        ledger = Ledger(LOCATION, "derive", "abc")
        return run_blocks(task, cube.shard_windows(LOCATION), ledger, lock, "derive", threads=4)


def objects():
    fs, path = filesystem(LOCATION)
    fs.invalidate_cache()
    return {name: fs.cat_file(name) for name in fs.find(path)}


@pytest.fixture(scope="module")
def undisturbed():
    """Every object of the store as it is without faults."""
    kept = {}

    def remember():
        if not kept:
            run(build())
            kept.update(objects())
            delete(LOCATION)
        return kept

    return remember


@pytest.mark.parametrize("fault", ["503", "500", "cut", "lost"])
def test_a_shaky_store_gives_the_same_bytes(identity, undisturbed, faults, s3_server, fault):
    expected = undisturbed()
    task = build()
    # In the thick of it every fifth request fails.
    faults.rule = lambda number, method, path: fault if number % 9 in (1, 4) else None
    faults.answered.clear()
    assert run(task).blocks == 20
    faults.rule = lambda number, method, path: None
    assert faults.answered[fault] > 20
    assert objects() == expected
    uphill = cube.array(open_group(LOCATION), "uphill")
    np.testing.assert_array_equal(uphill[1], uphill_index(ELEVATION, 10))


def test_a_store_that_stays_busy_is_one_clear_line_and_the_next_run_goes_on(
    identity, undisturbed, faults
):
    expected = undisturbed()
    task = build()
    puts = iter(range(10**9))

    def busy_after_a_while(number, method, path):
        is_shard = method == "PUT" and "/c/" in path
        return "503" if is_shard and next(puts) > 12 else None

    faults.rule = busy_after_a_while
    with pytest.raises(StoreError, match=r"cube.zarr/.*could not be used: .*reduce your request"):
        run(task)
    faults.rule = lambda number, method, path: None
    done = len(Ledger(LOCATION, "derive", "abc").done())
    assert 0 < done < 20
    assert run(task).blocks == 20 - done
    assert objects() == expected


def test_the_lock_is_conditional_on_s3(identity):
    with (
        hold(LOCATION, "ingest"),
        pytest.raises(StoreError, match="being written by `ingest`"),
        hold(LOCATION, "derive"),
    ):
        raise AssertionError("held twice")
    assert open_lock_file(LOCATION).read() is None


def test_a_stale_lock_is_taken_over_by_one_of_those_who_saw_it(identity):
    file = open_lock_file(LOCATION)
    dead = replace(Holder.here("derive"), machine="elsewhere", seen=time.time() - STALE_S - 1)
    assert file.create(dead.content())
    assert not file.create(b"second")
    seen = file.read()
    assert file.replace(b"first", seen)
    assert not file.replace(b"second", seen)
    assert file.read().content == b"first"
    file.remove()
    file.create(dead.content())
    with hold(LOCATION, "derive"):
        pass


def test_a_lock_whose_answer_is_lost_is_still_ours(identity, faults):
    lost = iter(["lost"])
    faults.rule = lambda number, method, path: next(lost, None) if method == "PUT" else None
    with hold(LOCATION, "derive"):
        pass
    assert faults.answered["lost"] == 1


def test_the_plan_counts_the_requests(identity, faults):
    task = build()
    windows = cube.shard_windows(LOCATION)
    reads = sum(read_cost(w, 10, STORAGE, GRID.shape)[0] for w in windows)
    faults.answered.clear()
    run(task)
    # Besides: two looks at the metadata, two shards that are looked for and written, a marker.
    planned = reads + len(windows) * (2 + 2 * 2 + 1)
    assert planned <= faults.answered["passed"] <= 1.05 * planned
