"""``plan``: what ingest and derive of a run will take, from a few of its blocks."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from landslide_dist.config import RunConfig
from landslide_dist.config.cluster import worker_shape
from landslide_dist.grid import Window
from landslide_dist.sources import target_grid
from landslide_dist.stages.derive import derive_task
from landslide_dist.stages.ingest import IngestBlock
from landslide_dist.stages.plan_calibration import (
    Calibration,
    calibrate_derive,
    calibrate_ingest,
    calibrate_match,
    num_readings,
    scratch_store,
)
from landslide_dist.store.blocks import num_tasks
from landslide_dist.store.layout import read_cost, shard_px

#: Requests of a block besides those for shards: the group's metadata, and its marker.
_METADATA_READS, _MARKER = 1, 1
#: Zarr looks whether a shard is there before it writes it.
_PER_SHARD = 2
_MIB = 2**20


@dataclass(frozen=True)
class StagePlan:
    """What a stage will take.

    Attributes:
        stage: Its name; ``match`` is the part of ``derive`` that matches images.
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
    with scratch_store(config) as scratch:
        plans = [
            _plan_ingest(config, calibrate_ingest(config, scratch)),
            _plan_derive(config, calibrate_derive(config, scratch)),
        ]
        if config.cube.matching is not None:
            plans.append(_plan_match(config, calibrate_match(config, scratch)))
    return plans


def _plan_ingest(config: RunConfig, calibration: Calibration) -> StagePlan:
    task = IngestBlock.of(config, config.cube.location)
    # Images list their files below each time step.
    files = [file for entry in task.provenance() for file in entry.get("files", [entry])]
    input_bytes = sum(int(file.get("size") or 0) for file in files)
    writes = _METADATA_READS + _PER_SHARD * len(task.outputs) + _MARKER
    return _extrapolate(config, "ingest", calibration, input_bytes, writes)


def _plan_derive(config: RunConfig, calibration: Calibration) -> StagePlan:
    grid, storage = target_grid(config), config.cube.storage
    halo_px = derive_task(config, config.cube.location, grid.pixel_m).halo_px
    costs = [read_cost(window, halo_px, storage, grid.shape) for window in _windows(config)]
    requests, pixels = (sum(column) for column in zip(*costs, strict=True))
    num_outputs = len(derive_task(config, config.cube.location, grid.pixel_m).outputs)
    writes = 2 * _METADATA_READS + _PER_SHARD * num_outputs + _MARKER + requests / len(costs)
    read_bytes = int(pixels * sum(calibration.inputs.values()))
    return _extrapolate(config, "derive", calibration, read_bytes, writes)


def _plan_match(config: RunConfig, calibration: Calibration) -> StagePlan:
    """Shards of images and masks are read whole, once in each reading."""
    windows, readings = _windows(config), num_readings(config)
    pixels = sum(window.height * window.width for window in windows)
    read_bytes = int(readings * pixels * sum(calibration.inputs.values()))
    requests = readings * len(calibration.inputs) + 2 * _METADATA_READS + _PER_SHARD + _MARKER
    return _extrapolate(config, "match", calibration, read_bytes, requests)


def _extrapolate(
    config: RunConfig,
    stage: str,
    calibration: Calibration,
    read_bytes: int,
    requests_per_block: float,
) -> StagePlan:
    windows = _windows(config)
    workers, threads = worker_shape(config.cluster)
    share = sum(window.height * window.width for window in windows) / calibration.pixels
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
