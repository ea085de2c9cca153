"""``plan``: what ingest and derive of a run will take, from a calibration on a few of its blocks.

The calibration runs the very tasks of the stages on blocks spread over the region, into a scratch
store beside the cube, in a process of its own per stage whose peak memory is measured.
"""

import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from landslide_dist import schema
from landslide_dist.config import RunConfig
from landslide_dist.config.cluster import worker_shape
from landslide_dist.grid import Window
from landslide_dist.progress import console
from landslide_dist.sources import target_grid
from landslide_dist.stages.derive import add_derived, derive_task
from landslide_dist.stages.ingest import IngestBlock
from landslide_dist.store import cube
from landslide_dist.store.blocks import BlockTask, num_tasks, run_blocks
from landslide_dist.store.layout import read_cost, shard_px
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, stored_bytes
from landslide_dist.store.lock import hold

#: Blocks of the calibration for each thread.
SAMPLES_PER_THREAD = 5
#: Requests of a block besides those for shards: the group's metadata, and its marker.
_METADATA_READS, _MARKER = 1, 1
#: Zarr looks whether a shard is there before it writes it.
_PER_SHARD = 2
_MIB = 2**20


@dataclass(frozen=True)
class StagePlan:
    """What a stage will take.

    Attributes:
        stage: Its name.
        blocks: Blocks, one shard of every variable each.
        tasks: Dask tasks, or blocks without a cluster.
        read_bytes: Read from inputs or the cube, as stored.
        written_bytes: Written to the cube, as stored.
        requests: Requests to an object store, without retries.
        worker_memory_bytes: Peak of one worker process.
        seconds: Wall time, once the workers are there.
    """

    stage: str
    blocks: int
    tasks: int
    read_bytes: int
    written_bytes: int
    requests: int
    worker_memory_bytes: int
    seconds: float


@dataclass(frozen=True)
class Calibration:
    """What a few blocks took.

    Attributes:
        pixels: Of the blocks.
        seconds: Wall time of ``threads`` threads.
        threads: Threads of the one process.
        stored_bytes: What the blocks weigh in the store.
        resting_bytes: Memory of the process before.
        peak_bytes: And at its peak.
    """

    pixels: int
    seconds: float
    threads: int
    stored_bytes: int
    resting_bytes: int
    peak_bytes: int


def plan(config: RunConfig, path: Path | None = None) -> None:
    """Print the plan of a run, and write it as JSON.

    Args:
        config: The run; its cluster says how many workers there will be.
        path: JSON file; None for none.
    """
    plans = plan_run(config)
    Console().print(_table(config, plans))
    if path is not None:
        path.write_text(json.dumps([asdict(p) for p in plans], indent=1) + "\n", "utf-8")


def plan_run(config: RunConfig) -> list[StagePlan]:
    """Calibrate and extrapolate; the cube itself is neither read nor written."""
    scratch = f"{config.cube.location.rstrip('/')}.calibration"
    try:
        ingest = _in_own_process(_calibrate_ingest, config, scratch)
        elevation_bytes = stored_bytes(f"{scratch}/{schema.ELEVATION.name}")
        derive = _in_own_process(_calibrate_derive, config, scratch)
    finally:
        delete(scratch)
    return [
        _plan_ingest(config, ingest),
        _plan_derive(config, derive, elevation_bytes / ingest.pixels),
    ]


def _in_own_process(
    calibrate: Callable[[RunConfig, str, int], Calibration], config: RunConfig, scratch: str
) -> Calibration:
    workers, threads = worker_shape(config.cluster)
    # More threads than cores would measure the queue for them.
    trial = min(workers * threads, os.cpu_count() or 1)
    console.print(f"plan: {calibrate.__name__.replace('_', ' ').strip()}, {trial} threads")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(calibrate, config, scratch, trial).result()


def _calibrate_ingest(config: RunConfig, scratch: str, threads: int) -> Calibration:
    task = IngestBlock.of(config, scratch)
    delete(scratch)
    task.create_cube(target_grid(config), config.cube.storage, {})
    return _calibrate(task, scratch, threads)


def _calibrate_derive(config: RunConfig, scratch: str, threads: int) -> Calibration:
    task = derive_task(config, scratch, target_grid(config).pixel_m)
    add_derived(config, scratch, task, {})
    return _calibrate(task, scratch, threads)


def _calibrate(task: BlockTask, scratch: str, threads: int) -> Calibration:
    windows = _sample(cube.shard_windows(scratch), threads * SAMPLES_PER_THREAD)
    before, resting = stored_bytes(scratch), _peak_bytes()
    with hold(scratch, "plan") as lock:
        # Compiles kernels and opens files; the block is run once more below.
        run_blocks(task, windows[:1], _ledger(scratch, "warm-up"), lock, "warm-up", threads=1)
        start = time.perf_counter()
        ledger = _ledger(scratch, type(task).__name__)
        run_blocks(task, windows, ledger, lock, "calibration", threads=threads)
        seconds = time.perf_counter() - start
    return Calibration(
        pixels=_pixels(windows),
        seconds=seconds,
        threads=threads,
        stored_bytes=stored_bytes(scratch) - before,
        resting_bytes=resting,
        peak_bytes=_peak_bytes(),
    )


def _ledger(scratch: str, purpose: str) -> Ledger:
    return Ledger(scratch, "plan", purpose)


def _pixels(windows: Sequence[Window]) -> int:
    return sum(window.height * window.width for window in windows)


def _sample(windows: Sequence[Window], number: int) -> list[Window]:
    """Blocks spread evenly over the region."""
    number = min(number, len(windows))
    return [windows[i * len(windows) // number] for i in range(number)]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _plan_ingest(config: RunConfig, calibration: Calibration) -> StagePlan:
    task = IngestBlock.of(config, config.cube.location)
    # Images list their files below each time step.
    files = [file for entry in task.provenance() for file in entry.get("files", [entry])]
    input_bytes = sum(int(file.get("size") or 0) for file in files)
    writes = _METADATA_READS + _PER_SHARD * len(task.outputs) + _MARKER
    return _extrapolate(config, "ingest", calibration, input_bytes, writes)


def _plan_derive(
    config: RunConfig, calibration: Calibration, elevation_bytes_per_pixel: float
) -> StagePlan:
    grid, storage = target_grid(config), config.cube.storage
    halo_px = derive_task(config, config.cube.location, grid.pixel_m).halo_px
    costs = [read_cost(window, halo_px, storage, grid.shape) for window in _windows(config)]
    requests, pixels = (sum(column) for column in zip(*costs, strict=True))
    num_outputs = len(derive_task(config, config.cube.location, grid.pixel_m).outputs)
    writes = 2 * _METADATA_READS + _PER_SHARD * num_outputs + _MARKER + requests / len(costs)
    read_bytes = int(pixels * elevation_bytes_per_pixel)
    return _extrapolate(config, "derive", calibration, read_bytes, writes)


def _extrapolate(
    config: RunConfig,
    stage: str,
    calibration: Calibration,
    read_bytes: int,
    requests_per_block: float,
) -> StagePlan:
    windows = _windows(config)
    workers, threads = worker_shape(config.cluster)
    share = _pixels(windows) / calibration.pixels
    per_thread = (calibration.peak_bytes - calibration.resting_bytes) // calibration.threads
    tasks = num_tasks(len(windows), workers * threads) if config.cluster else len(windows)
    return StagePlan(
        stage=stage,
        blocks=len(windows),
        tasks=tasks,
        read_bytes=read_bytes,
        written_bytes=int(calibration.stored_bytes * share),
        requests=round(len(windows) * requests_per_block),
        worker_memory_bytes=calibration.resting_bytes + per_thread * threads,
        seconds=calibration.seconds * share * calibration.threads / (workers * threads),
    )


def _windows(config: RunConfig) -> list[Window]:
    grid = target_grid(config)
    return list(grid.windows(shard_px(config.cube.storage, grid.shape)))


def _table(config: RunConfig, plans: Sequence[StagePlan]) -> Table:
    workers, threads = worker_shape(config.cluster)
    table = Table(title=f"{config.name}: {workers} workers of {threads} threads")
    for column in ("stage", "blocks", "tasks", "read", "written", "requests", "memory", "time"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for p in plans:
        table.add_row(
            p.stage, str(p.blocks), str(p.tasks), _mib(p.read_bytes), _mib(p.written_bytes),
            str(p.requests), _mib(p.worker_memory_bytes), f"{p.seconds:.0f} s",
        )  # fmt: skip
    return table


def _mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
