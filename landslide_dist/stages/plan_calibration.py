"""A few blocks of a run, done to learn what all of them will take.

The very tasks of the stages run on blocks spread over the region, into a scratch store beside the
cube, in a process of its own per stage whose peak memory is measured.
"""

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from landslide_dist import schema
from landslide_dist.config import RunConfig
from landslide_dist.config.cluster import worker_shape
from landslide_dist.features.match import count
from landslide_dist.grid import Window
from landslide_dist.progress import console
from landslide_dist.sources import target_grid
from landslide_dist.stages.derive import add_derived, derive_task
from landslide_dist.stages.ingest import IngestBlock
from landslide_dist.stages.match import MatchBlock
from landslide_dist.store import cube
from landslide_dist.store.blocks import BlockTask, run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, stored_bytes
from landslide_dist.store.lock import hold

#: Blocks of the calibration for each thread.
SAMPLES_PER_THREAD = 5


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
        inputs: Bytes of a pixel of each variable that was read, as stored.
    """

    pixels: int
    seconds: float
    threads: int
    stored_bytes: int
    resting_bytes: int
    peak_bytes: int
    inputs: dict[str, float] = field(default_factory=dict)


@contextmanager
def scratch_store(config: RunConfig) -> Iterator[str]:
    """Where blocks are written that nobody will read; gone afterwards."""
    location = f"{config.cube.location.rstrip('/')}.calibration"
    try:
        yield location
    finally:
        delete(location)


def calibrate_ingest(config: RunConfig, scratch: str) -> Calibration:
    """Blocks of ``ingest``."""
    return _in_own_process(_ingest, config, scratch)


def calibrate_derive(config: RunConfig, scratch: str) -> Calibration:
    """Blocks of slope and uphill index, after those of ``ingest``."""
    return _in_own_process(_derive, config, scratch)


def calibrate_match(config: RunConfig, scratch: str) -> Calibration:
    """Blocks of images that are counted and matched, after those of ``ingest``."""
    return _in_own_process(_match, config, scratch)


def _in_own_process(
    calibrate: Callable[[RunConfig, str, int], Calibration], config: RunConfig, scratch: str
) -> Calibration:
    workers, threads = worker_shape(config.cluster)
    # More threads than cores would measure the queue for them.
    trial = min(workers * threads, os.cpu_count() or 1)
    console.print(f"plan: calibration of {calibrate.__name__.strip('_')}, {trial} threads")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(calibrate, config, scratch, trial).result()


def _ingest(config: RunConfig, scratch: str, threads: int) -> Calibration:
    task = IngestBlock.of(config, scratch)
    delete(scratch)
    task.create_cube(target_grid(config), config.cube.storage, {})
    return _calibrate(task, scratch, threads)


def _derive(config: RunConfig, scratch: str, threads: int) -> Calibration:
    task = derive_task(config, scratch, target_grid(config).pixel_m)
    add_derived(config, scratch, task, {})
    return _calibrate(task, scratch, threads, (schema.ELEVATION.name,))


def _match(config: RunConfig, scratch: str, threads: int) -> Calibration:
    assert config.cube.matching is not None
    sizes = cube.open_cube(scratch).sizes
    output = schema.matched(sizes["time"], sizes["band"], config.cube.matching.dtype)
    cube.add_variables(scratch, [output], config.cube.storage)
    # To themselves: values of fewer levels, such as those of pictures, would weigh less.
    tables = np.tile(np.arange(2**16, dtype=np.float64), (sizes["time"], sizes["band"], 1))
    task = MatchBlock(scratch, tables, output)
    looked_up = _calibrate(task, scratch, threads, ("reflectance", "valid"))
    counted = (num_readings(config) - 1) * _counting_seconds(scratch, threads)
    return replace(looked_up, seconds=looked_up.seconds + counted)


def num_readings(config: RunConfig) -> int:
    """How often matching reads the images: to count, to look up, and to count the training part."""
    matching = config.cube.matching
    return 0 if matching is None else 2 + (matching.reference.kind == "training")


def _counting_seconds(scratch: str, threads: int) -> float:
    """To count the values of the same blocks."""
    ds = cube.open_cube(scratch)

    def count_block(window: Window) -> None:
        block = ds.isel(y=slice(window.y0, window.y1), x=slice(window.x0, window.x1))
        count(block["reflectance"], block["valid"]).compute(scheduler="synchronous")

    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(count_block, _sampled(scratch, threads)):
            pass
    return time.perf_counter() - start


def _calibrate(
    task: BlockTask, scratch: str, threads: int, inputs: Sequence[str] = ()
) -> Calibration:
    windows = _sampled(scratch, threads)
    pixels = sum(window.height * window.width for window in windows)
    before, resting = stored_bytes(scratch), _peak_bytes()
    with hold(scratch, "plan") as lock:
        # Compiles kernels and opens files; the block is run once more below.
        run_blocks(task, windows[:1], _ledger(scratch, "warm-up"), lock, "warm-up", threads=1)
        start = time.perf_counter()
        ledger = _ledger(scratch, type(task).__name__)
        run_blocks(task, windows, ledger, lock, "calibration", threads=threads)
        seconds = time.perf_counter() - start
    return Calibration(
        pixels=pixels,
        seconds=seconds,
        threads=threads,
        stored_bytes=stored_bytes(scratch) - before,
        resting_bytes=resting,
        peak_bytes=_peak_bytes(),
        inputs={name: stored_bytes(f"{scratch}/{name}") / pixels for name in inputs},
    )


def _ledger(scratch: str, purpose: str) -> Ledger:
    return Ledger(scratch, "plan", purpose)


def _sampled(scratch: str, threads: int) -> list[Window]:
    """Blocks spread evenly over the region."""
    windows = cube.shard_windows(scratch)
    number = min(threads * SAMPLES_PER_THREAD, len(windows))
    return [windows[i * len(windows) // number] for i in range(number)]


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
