"""Results of a function of every block, in order: for sums over a region.

Like :func:`landslide_dist.store.blocks.run_blocks` for work that writes nothing: threads or Dask
workers take the blocks, a bounded number is under way, and what comes back is merged in one order
whoever made it. Nothing is kept for a next run.
"""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from distributed import Client

from landslide_dist.grid import Window
from landslide_dist.progress import track
from landslide_dist.store.blocks import cluster_errors, num_threads, task_size
from landslide_dist.store.retry import persistently

T = TypeVar("T")


def block_results(
    call: Callable[[Window], T],
    windows: Sequence[Window],
    label: str,
    cluster: Client | None = None,
    threads: int | None = None,
) -> Iterator[T]:
    """Call a function on every block.

    Args:
        call: Reads what it needs of a block itself; picklable to run on a cluster.
        windows: The blocks.
        label: What the progress bar says.
        cluster: Dask client; None runs threads of this process.
        threads: Threads without a cluster; by default one a core.

    Yields:
        The results, in the order of the windows.

    Raises:
        StoreError: A store failed for good.
        ProcessError: The cluster was lost.
    """
    found = (
        _of_threads(call, windows, threads or os.cpu_count() or 1)
        if cluster is None
        else _of_cluster(call, windows, cluster)
    )
    return track(found, label, total=len(windows))


def _of_threads(
    call: Callable[[Window], T], windows: Sequence[Window], threads: int
) -> Iterator[T]:
    with ThreadPoolExecutor(threads, thread_name_prefix="blocks") as pool:
        try:
            submit = (pool.submit(persistently, call, window) for window in windows)
            yield from _in_order(submit, threads + 1)
        finally:
            # After an error only what runs already is waited for.
            pool.shutdown(wait=False, cancel_futures=True)


def _of_cluster(
    call: Callable[[Window], T], windows: Sequence[Window], client: Client
) -> Iterator[T]:
    threads = num_threads(client)
    size = task_size(len(windows), threads)
    shares = (windows[start : start + size] for start in range(0, len(windows), size))
    submit = (client.submit(_share, call, share, pure=False) for share in shares)
    with cluster_errors():
        for results in _in_order(submit, 2 * threads):
            yield from results


def _in_order(submit: Iterator[Any], room: int) -> Iterator[Any]:
    """Results of futures in the order of their making, ``room`` of them under way."""
    running = deque(itertools.islice(submit, room))
    while running:
        yield running.popleft().result()
        running.extend(itertools.islice(submit, 1))


def _share(call: Callable[[Window], T], windows: Sequence[Window]) -> list[T]:
    return [persistently(call, window) for window in windows]
