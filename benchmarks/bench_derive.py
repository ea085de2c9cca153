"""Derive, as block tasks, against Dask's map_overlap of the same kernels with the same workers.

And against the bare kernels: what reading, decoding, encoding and writing cost; and against one
worker: how the time falls with their number.
"""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import dask
import dask.array as da
import numpy as np
import psutil
from distributed import Client, LocalCluster
from harness import Row, arguments, publish

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.features.terrain import slope as lazy_slope
from landslide_dist.features.uphill import uphill as lazy_uphill
from landslide_dist.sources.synthetic import synthetic_grid, synthetic_sources
from landslide_dist.stages.derive import DeriveBlock
from landslide_dist.store import cube
from landslide_dist.store.blocks import num_tasks, run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import hold

WORKERS = 2
RADII_PX = (3, 10, 30)
DISTANCES_M = (30.0, 100.0, 300.0)


class PeakMemory:
    """Largest memory of any worker process while the context lasts, MiB above that at its start."""

    def __init__(self, pids: list[int]):
        self._processes = [psutil.Process(pid) for pid in pids]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.mib = 0.0

    def __enter__(self) -> "PeakMemory":
        self._resting = [p.memory_info().rss for p in self._processes]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            growth = [
                p.memory_info().rss - resting
                for p, resting in zip(self._processes, self._resting, strict=True)
            ]
            self.mib = max(self.mib, max(growth) / 2**20)


def main() -> None:
    """Print the table; write it with ``--json``."""
    options = arguments(__doc__ or "")
    side, shard, repeats = (3000, 1024, 1) if options.quick else (12288, 2048, 5)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        rows = against_map_overlap(folder, side, shard, repeats)
    publish(rows, ["dask", "distributed", "zarr", "numba", "xarray"], options.json)


def against_map_overlap(folder: str, side: int, shard: int, repeats: int) -> list[Row]:
    """Both ways on one elevation, alternating, each with fresh workers."""
    location = f"{folder}/cube.zarr"
    fill(location, side, shard)
    megapixels = side * side / 1e6
    ways = {"ours": derive_blocks, "peer": derive_lazily}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    memory: dict[str, list[float]] = {name: [] for name in ways}
    tasks: dict[str, int] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            # Into empty variables, as a stage does: Zarr reads a shard that is there before it
            # writes it anew.
            empty(location, shard)
            taken, peak, count = on_fresh_workers(partial(way, location))
            seconds[name].append(taken)
            memory[name].append(peak)
            tasks[name] = count
    check_same(location)
    rate = {name: megapixels / statistics.median(times) for name, times in seconds.items()}
    peak = {name: statistics.median(peaks) for name, peaks in memory.items()}
    bare = bare_rate(location, shard, repeats)
    alone = []
    for _ in range(repeats):
        empty(location, shard)
        alone.append(on_fresh_workers(partial(derive_blocks, location), 1)[0])
    one = megapixels / statistics.median(alone)
    peer = "dask map_overlap, same kernels and workers"
    return [
        Row("derive", rate["ours"], rate["peer"], peer, "Mpx/s", rate["ours"] / rate["peer"]),
        Row("derive, peak of a worker", peak["ours"], peak["peer"], peer, "MiB",
            peak["peer"] / peak["ours"]),
        Row("derive, tasks", tasks["ours"], tasks["peer"], peer, "tasks",
            tasks["peer"] / tasks["ours"]),
        Row("derive", rate["ours"], bare, "bare kernels, as many threads", "Mpx/s",
            rate["ours"] / bare),
        Row("derive, two workers", rate["ours"], one, "one worker", "Mpx/s", rate["ours"] / one),
    ]  # fmt: skip


def empty(location: str, shard: int) -> None:
    """Replace what was derived before by empty variables."""
    outputs = DeriveBlock(location, 10.0, RADII_PX, "uint8").outputs
    cube.add_variables(location, outputs, StorageConfig(shard_px=shard), {"distance": DISTANCES_M})


def fill(location: str, side: int, shard: int) -> None:
    """A cube of synthetic elevation."""
    region = SyntheticSource(seed=1, height=side, width=side)
    source = synthetic_sources(region)["elevation"]
    storage = StorageConfig(shard_px=shard)
    cube.create(location, synthetic_grid(region), [schema.ELEVATION], storage, {})
    elevation = cube.array(open_group(location, "r+"), "elevation")
    for window in cube.shard_windows(location):
        cube.write_block(elevation, window, source.read(window))


def on_fresh_workers(
    way: Callable[[Client], int], workers: int = WORKERS
) -> tuple[float, float, int]:
    """Seconds, peak memory of a worker in MiB, and tasks."""
    with (
        # The profiler of Dask's workers can hang them on Python 3.11 (cpython#106883).
        dask.config.set({"distributed.worker.profile.enabled": False}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit="8GiB",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(warm_up)
        pids = [worker["pid"] for worker in client.run(_identity).values()]
        with PeakMemory(pids) as memory:
            start = time.perf_counter()
            tasks = way(client)
            seconds = time.perf_counter() - start
    return seconds, memory.mib, tasks


def _identity() -> dict[str, int]:
    return {"pid": os.getpid()}


def warm_up() -> None:
    """Compile the kernels, import what both ways need."""
    ground = np.zeros((100, 100), np.float32)
    DeriveBlock("", 10.0, RADII_PX, "uint8").compute(None, ground)  # type: ignore[arg-type]


def derive_blocks(location: str, client: Client) -> int:
    """Our way: one task reads blocks with their halo and writes shards."""
    task = DeriveBlock(location, 10.0, RADII_PX, "uint8")
    windows = cube.shard_windows(location)
    ledger = Ledger(location, "derive", "bench")
    ledger.clear()
    with hold(location, "derive") as lock:
        run_blocks(task, windows, ledger, lock, "derive", client)
    return num_tasks(len(windows), WORKERS)


def derive_lazily(location: str, client: Client) -> int:
    """The usual way: overlapping lazy arrays, stored to the same variables."""
    elevation = cube.open_cube(location)["elevation"]
    group = open_group(location, "r+")
    sources = [lazy_slope(elevation).data, lazy_uphill(elevation, DISTANCES_M).data]
    shard = group["uphill"].shards
    sources[1] = sources[1].rechunk(shard)
    targets = [group["slope"], group["uphill"]]
    stored = dask.optimize(*da.store(sources, targets, lock=False, compute=False))
    tasks = len({key for result in stored for key in result.__dask_graph__()})
    client.compute(list(stored), sync=True)
    return tasks


def check_same(location: str) -> None:
    """The lazy way ran last; ours must leave the same values."""
    task = DeriveBlock(location, 10.0, RADII_PX, "uint8")
    window = cube.shard_windows(location)[1]
    for name, ours in task.compute(window, task.read(window)).items():
        lazily = cube.read_window(cube.array(open_group(location), name), window, 0)
        np.testing.assert_array_equal(ours, lazily)


def bare_rate(location: str, shard: int, repeats: int) -> float:
    """Megapixels a second of the kernels alone, on arrays in memory, a thread a worker."""
    task = DeriveBlock(location, 10.0, RADII_PX, "uint8")
    window = cube.shard_windows(location)[0]
    elevation = task.read(window)
    calls = 2 * WORKERS
    times = []
    for _ in range(max(3, repeats) + 1):
        with ThreadPoolExecutor(WORKERS) as pool:
            start = time.perf_counter()
            list(pool.map(lambda _: task.compute(window, elevation), range(calls)))
            times.append(time.perf_counter() - start)
    return calls * window.height * window.width / 1e6 / statistics.median(times[1:])


if __name__ == "__main__":
    main()
