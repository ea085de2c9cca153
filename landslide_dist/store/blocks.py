"""Runs one callable over many blocks: reads, computes, writes and marks each in one task.

Blocks are independent and idempotent, so any number of threads or Dask workers may take them in any
order; a bounded number is under way at a time, whatever the size of the region.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from distributed import Client, as_completed

from landslide_dist.grid import Window
from landslide_dist.progress import track
from landslide_dist.store.ledger import Ledger, block_key

BlockTask = Callable[[Window], None]


def run_blocks(
    task: BlockTask,
    windows: Sequence[Window],
    ledger: Ledger,
    label: str,
    cluster: Client | None = None,
    threads: int | None = None,
) -> int:
    """Run ``task`` on every block that the ledger does not know as done.

    Args:
        task: Reads, computes and writes one block; must be picklable to run on a cluster.
        windows: The blocks.
        ledger: Where finished blocks are noted, each after its task.
        label: What the progress bar says.
        cluster: Dask client; None runs threads of this process.
        threads: Threads without a cluster; by default one a core.

    Returns:
        How many blocks were run.
    """
    done = ledger.done()
    pending = [window for window in windows if block_key(window) not in done]
    finished = (
        _run_threads(task, pending, ledger, threads or os.cpu_count() or 1)
        if cluster is None
        else _run_cluster(task, pending, ledger, cluster)
    )
    for _ in track(finished, label, total=len(pending)):
        pass
    return len(pending)


def _run_one(task: BlockTask, window: Window, ledger: Ledger) -> None:
    task(window)
    ledger.mark(block_key(window))


def _run_threads(
    task: BlockTask, windows: Sequence[Window], ledger: Ledger, threads: int
) -> Iterator[None]:
    remaining = iter(windows)
    with ThreadPoolExecutor(threads) as pool:
        running: set[Future[None]] = set()
        try:
            while True:
                for window in remaining:
                    running.add(pool.submit(_run_one, task, window, ledger))
                    if len(running) >= threads:
                        break
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    yield
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run_cluster(
    task: BlockTask, windows: Sequence[Window], ledger: Ledger, client: Client
) -> Iterator[None]:
    # Two blocks a thread keep every worker busy while the next is being sent.
    wave = max(2, 2 * sum(client.nthreads().values()))
    remaining = iter(windows)
    running = as_completed([])
    for window in itertools.islice(remaining, wave):
        running.add(client.submit(_run_one, task, window, ledger, pure=False))
    for future in running:
        future.result()
        yield
        for window in remaining:
            running.add(client.submit(_run_one, task, window, ledger, pure=False))
            break
