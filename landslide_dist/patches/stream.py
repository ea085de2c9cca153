"""Batches of one rank in their order, read while the device works; nothing of Lightning here.

Threads decode the windows that come next, as far ahead as memory allows; one more thread cuts the
patches of the next batches out of them. A region that is held in memory needs no decoding. In
worker processes of a ``DataLoader`` (forkserver or spawn) the stream opens its stores itself.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from landslide_dist.batch import Batch
from landslide_dist.grid import Window
from landslide_dist.patches.cutter import PatchCutter
from landslide_dist.patches.order import Share
from landslide_dist.patches.planes import Planes
from landslide_dist.patches.reader import PatchReader
from landslide_dist.patches.reads import ReadPlan, plan_reads

#: Batches that are cut ahead of the one in use.
BATCHES_AHEAD = 2

_Item = TypeVar("_Item")


class PatchStream(IterableDataset[Batch]):
    """The batches of some shares.

    Args:
        reader: Gives ``landslide``, ``split`` and the inputs; picklable where workers are used.
        cutter: The part's patches.
        shares: This rank's samples of each batch.
        memory_bytes: What decoded windows may take.
        num_threads: Windows that are decoded at a time.
        pin_memory: Lay batches out for a copy to a GPU.
        resident: The whole region in memory: then nothing is read.
    """

    def __init__(
        self,
        reader: PatchReader,
        cutter: PatchCutter,
        shares: Sequence[Share],
        memory_bytes: float,
        num_threads: int = 2,
        pin_memory: bool = False,
        resident: Planes | None = None,
    ) -> None:
        self.reader = reader
        self.cutter = cutter
        self.shares = shares
        self.memory_bytes = memory_bytes
        self.num_threads = num_threads
        self.pin_memory = pin_memory
        self.resident = resident

    def __len__(self) -> int:
        return len(self.shares)

    def __iter__(self) -> Iterator[Batch]:
        """Batches in order; a worker process makes every n-th of them."""
        worker = get_worker_info()
        shares = self.shares if worker is None else self.shares[worker.id :: worker.num_workers]
        batches = self._streamed(shares) if self.resident is None else self._resident(shares)
        return _ahead(batches, BATCHES_AHEAD)

    def plan(self, shares: Sequence[Share]) -> ReadPlan:
        """What is decoded: visits at once where memory holds as many as are under way, or patches.

        Padding is planned like a patch of its own, far beyond the raster, where reading is free.
        """
        patch = np.concatenate([share.patch for share in shares])
        visit = np.concatenate([share.visit for share in shares])
        batch = np.repeat(np.arange(len(shares)), [len(share.patch) for share in shares])
        origins = self.cutter.origins(patch) - self.cutter.context_px
        samples = (origins, self.cutter.side_px, batch, visit)
        plan = plan_reads(*samples)
        if plan.peak_px() * self.bytes_per_px() <= self.memory_bytes:
            return plan
        return plan_reads(*samples, together=False)

    def _resident(self, shares: Sequence[Share]) -> Generator[Batch]:
        assert self.resident is not None
        pin_memory = self.pin_memory and self.resident.on_host
        for share in shares:
            yield self.cutter.batch(share, [self.resident] * len(share.patch), pin_memory)

    def _streamed(self, shares: Sequence[Share]) -> Generator[Batch]:
        if not shares:
            return
        plan, samples = self.plan(shares), 0
        # What leaves a worker process is copied once more, and pinning takes room on the device.
        pin_memory = self.pin_memory and get_worker_info() is None
        with ThreadPoolExecutor(self.num_threads, thread_name_prefix="decode") as pool:
            decoding = _Decoding(self, plan, pool)
            try:
                for number, share in enumerate(shares):
                    reads = plan.read[samples : samples + len(share.patch)].tolist()
                    samples += len(share.patch)
                    # Without a name for the planes: they would outlive their use by one batch.
                    yield self.cutter.batch(share, decoding.get(number, reads), pin_memory)
            finally:
                pool.shutdown(cancel_futures=True)
                # Tracebacks of threads that were stopped would keep it until garbage is collected.
                decoding.held.clear()

    def bytes_per_px(self) -> int:
        """Decoded size of a pixel; of one beyond the raster, which is not read from the store."""
        return self.cutter.decode(self.reader, Window(-1, -1, 1, 1)).nbytes


class _Decoding:
    """Windows under way and decoded, within the stream's memory."""

    def __init__(self, stream: PatchStream, plan: ReadPlan, pool: ThreadPoolExecutor) -> None:
        self.stream = stream
        self.plan = plan
        self.pool = pool
        self.lock = Lock()
        self.room_px = stream.memory_bytes / stream.bytes_per_px()
        self.held: dict[int, Future[Planes]] = {}
        self.num_under_way = 0
        self.next_read = 0
        self.batch = 0

    def get(self, batch: int, reads: Sequence[int]) -> list[Planes]:
        """Decoded windows of a batch, once they are there; what no batch needs any more goes."""
        with self.lock:
            self.batch = batch
            self._release()
            self._submit()
        return [self.held[read].result() for read in reads]

    def _release(self) -> None:
        for read in [read for read in self.held if self.plan.last[read] < self.batch]:
            del self.held[read]
            self.room_px += self._area_px(read)

    def _submit(self) -> None:
        """What the batch needs, then what comes next while there is room and a thread is free.

        More than that is not queued: a process that ends by an error runs what is.
        """
        while self.next_read < len(self.plan.windows):
            area_px = self._area_px(self.next_read)
            is_free = self.num_under_way < self.stream.num_threads and area_px <= self.room_px
            if self.plan.first[self.next_read] > self.batch and not is_free:
                return
            window = self.plan.windows[self.next_read]
            self.held[self.next_read] = self.pool.submit(self._decode, window)
            self.num_under_way += 1
            self.room_px -= area_px
            self.next_read += 1

    def _decode(self, window: Window) -> Planes:
        """Runs in a thread, and hands it the next window."""
        try:
            return self.stream.cutter.decode(self.stream.reader, window)
        finally:
            with self.lock:
                self.num_under_way -= 1
                self._submit()

    def _area_px(self, read: int) -> int:
        window = self.plan.windows[read]
        return window.height * window.width


def _ahead(items: Generator[_Item], depth: int) -> Iterator[_Item]:
    """The same items, each made while the ``depth`` before it are in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="cut") as pool:
        waiting = deque(pool.submit(next, items, None) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(pool.submit(next, items, None))
                yield item
        finally:
            pool.shutdown(cancel_futures=True)
            items.close()
