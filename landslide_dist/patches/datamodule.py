"""Hands patches to Lightning: one batch is this rank's share of one global batch.

``order`` says which samples a batch has, ``region`` where the planes are kept, ``stream`` reads and
cuts. The whole position of an epoch is a few integers; see :class:`PatchLoader`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from zlib import crc32

import pytorch_lightning as pl
import torch
from torch import distributed
from torch.utils.data import DataLoader

from landslide_dist.batch import Batch
from landslide_dist.errors import ConfigError, LandslideDistError
from landslide_dist.patches.cutter import PatchCutter
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.node import ALONE, Node
from landslide_dist.patches.order import NUM_LANES, Order, sequential_order, training_order
from landslide_dist.patches.reader import GIB
from landslide_dist.patches.region import Region
from landslide_dist.patches.stream import PatchStream


@dataclass(frozen=True)
class Sampling:
    """Which samples come, and in which order.

    Attributes:
        batch_size: Patches of one global batch, over all ranks.
        oversample: Times an epoch that a training patch with a landslide appears.
        seed: Seed of the order.
        num_lanes: Largest world size.
        block_cores: Side of a block in cores; None chooses by the number of patches.
    """

    batch_size: int
    oversample: int = 1
    seed: int = 0
    num_lanes: int = NUM_LANES
    block_cores: int | None = None


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


class PatchLoader:
    """One part's batches, for one rank; an iterable of known length, as Lightning takes it.

    It is stateful: its state is the position of the epoch under way, by the trainer's count and not
    by what was read ahead. It fits every world size.
    """

    def __init__(self, datamodule: "PatchDataModule", part: str) -> None:
        self.datamodule = datamodule
        self.part = part

    def __len__(self) -> int:
        """Global batches of a whole epoch."""
        return ceil(self.datamodule.num_samples(self.part) / self.datamodule.sampling.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of the epoch under way, each read while those before are worked on."""
        # A generator: epoch and position are asked for at the first batch, when they are settled.
        stream, reading = self.stream(), self.datamodule.reading
        if not reading.num_workers or stream.resident is not None:
            yield from stream
            return
        try:
            yield from DataLoader(
                stream,
                batch_size=None,
                num_workers=reading.num_workers,
                multiprocessing_context=reading.worker_start,
                timeout=reading.worker_timeout_s,
            )
        except LandslideDistError as error:
            # It comes with the worker's traceback before its own line.
            kind, line = type(error), str(error).strip().rsplit("\n", 1)[-1]
            raise kind(line.removeprefix(f"{kind.__module__}.{kind.__name__}: ")) from error

    def stream(self) -> PatchStream:
        """This rank's batches that are left of the epoch under way."""
        data, order = self.datamodule, self.datamodule.order(self.part)
        rank, world_size = _rank_and_world_size()
        batches = range(data.first_batch(self.part), len(self))
        shares = [order.share(b, data.sampling.batch_size, rank, world_size) for b in batches]
        return PatchStream(
            data.region.data.reader,
            data.cutters[self.part],
            shares,
            data.region.host_memory_gib * GIB / (data.node.size * max(1, data.reading.num_workers)),
            data.reading.num_threads,
            pin_memory=data.device.type == "cuda",
            resident=data.resident(self.part),
        )

    def state_dict(self) -> dict[str, Any]:
        """The position, saved with every checkpoint."""
        return self.datamodule.position()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a position that was saved on any world size."""
        self.datamodule.go_on_from(state_dict)


class PatchDataModule(pl.LightningDataModule):
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
        super().__init__()
        self.region = region
        self.sampling = sampling
        self.reading = reading
        self.augment = augment
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
        self._blocks = {
            part: cutter.patches.blocks(sampling.num_lanes, sampling.block_cores)
            for part, cutter in self.cutters.items()
        }
        self._copies = self.cutters["train"].patches.copies(sampling.oversample)
        self._start = (0, 0)

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

    @property
    def epoch(self) -> int:
        """The epoch under way: the trainer's, or that of :meth:`set_epoch` without a trainer."""
        return self._start[0] if self.trainer is None else self.trainer.current_epoch

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Begin an epoch, or go on in it at a global batch (of any world size)."""
        self._start = (epoch, first_batch)

    def position(self) -> dict[str, int]:
        """Where training is: with the order's inputs, all that a resume needs."""
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return {"epoch": self.epoch, "batches": progress.current.ready, **self._order_inputs()}

    def go_on_from(self, position: Mapping[str, int]) -> None:
        """Set the epoch and its first batch.

        Raises:
            ConfigError: The position is of another order.
        """
        for name, value in self._order_inputs().items():
            if position.get(name) != value:
                raise ConfigError(
                    f"the saved position has {name} {position.get(name)}, this run {value}: its "
                    "samples come in another order; train from the start in another run_dir"
                )
        self.set_epoch(position["epoch"], position["batches"])

    def first_batch(self, part: str) -> int:
        """Global batch that the epoch under way begins with."""
        epoch, batch = self._start
        return batch if part == "train" and epoch == self.epoch else 0

    def num_samples(self, part: str) -> int:
        """Samples of an epoch over all ranks, oversampled copies counted each."""
        return int(self._copies.sum()) if part == "train" else len(self.cutters[part].patches)

    def order(self, part: str) -> Order:
        """The sequence of the epoch under way."""
        sampling, blocks = self.sampling, self._blocks[part]
        if part != "train":
            return sequential_order(blocks, sampling.num_lanes)
        return training_order(blocks, self._copies, sampling.seed, self.epoch, sampling.num_lanes)

    def train_dataloader(self) -> PatchLoader:
        """Shuffled and oversampled training patches; another order each epoch."""
        return PatchLoader(self, "train")

    def val_dataloader(self) -> PatchLoader | list[PatchLoader]:
        """Validation patches block by block; nothing where no part validates."""
        return PatchLoader(self, "validation") if self.num_samples("validation") else []

    def test_dataloader(self) -> PatchLoader:
        """Test patches block by block."""
        return PatchLoader(self, "test")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Compact planes travel; pinned ones while the device works."""
        return batch.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Training patches are varied before their labels are counted."""
        if self.augment is None or self.trainer is None or not self.trainer.training:
            return batch
        with torch.no_grad():
            return self.augment(batch)

    def _order_inputs(self) -> dict[str, int]:
        sampling = self.sampling
        return {
            "seed": sampling.seed,
            "num_lanes": sampling.num_lanes,
            "batch_size": sampling.batch_size,
            "patches": crc32(self._blocks["train"].tobytes() + self._copies.tobytes()),
        }


def _rank_and_world_size() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
