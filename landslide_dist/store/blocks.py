"""Runs one task over many blocks: the next is read and the last is written while one is computed.

Blocks are independent and idempotent, so any number of threads or Dask workers may take them in any
order. A bounded number is under way at a time, whatever the size of the region, and no block ever
travels between workers: each reads its halo from the store.
"""

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from distributed import CancelledError, Client, KilledWorker, as_completed
from distributed.comm.core import CommClosedError

from landslide_dist.errors import ProcessError, StoreError
from landslide_dist.grid import Window
from landslide_dist.progress import console, track, writes_json
from landslide_dist.store.ledger import Ledger, block_key
from landslide_dist.store.lock import Lock
from landslide_dist.store.retry import persistently

T = TypeVar("T")

#: Blocks of one Dask task at most: enough to read ahead, few enough to share out evenly.
BLOCKS_PER_TASK = 8


class BlockTask(Protocol):
    """Reads, computes and writes one block; picklable to run on a cluster.

    The steps of different blocks run at the same time, each step in one thread.
    """

    def read(self, window: Window) -> Any:
        """What the block is computed from."""

    def compute(self, window: Window, inputs: Any) -> Any:
        """What is to be written."""

    def write(self, window: Window, outputs: Any) -> None:
        """Write whole shards; a second time, the same bytes."""


@dataclass(frozen=True)
class Steps:
    """Blocks done, and the seconds that their steps took, summed over threads and workers.

    ``waited_s`` is what a thread that computes waited for reading and writing.
    """

    blocks: int = 0
    read_s: float = 0.0
    compute_s: float = 0.0
    write_s: float = 0.0
    waited_s: float = 0.0

    def __add__(self, other: "Steps") -> "Steps":
        return Steps(
            self.blocks + other.blocks,
            self.read_s + other.read_s,
            self.compute_s + other.compute_s,
            self.write_s + other.write_s,
            self.waited_s + other.waited_s,
        )

    def __str__(self) -> str:
        return (
            f"{self.blocks} blocks; seconds of all threads: {self.read_s:.1f} reading, "
            f"{self.compute_s:.1f} computing, {self.write_s:.1f} writing, "
            f"{self.waited_s:.1f} waiting for them"
        )


def run_blocks(
    task: BlockTask,
    windows: Sequence[Window],
    ledger: Ledger,
    lock: Lock | None,
    label: str,
    cluster: Client | None = None,
    threads: int | None = None,
) -> Steps:
    """Run ``task`` on every block that the ledger does not know as done.

    Args:
        task: Reads, computes and writes one block.
        windows: The blocks.
        ledger: Where finished blocks are noted, each after its task.
        lock: On the store that is written; the run stops if it is lost. None where another process
            of this run holds it.
        label: What the progress bar says.
        cluster: Dask client; None runs threads of this process.
        threads: Threads that compute, without a cluster; by default one a core.

    Returns:
        What was run, and how long its steps took.

    Raises:
        StoreError: A store failed for good; what is finished stays finished.
        ProcessError: The lock or the cluster was lost; as well.
    """
    done = ledger.done()
    pending = [window for window in windows if block_key(window) not in done]
    finished = (
        _run_threads(task, pending, ledger, threads or os.cpu_count() or 1)
        if cluster is None
        else _run_cluster(task, pending, ledger, cluster)
    )
    total = Steps()
    for steps in track(finished, label, total=len(pending)):
        if lock is not None:
            lock.check()
        total += steps
    return total


def run_in_order(
    task: BlockTask, windows: Iterable[Window], ledger: Ledger
) -> Generator[Steps, None, None]:
    """One thread's share: reads one block ahead, writes one behind, computes in between.

    At any time there are at most the inputs of two blocks and the outputs of two.
    """
    waiting = iter(windows)
    with (
        ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader,
        ThreadPoolExecutor(1, thread_name_prefix="write-behind") as writer,
    ):
        ahead = [(w, reader.submit(_read, task, w)) for w in itertools.islice(waiting, 1)]
        behind: deque[Future[Steps]] = deque()
        while ahead:
            window, future = ahead.pop()
            (inputs, read_s), waited_s = _timed(future.result)
            del future  # it holds the inputs
            ahead += [(w, reader.submit(_read, task, w)) for w in itertools.islice(waiting, 1)]
            outputs, compute_s = _timed(task.compute, window, inputs)
            del inputs
            if behind:
                written, written_s = _timed(behind.popleft().result)
                waited_s += written_s
                yield written
            steps = Steps(1, read_s, compute_s, waited_s=waited_s)
            behind.append(writer.submit(_write, task, window, outputs, ledger, steps))
            del outputs
        yield from (future.result() for future in behind)


def _read(task: BlockTask, window: Window) -> tuple[Any, float]:
    return _timed(persistently, task.read, window)


def _write(task: BlockTask, window: Window, outputs: Any, ledger: Ledger, steps: Steps) -> Steps:
    _, write_s = _timed(persistently, task.write, window, outputs)
    persistently(ledger.mark, block_key(window))
    if writes_json():
        console.event(block=block_key(window), write_s=round(write_s, 3))
    return steps + Steps(write_s=write_s)


def _timed(call: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    start = time.perf_counter()
    return call(*arguments), time.perf_counter() - start


def _run_threads(
    task: BlockTask, windows: Sequence[Window], ledger: Ledger, threads: int
) -> Iterator[Steps]:
    shared = _Shared(windows)
    pipelines = [run_in_order(task, shared, ledger) for _ in range(min(threads, len(windows)))]
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="blocks") as pool:
            try:
                running = {pool.submit(next, pipeline, None): pipeline for pipeline in pipelines}
                while running:
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        pipeline = running.pop(future)
                        steps = future.result()
                        if steps is not None:
                            running[pool.submit(next, pipeline, None)] = pipeline
                            yield steps
            finally:
                shared.stop()
    finally:
        # What is being written is written to its end, also when another block has failed.
        for pipeline in pipelines:
            pipeline.close()


class _Shared:
    """Blocks that several threads take from, until they are stopped."""

    def __init__(self, windows: Iterable[Window]):
        self._windows = iter(windows)
        self._lock = threading.Lock()
        self._stopped = False

    def __iter__(self) -> Iterator[Window]:
        return self

    def __next__(self) -> Window:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._windows)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True


def _run_cluster(
    task: BlockTask, windows: Sequence[Window], ledger: Ledger, client: Client
) -> Iterator[Steps]:
    size = task_size(len(windows), num_threads(client))
    shares = (windows[start : start + size] for start in range(0, len(windows), size))
    running = as_completed([])
    with cluster_errors():
        _submit(client, running, shares, task, ledger)
        for future in running:
            yield from future.result()
            _submit(client, running, shares, task, ledger)


def _submit(
    client: Client,
    running: as_completed,
    shares: Iterator[Sequence[Window]],
    task: BlockTask,
    ledger: Ledger,
) -> None:
    """Two tasks a thread keep every worker busy while the next is sent, also those that join."""
    room = 2 * num_threads(client) - running.count()
    for share in itertools.islice(shares, max(0, room)):
        running.add(client.submit(_run_share, task, share, ledger, pure=False))


def num_threads(client: Client) -> int:
    """Threads of all workers that a client knows now; at least 1."""
    return max(1, sum(int(threads) for threads in client.nthreads().values()))


def num_tasks(blocks: int, threads: int) -> int:
    """Dask tasks of so many blocks on a cluster of so many threads."""
    return -(-blocks // task_size(blocks, threads))


def task_size(blocks: int, threads: int) -> int:
    """Blocks of one Dask task."""
    return min(BLOCKS_PER_TASK, max(1, blocks // (4 * threads)))


def _run_share(task: BlockTask, windows: Sequence[Window], ledger: Ledger) -> list[Steps]:
    return list(run_in_order(task, windows, ledger))


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Lost workers are replaced by Dask; what it cannot mend becomes one clear line."""
    try:
        yield
    except KilledWorker as error:
        raise StoreError(
            "several Dask workers died on the same blocks, most likely for want of memory: give "
            "cluster.memory_gib what `plan` says, or smaller cube.storage.shard_px; finished "
            "blocks are kept"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise ProcessError(
            "the Dask scheduler was lost; finished blocks are kept: run the stage again"
        ) from error
