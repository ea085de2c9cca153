"""What every data module here is: global batches in an order that is a pure function.

:mod:`landslide_dist.patches.order` says which samples a batch has; what a sample is made of is the
subclass's. The whole position of an epoch is a few integers; see :class:`PartLoader`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any
from zlib import crc32

import pytorch_lightning as pl
import torch
from torch import distributed

from landslide_dist.batch import Batch
from landslide_dist.errors import ConfigError
from landslide_dist.patches.order import (
    NUM_LANES,
    IntArray,
    Order,
    Share,
    sequential_order,
    training_order,
)


@dataclass(frozen=True)
class Sampling:
    """Which samples come, and in which order.

    Attributes:
        batch_size: Samples of one global batch, over all ranks.
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


class PartLoader:
    """One part's batches, for one rank; an iterable of known length, as Lightning takes it.

    It is stateful: its state is the position of the epoch under way, by the trainer's count and not
    by what was read ahead. It fits every world size.
    """

    def __init__(self, datamodule: "OrderedDataModule", part: str) -> None:
        self.datamodule = datamodule
        self.part = part

    def __len__(self) -> int:
        """Global batches of a whole epoch."""
        return ceil(self.datamodule.num_samples(self.part) / self.datamodule.sampling.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of the epoch under way, each read while those before are worked on."""
        # A generator: epoch and position are asked for at the first batch, when they are settled.
        yield from self.datamodule.batches(self.part, self.shares())

    def shares(self) -> list[Share]:
        """This rank's samples of each batch that is left of the epoch under way."""
        data, order = self.datamodule, self.datamodule.order(self.part)
        rank, world_size = _rank_and_world_size()
        batches = range(data.first_batch(self.part), len(self))
        return [order.share(b, data.sampling.batch_size, rank, world_size) for b in batches]

    def state_dict(self) -> dict[str, Any]:
        """The position, saved with every checkpoint."""
        return self.datamodule.position()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a position that was saved on any world size."""
        self.datamodule.go_on_from(state_dict)


class OrderedDataModule(pl.LightningDataModule, ABC):
    """Training, validation and test samples.

    Args:
        sampling: Batch size and order.
        blocks: Part -> block of each of its samples: those of one lie near each other.
        copies: How often each training sample appears in an epoch.
        augment: Varies training samples, on the device that trains.
    """

    def __init__(
        self,
        sampling: Sampling,
        blocks: Mapping[str, IntArray],
        copies: IntArray,
        augment: Callable[[Batch], Batch] | None = None,
    ) -> None:
        super().__init__()
        self.sampling = sampling
        self.augment = augment
        self._blocks = blocks
        self._copies = copies
        self._start = (0, 0)

    @abstractmethod
    def batches(self, part: str, shares: Sequence[Share]) -> Iterator[Batch]:
        """The batches of some shares of a part."""

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
        """Samples of an epoch over all ranks, copies counted each."""
        return int(self._copies.sum()) if part == "train" else len(self._blocks[part])

    def order(self, part: str) -> Order:
        """The sequence of the epoch under way."""
        sampling, blocks = self.sampling, self._blocks[part]
        if part != "train":
            return sequential_order(blocks, sampling.num_lanes)
        return training_order(blocks, self._copies, sampling.seed, self.epoch, sampling.num_lanes)

    def train_dataloader(self) -> PartLoader:
        """Shuffled training samples with their copies; another order each epoch."""
        return PartLoader(self, "train")

    def val_dataloader(self) -> PartLoader | list[PartLoader]:
        """Validation samples block by block; nothing where no part validates."""
        return PartLoader(self, "validation") if self.num_samples("validation") else []

    def test_dataloader(self) -> PartLoader:
        """Test samples block by block."""
        return PartLoader(self, "test")

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Compact planes travel; pinned ones while the device works."""
        return batch.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Training samples are varied before their labels are counted."""
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
