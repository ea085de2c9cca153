"""One run of a loader over a task, and loaders run in turn."""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loader_peers import CHANNELS, COMPACT, STORED, stream
from loader_region import Bench, drop_page_cache, files

from landslide_dist.batch import Batch
from landslide_dist.patches.order import Share
from landslide_dist.patches.planes import TARGET, Planes

#: Patches of one delivered batch of compact planes: LACNN's of table 1.
BATCH_SIZE = 9
OURS = ("streamed", "resident")


@dataclass(frozen=True)
class Task:
    """What is delivered.

    Attributes:
        name: For people.
        dense: As channels on the device; else as compact planes on the host.
        part: Only the patches that are stored dense, as for dense tasks.
        cold: Drop the files from the page cache first.
        block_cores: Side of a block in cores; None as the package chooses.
        num_lanes: Lanes of the order.
        batch_size: Patches of a batch.
        dtype: Of channels.
        max_repeats: Timed runs, where the scale asks for more.
    """

    name: str
    dense: bool
    cold: bool = False
    part: bool = False
    block_cores: int | None = 4
    num_lanes: int = 1
    batch_size: int = BATCH_SIZE
    dtype: torch.dtype = torch.float32
    max_repeats: int = 9

    def shares(self, bench: Bench) -> list[Share]:
        """Its batches: of the part that is stored dense, or of the whole region."""
        chosen = bench.dense_patches if self.dense or self.part else None
        return bench.shares(self.batch_size, self.num_lanes, self.block_cores, chosen)


@dataclass(frozen=True)
class Delivered:
    """One run of a loader.

    Attributes:
        seconds: From nothing open to the last batch.
        first_s: To the first batch.
        bytes_read: By read calls of the process.
        num_patches: Patches delivered.
        checksum: Of labels and, for dense tasks, of channels.
    """

    seconds: float
    first_s: float
    bytes_read: int
    num_patches: int
    checksum: float

    @property
    def rate(self) -> float:
        """Patches a second."""
        return self.num_patches / self.seconds


# In the process of a loader.

_held: dict[str, Planes] = {}


def deliver(name: str, bench: Bench, task: Task) -> Delivered:
    """Run a loader over a task once."""
    shares = task.shares(bench)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = bench.model("lacnn").encoder.to(device) if task.dense else None
    held = resident(bench, device) if name == "resident" else None
    if task.cold:
        drop_page_cache(list(files(bench)))
    read, start, first = read_bytes(), time.perf_counter(), 0.0
    num_patches, checksum = 0, 0.0
    for batch in open_loader(name, bench, shares, held):
        if encoder is not None:
            channels = expand(batch.to(device), encoder).to(task.dtype)
            checksum += float(channels[:, :, ::97, ::89].double().sum())
        first = first or time.perf_counter() - start
        num_patches += len(batch)
        checksum += float(batch.target[:, ::97, ::89].double().sum())
    seconds = time.perf_counter() - start
    return Delivered(seconds, first, read_bytes() - read, num_patches, checksum)


def open_loader(
    name: str, bench: Bench, shares: list[Share], held: Planes | None
) -> Iterator[Batch]:
    """Batches of a loader."""
    if name == "resident":
        return iter(stream(bench, shares, held))
    return (COMPACT | STORED)[name](bench, shares)


def expand(batch: Batch, encoder: Callable[[Batch], torch.Tensor]) -> torch.Tensor:
    """Channels of a batch, which may have come as such."""
    return batch.planes[CHANNELS] if CHANNELS in batch.planes else encoder(batch)


def resident(bench: Bench, device: torch.device) -> Planes:
    """The region in memory, loaded once in this process."""
    if bench.folder not in _held:
        region = bench.region("device")
        region.settle(device)
        planes = region.planes("train")
        assert planes is not None
        _held[bench.folder] = planes
    return _held[bench.folder]


def read_bytes() -> int:
    """What read calls of this process have returned."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def copy_seconds(nbytes: int) -> float:
    """Time of ``np.copyto`` of so many bytes, between arrays larger than any cache."""
    size = min(nbytes, 2**29)
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    start, left = time.perf_counter(), nbytes
    while left:
        part = min(left, size)
        np.copyto(target[:part], source[:part])
        left -= part
    return time.perf_counter() - start


def copy_windows_seconds(bench: Bench, task: Task) -> float:
    """Time of ``np.copyto`` of the windows of a task's patches, into the same memory each time."""
    held, cutter = resident(bench, torch.device("cpu")), bench.cutter()
    reads = dict.fromkeys(cutter.inputs, cutter.side_px) | {TARGET: cutter.patches.core_px}
    planes = {name: held.tensors[name].numpy() for name in reads}
    target = {
        name: np.ones((*planes[name].shape[:-2], side, side), planes[name].dtype)
        for name, side in reads.items()
    }
    patch = np.concatenate([share.patch for share in task.shares(bench)])
    start = time.perf_counter()
    for y0, x0 in cutter.origins(patch).tolist():
        for name, side in reads.items():
            y, x = (at - (side - cutter.patches.core_px) // 2 for at in (y0, x0))
            np.copyto(target[name], planes[name][..., y : y + side, x : x + side])
    return time.perf_counter() - start


# In the first process.


class Contest:
    """Loaders in their processes, run in turn.

    Args:
        bench: The region.
        stack: Ends the processes.
    """

    def __init__(self, bench: Bench, stack: ExitStack) -> None:
        self.bench = bench
        self.stack = stack
        self.processes: dict[str, ProcessPoolExecutor] = {}

    def call(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the process of a loader: ours have their own, all else shares one."""
        place = name if name in OURS else "peers"
        if place not in self.processes:
            # Of OpenMP, in all processes alike: threads that spin while they wait slow a process
            # with one team of them on a busy machine, but not one with two, such as ours.
            os.environ["OMP_WAIT_POLICY"] = "passive"
            pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            self.processes[place] = self.stack.enter_context(pool)
        return self.processes[place].submit(function, *args).result()

    def run(self, task: Task, names: list[str]) -> dict[str, Delivered]:
        """The run of median time of each loader, after one that does not count.

        Raises:
            SystemExit: Loaders delivered different patches.
        """
        runs: dict[str, list[Delivered]] = {name: [] for name in names}
        for _ in range(min(task.max_repeats, self.bench.scale.repeats) + 1):
            for name in names:
                runs[name].append(self.call(name, deliver, name, self.bench, task))
        checksums = {name: of_name[0].checksum for name, of_name in runs.items()}
        if not np.allclose(list(checksums.values()), checksums[names[0]], rtol=1e-6):
            raise SystemExit(f"{task.name}: loaders differ: {checksums}")
        return {
            name: sorted(counted, key=lambda run: run.seconds)[len(counted) // 2]
            for name, of_name in runs.items()
            if (counted := of_name[1:] or of_name)
        }
