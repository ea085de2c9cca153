"""``doctor``: what this machine lets a process have."""

import math
import multiprocessing
import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from landslide_dist.config import RunConfig
from landslide_dist.config.cluster import LocalCluster, check_memory, worker_shape
from landslide_dist.errors import ConfigError, LandslideDistError
from landslide_dist.sources import target_grid
from landslide_dist.stages.derive import derive_task
from landslide_dist.stages.doctor.check import (
    Check,
    amount,
    fail,
    guarded,
    ok,
    one_line,
    refused,
    warn,
)
from landslide_dist.stages.doctor.needs import Needs
from landslide_dist.store.layout import shard_px

_GIB = 2**30
_SHARED_MEMORY = Path("/dev/shm")
#: Data loader workers hand batches over in it, and GPUs of one machine their gradients.
_SHARED_GIB = 1.0
#: Open files below which long stages come close to the limit, and below which they cross it.
_FEW_FILES, _TOO_FEW_FILES = 4096, 1024
#: A process that starts at all starts sooner.
_START_S = 120.0


@dataclass(frozen=True)
class Limits:
    """What the control groups of a process leave it.

    Attributes:
        memory_bytes: None: no limit.
        cores: None: no limit.
    """

    memory_bytes: int | None = None
    cores: float | None = None

    @classmethod
    def read(cls, root: Path = Path("/sys/fs/cgroup"), own: str | None = None) -> "Limits":
        """The narrowest limits on the way from the root of all groups to this process's own.

        Args:
            root: Where groups are mounted, of version 2 or 1.
            own: Path of the group below it; None: as the kernel tells.
        """
        group = (own if own is not None else _own_group()).strip("/")
        folders = [root, *(root / part for part in _lineage(group))]
        memory = [_number(folder / "memory.max") for folder in folders]
        memory.append(_number(root / "memory/memory.limit_in_bytes"))
        cores = [_cores(_words(folder / "cpu.max")) for folder in folders]
        old = root / "cpu"
        cores.append(_cores(_words(old / "cpu.cfs_quota_us") + _words(old / "cpu.cfs_period_us")))
        return cls(
            min((m for m in memory if m is not None), default=None),
            min((c for c in cores if c is not None), default=None),
        )


def machine(needs: Needs | None) -> Iterator[Check]:
    """Memory, cores, files, shared memory, and how processes start."""
    limits = Limits.read()
    yield from guarded("memory", partial(memory, needs, limits))
    yield from guarded("cores", partial(cores, limits))
    yield from guarded("open files", open_files)
    yield from guarded(str(_SHARED_MEMORY), partial(shared_memory, needs))
    yield from guarded("processes", partial(processes, needs))


def memory(needs: Needs | None, limits: Limits) -> Iterator[Check]:
    """Memory against what the run is allowed to take."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    given = min(installed, limits.memory_bytes or installed)
    source = "of the control group" if given < installed else "of the machine"
    yield ok("memory", f"{amount(given)} {source}")
    if needs is None:
        return
    host = needs.training.host_memory_gib * _GIB
    if host > given and not needs.trains_elsewhere:
        yield warn(
            "memory of training",
            f"training.host_memory_gib is {host / _GIB:g}, more than there is",
            f"lower it, to {0.5 * given / _GIB:.0f} at most, so that models have room as well",
        )
    for prefix, run in needs.regions.items():
        name = f"memory of {prefix}derive"
        yield from guarded(name, partial(_memory_of_derive, name, run, given))


def _memory_of_derive(name: str, run: RunConfig, given: int) -> Iterator[Check]:
    if run.task == "chips":
        return
    try:
        grid = target_grid(run)
        task = derive_task(run, run.cube.location, grid.pixel_m)
    except LandslideDistError:
        return  # the looks at inputs tell
    block_px = shard_px(run.cube.storage, grid.shape)
    thread_bytes = task.thread_bytes(block_px)
    try:
        check_memory(run.cluster, thread_bytes, block_px)
    except ConfigError as error:
        yield refused(name, error, "raise cluster.memory_gib, or lower cube.storage.shard_px")
        return
    workers, threads = worker_shape(run.cluster)
    if isinstance(run.cluster, LocalCluster):
        needed = int(workers * run.cluster.memory_gib * _GIB)
    elif run.cluster is None:
        needed = min(threads, -(-grid.height // block_px) * -(-grid.width // block_px))
        needed *= thread_bytes
    else:
        return
    shape = f"{workers} workers" if run.cluster else f"{threads} threads"
    found = f"{shape}, blocks of {block_px} px: {amount(needed)} at most"
    if needed <= given:
        yield ok(name, found)
    else:
        yield warn(name, found, "take a smaller cube.storage.shard_px, or fewer cluster.workers")


def cores(limits: Limits) -> Iterator[Check]:
    """Threads that libraries start against cores that they may use."""
    allowed = len(os.sched_getaffinity(0))
    usable = min(allowed, math.ceil(limits.cores or allowed))
    setting = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(setting) if setting.isdigit() else os.cpu_count() or 1
    stated = f"OMP_NUM_THREADS is {setting}" if setting else "OMP_NUM_THREADS is not set"
    found = f"{usable} usable of {os.cpu_count()}; {stated}"
    if threads > usable:
        yield warn(
            "cores",
            f"{found}: {threads} threads would share {usable}",
            f"export OMP_NUM_THREADS={usable}",
        )
    else:
        yield ok("cores", found)
    if os.environ.get("OMP_WAIT_POLICY", "").upper() == "ACTIVE":
        yield warn(
            "waiting threads",
            "OMP_WAIT_POLICY is ACTIVE: threads spin while they wait",
            "unset OMP_WAIT_POLICY; the command then sets it to PASSIVE",
        )


def open_files() -> Iterator[Check]:
    """How many files, and connections to a store, a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FEW_FILES:
        yield ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft}")
        return
    wanted = _FEW_FILES if hard == resource.RLIM_INFINITY else min(_FEW_FILES, hard)
    remedy = f"ulimit -n {wanted}"
    if wanted < _FEW_FILES:
        remedy += f"; the hard limit is {hard}, which only an administrator can raise"
    found = f"up to {soft} at a time"
    too_few = soft < _TOO_FEW_FILES
    yield fail("open files", found, remedy) if too_few else warn("open files", found, remedy)


def shared_memory(needs: Needs | None) -> Iterator[Check]:
    """``/dev/shm`` against what hands data over in it; planes on the host do not lie there."""
    if not _SHARED_MEMORY.is_dir():
        return
    usage = shutil.disk_usage(_SHARED_MEMORY)
    found = f"{amount(usage.free)} free of {amount(usage.total)}"
    users = [] if needs is None else _users_of_shared_memory(needs)
    if usage.free >= _SHARED_GIB * _GIB or (needs is not None and not users):
        yield ok(str(_SHARED_MEMORY), found)
        return
    by = ", ".join(users) or "data loader workers and GPUs"
    yield warn(
        str(_SHARED_MEMORY),
        f"{found}; {by} hand data over in it",
        "give the container more (docker run --shm-size=2g, "
        "cluster.pipeline.shared_memory_gib), or training.workers 0 and training.devices 1",
    )


def _users_of_shared_memory(needs: Needs) -> list[str]:
    training = needs.training
    users = [f"training.workers {training.workers}"] if training.workers else []
    if training.devices != 1 and training.accelerator != "cpu":
        users.append(f"training.devices {training.devices}")
    return users


def processes(needs: Needs | None) -> Iterator[Check]:
    """Whether data loader workers can be started beside threads and open stores."""
    default = multiprocessing.get_start_method()
    if needs is None or not needs.training.workers:
        yield ok("processes", f"Python starts them by {default}; this package by spawn")
        return
    method = needs.training.worker_start
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=os.getpid)
    try:
        process.start()
        process.join(_START_S)
        found = f"one started by {method} ended with {process.exitcode}"
    except OSError as error:
        found = f"none can be started by {method}: {one_line(error)}"
    if process.pid is not None and process.exitcode == 0:
        yield ok("processes", f"training.workers are started by {method}, which works here")
    else:
        yield fail("processes", found, "training.workers=0 reads by threads instead")


def _own_group() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            return path
    return "/"


def _lineage(group: str) -> list[Path]:
    """A group and those above it, the root itself not."""
    return [Path(group), *Path(group).parents][:-1] if group else []


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else None


def _cores(quota_and_period: list[str]) -> float | None:
    """Cores of a quota; -1 or ``max`` is none."""
    if len(quota_and_period) != 2 or not all(word.isdigit() for word in quota_and_period):
        return None
    quota, period = map(int, quota_and_period)
    return quota / period
