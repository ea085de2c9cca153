"""What a computing thread holds stays within what the layout declares."""

import subprocess
import sys

import pytest

from landslide_dist.config.cluster import LocalCluster, SlurmCluster, check_memory
from landslide_dist.errors import ConfigError

MEASURE = """
import sys, threading, time
import numpy as np
import psutil
from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.stages.derive import DeriveBlock
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import hold

location, threads, side, shard = sys.argv[1], int(sys.argv[2]), 4096, 1024
task = DeriveBlock(location, 10.0, (3, 10, 30), "uint8")
storage = StorageConfig(chunk_px=512, shard_px=shard)
grid = Grid.from_bounds("EPSG:32632", 10, (0, 0, side * 10, side * 10))
cube.create(location, grid, [schema.ELEVATION, *task.outputs], storage, {})
elevation = cube.array(open_group(location, "r+"), "elevation")
rng = np.random.default_rng(0)
for window in cube.shard_windows(location):
    # Noise hardly compresses: the most that an encoder can hold.
    cube.write_block(elevation, window, rng.normal(0, 50, window.shape).astype("float32"))
task.compute(None, np.zeros((100, 100), "float32"))
task.compute(None, np.full((100, 100), 0.5, "float32"))
# Sampled: the largest ever may lie before, where kernels were compiled.
process, stop = psutil.Process(), threading.Event()
resting = process.memory_info().rss
samples = [resting]
def watch():
    while not stop.wait(0.002):
        samples.append(process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
with hold(location, "derive") as lock:
    windows = cube.shard_windows(location)
    run_blocks(task, windows, Ledger(location, "derive", "x"), lock, "derive", threads=threads)
stop.set()
watcher.join()
print(max(samples) - resting, threads * task.thread_bytes(shard))
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_derive_stays_within_its_declared_memory(tmp_path, threads):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "cube.zarr"), str(threads)],
        capture_output=True,
        text=True,
        check=True,
    )
    measured, declared = map(int, done.stdout.split())
    print(f"{measured / 2**20:.0f} of {declared / 2**20:.0f} MiB")
    assert measured <= declared
    # And the declaration is not idle: at least a third of it is used.
    assert measured > declared / 3


def test_workers_that_are_too_small_are_refused():
    block = 300 * 2**20
    check_memory(None, block, 2048)
    check_memory(LocalCluster(kind="local", memory_gib=1), block, 2048)
    with pytest.raises(ConfigError, match=r"2 threads needs 0.98 GiB for blocks of 2048 px"):
        check_memory(LocalCluster(kind="local", memory_gib=0.9, threads_per_worker=2), block, 2048)
    slurm = SlurmCluster(kind="slurm", cores=4, processes=4, memory_gib=2)
    with pytest.raises(ConfigError, match=r"has 0.50 GiB: raise cluster.memory_gib"):
        check_memory(slurm, block, 2048)
