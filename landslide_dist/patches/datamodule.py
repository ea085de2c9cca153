"""Hands patches to Lightning: one batch is this rank's share of one global batch.

A background thread reads the next batch while the device works on this one; there are no worker
processes.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from math import ceil

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import distributed

from landslide_dist.batch import Batch
from landslide_dist.grid import Window
from landslide_dist.patches.index import Patches, PatchIndex
from landslide_dist.patches.order import (
    NUM_LANES,
    PADDING,
    Order,
    Share,
    sequential_order,
    training_order,
)
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import UNLABELLED


class PatchCutter:
    """Makes batches of patches of one part.

    Args:
        reader: Gives ``landslide``, ``split`` and the inputs.
        patches: The part's patches.
        values: Values of the split raster that make up the part.
        inputs: Variables that the model reads.
        context_px: How far planes reach beyond the core.
    """

    def __init__(
        self,
        reader: PatchReader,
        patches: Patches,
        values: frozenset[int],
        inputs: Sequence[str],
        context_px: int,
    ) -> None:
        self.reader = reader
        self.patches = patches
        self.values = sorted(values)
        self.inputs = tuple(inputs)
        self.context_px = context_px

    def cut(self, share: Share) -> Batch:
        """The batch of a share; padding is a patch beyond the raster, without labels."""
        core_px = self.patches.core_px
        beyond = -(core_px + self.context_px)
        origins = np.full((len(share.patch), 2), beyond, dtype=np.int64)
        real = share.patch != PADDING
        origins[real] = self.patches.origins[share.patch[real]]
        cores = [Window(y0, x0, core_px, core_px) for y0, x0 in origins.tolist()]
        target = np.stack([self._target(core) for core in cores])
        planes = [self.reader.read(core.expand(self.context_px), self.inputs) for core in cores]
        return Batch(
            {
                name: torch.from_numpy(np.stack([sample[name] for sample in planes]))
                for name in self.inputs
            },
            torch.from_numpy(target),
            torch.from_numpy(origins),
            self.context_px,
        )

    def _target(self, core: Window) -> NDArray[np.uint8]:
        labels = self.reader.read(core, ("landslide", "split"))
        mine = np.isin(labels["split"], self.values)
        return np.where(mine, labels["landslide"], np.uint8(UNLABELLED))


class PatchLoader:
    """One part's batches, for one rank; an iterable of known length, as Lightning takes it."""

    def __init__(self, datamodule: "PatchDataModule", part: str) -> None:
        self.datamodule = datamodule
        self.part = part

    def __len__(self) -> int:
        """Global batches of a whole epoch."""
        return ceil(self.datamodule.num_samples(self.part) / self.datamodule.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Batches of the epoch under way, each read while the one before is worked on."""
        # A generator: epoch and position are asked for at the first batch, when they are settled.
        data = self.datamodule
        order, cutter = data.order(self.part), data.cutters[self.part]
        rank, world_size = _rank_and_world_size()

        def cut(number: int) -> Batch:
            return cutter.cut(order.share(number, data.batch_size, rank, world_size))

        numbers = iter(range(data.first_batch(self.part), len(self)))
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
            ahead = [pool.submit(cut, number) for number in islice(numbers, 1)]
            while ahead:
                batch = ahead.pop().result()
                ahead += [pool.submit(cut, number) for number in islice(numbers, 1)]
                yield batch


class PatchDataModule(pl.LightningDataModule):
    """Training, validation and test patches of one region and one split.

    Args:
        reader: Gives ``landslide``, ``split`` and the inputs.
        index: Patches of the region.
        parts: ``SplitConfig.parts()``.
        inputs: Variables that the model reads.
        context_px: How far planes reach beyond the core: the training context and the model's
            uphill reach.
        batch_size: Patches of one global batch, over all ranks.
        oversample: Times an epoch that a training patch with a landslide appears.
        seed: Seed of the order.
        num_lanes: Largest world size.
    """

    def __init__(
        self,
        reader: PatchReader,
        index: PatchIndex,
        parts: Mapping[str, frozenset[int]],
        inputs: Sequence[str],
        context_px: int,
        batch_size: int,
        oversample: int,
        seed: int,
        num_lanes: int = NUM_LANES,
    ) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.cutters = {
            part: PatchCutter(reader, index.select(values), values, inputs, context_px)
            for part, values in parts.items()
        }
        train = self.cutters["train"].patches
        self._blocks = train.blocks(num_lanes)
        self._copies = train.copies(oversample)
        self._seed = seed
        self._num_lanes = num_lanes
        self._start = (0, 0)

    @property
    def epoch(self) -> int:
        """The epoch under way: the trainer's, or that of :meth:`set_epoch` without a trainer."""
        return self._start[0] if self.trainer is None else self.trainer.current_epoch

    def set_epoch(self, epoch: int, first_batch: int = 0) -> None:
        """Begin an epoch, or go on in it at a global batch (of any world size)."""
        self._start = (epoch, first_batch)

    def first_batch(self, part: str) -> int:
        """Global batch that the epoch under way begins with."""
        epoch, batch = self._start
        return batch if part == "train" and epoch == self.epoch else 0

    def num_samples(self, part: str) -> int:
        """Samples of an epoch over all ranks, oversampled copies counted each."""
        return int(self._copies.sum()) if part == "train" else len(self.cutters[part].patches)

    def order(self, part: str) -> Order:
        """The sequence of the epoch under way."""
        if part != "train":
            return sequential_order(self.num_samples(part), self._num_lanes)
        return training_order(self._blocks, self._copies, self._seed, self.epoch, self._num_lanes)

    def train_dataloader(self) -> PatchLoader:
        """Shuffled and oversampled training patches; another order each epoch."""
        return PatchLoader(self, "train")

    def val_dataloader(self) -> PatchLoader | list[PatchLoader]:
        """Validation patches in row order; nothing where no part validates."""
        return PatchLoader(self, "validation") if self.num_samples("validation") else []

    def test_dataloader(self) -> PatchLoader:
        """Test patches in row order."""
        return PatchLoader(self, "test")


def _rank_and_world_size() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
