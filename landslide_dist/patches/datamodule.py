"""Hands patches to Lightning: one batch is this rank's share of one global batch.

``ordered`` says which samples a batch has, ``region`` where the planes are kept, ``stream`` reads
and cuts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from landslide_dist.batch import Batch
from landslide_dist.errors import LandslideDistError
from landslide_dist.patches.cutter import PatchCutter
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.node import ALONE, Node
from landslide_dist.patches.order import Share
from landslide_dist.patches.ordered import OrderedDataModule, Sampling
from landslide_dist.patches.reader import GIB
from landslide_dist.patches.region import Region
from landslide_dist.patches.stream import PatchStream


@dataclass(frozen=True)
class Reading:
    """How a region that is streamed is read; the batches are the same whatever it says.

    Attributes:
        num_threads: Windows that one process decodes at a time.
        num_workers: Worker processes of the data loader; 0: threads of this process.
        worker_start: How workers start. Forked ones would inherit connections and locks.
        worker_timeout_s: Seconds after which a worker that gives nothing is an error.
    """

    num_threads: int = 2
    num_workers: int = 0
    worker_start: str = "forkserver"
    worker_timeout_s: float = 600.0


class PatchDataModule(OrderedDataModule):
    """Training, validation and test patches of one region and one split.

    Args:
        region: Labels and inputs.
        index: Patches of the region.
        inputs: Variables that the model reads.
        context_px: How far planes reach beyond the core: the training context and the model's
            uphill reach.
        sampling: Batch size and order.
        reading: How a streamed region is read.
        side: Side of a patch in cells of the index. Above 1 training patches begin at every cell,
            and so overlap; those of other parts lie side by side.
        augment: Varies training patches, on the device that trains.
    """

    def __init__(
        self,
        region: Region,
        index: PatchIndex,
        inputs: Sequence[str],
        context_px: int,
        sampling: Sampling,
        reading: Reading = Reading(),
        side: int = 1,
        augment: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self.region = region
        self.reading = reading
        self.device = torch.device("cpu")
        self.node = ALONE
        self.cutters = {
            part: PatchCutter(
                index.select(values, side, 1 if part == "train" else side),
                values,
                inputs,
                context_px,
            )
            for part, values in region.data.parts.items()
        }
        blocks = {
            part: cutter.patches.blocks(sampling.num_lanes, sampling.block_cores)
            for part, cutter in self.cutters.items()
        }
        copies = self.cutters["train"].patches.copies(sampling.oversample)
        super().__init__(sampling, blocks, copies, augment)

    def setup(self, stage: str) -> None:
        """Load the planes to where they stay; the ranks of a node do it together."""
        if self.trainer is not None:
            self.device = self.trainer.strategy.root_device
            trainer = self.trainer
            self.node = Node(trainer.node_rank, trainer.local_rank, trainer.num_devices)

    def resident(self, part: str) -> Any:
        """All planes, or None where the region is streamed."""
        self.region.settle(self.device, self.node)
        return self.region.planes(part)

    def batches(self, part: str, shares: Sequence[Share]) -> Iterator[Batch]:
        """The batches of some shares, each read while those before are worked on."""
        stream = self.stream(part, shares)
        if not self.reading.num_workers or stream.resident is not None:
            yield from stream
            return
        try:
            yield from DataLoader(
                stream,
                batch_size=None,
                num_workers=self.reading.num_workers,
                multiprocessing_context=self.reading.worker_start,
                timeout=self.reading.worker_timeout_s,
            )
        except LandslideDistError as error:
            # It comes with the worker's traceback before its own line.
            kind, line = type(error), str(error).strip().rsplit("\n", 1)[-1]
            raise kind(line.removeprefix(f"{kind.__module__}.{kind.__name__}: ")) from error

    def stream(self, part: str, shares: Sequence[Share]) -> PatchStream:
        """What reads some shares of a part."""
        readers = self.node.size * max(1, self.reading.num_workers)
        return PatchStream(
            self.region.data.reader,
            self.cutters[part],
            shares,
            self.region.host_memory_gib * GIB / readers,
            self.reading.num_threads,
            pin_memory=self.device.type == "cuda",
            resident=self.resident(part),
        )
