"""Real training steps over a loader: how long each waits for its batch."""

import logging
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from loader_peers import CHANNELS, COMPACT, Published, one_by_one
from loader_region import Bench
from torch import Tensor, nn

from landslide_dist.batch import Batch
from landslide_dist.patches.datamodule import PatchDataModule
from landslide_dist.patches.ordered import Sampling
from landslide_dist.tasks import SusceptibilityTask
from landslide_dist.training.module import PatchModule

KINDS = ("llr", "lacnn")


@dataclass(frozen=True)
class StepTimes:
    """Training steps once the first are done.

    Attributes:
        seconds: All of them.
        waited_s: For their batches.
        num_patches: That they trained on.
    """

    seconds: float
    waited_s: float
    num_patches: int

    @property
    def share(self) -> float:
        """Share of the time that was waited."""
        return self.waited_s / self.seconds

    @property
    def model_rate(self) -> float:
        """Patches a second of the steps without waiting."""
        return self.num_patches / (self.seconds - self.waited_s)


class StoredChannels(nn.Module):
    """Stands for the encoder where batches come as channels."""

    def forward(self, batch: Batch) -> Tensor:
        """All of them."""
        return batch.planes[CHANNELS]

    def pixels(self, batch: Batch, where: Tensor) -> Tensor:
        """Those of some pixels of the cores."""
        inner = slice(batch.context_px, -batch.context_px)
        return batch.planes[CHANNELS][..., inner, inner].permute(0, 2, 3, 1)[where]


class Timed(pl.LightningDataModule):
    """Notes how long each batch was waited for.

    Args:
        batches: Gives an iterable of them.
        num_batches: How many.
    """

    def __init__(self, batches: Iterable[Batch], num_batches: int) -> None:
        super().__init__()
        self.batches = batches
        self.num_batches = num_batches
        self.waited: list[float] = []

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[Batch]:
        batches = iter(self.batches)
        for _ in range(self.num_batches):
            start = time.perf_counter()
            batch = next(batches)
            self.waited.append(time.perf_counter() - start)
            yield batch

    def train_dataloader(self) -> "Timed":  # noqa: D102
        return self

    def transfer_batch_to_device(self, batch: Batch, device: Any, dataloader_idx: int) -> Batch:  # noqa: D102
        return batch.to(device, non_blocking=True)


class Clock(pl.Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: D102
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def time_steps(bench: Bench, kind: str, source: str) -> StepTimes:
    """Train a model over a loader for some steps.

    Args:
        bench: The region.
        kind: ``llr`` or ``lacnn``.
        source: Whose loader.
    """
    first, num_steps = 1, bench.scale.steps
    if (kind, source) == ("llr", "streamed"):
        first, num_steps = bench.scale.llr_steps
    model, size = bench.model(kind), bench.scale.batch_sizes[KINDS.index(kind)]
    if source == "streamed":
        batches = our_batches(bench, model, size)
    else:
        chosen = bench.dense_patches
        shares = bench.shares(size, 1, 4, chosen)[: len(chosen) // size] * (num_steps + 1)
        load = COMPACT.get(source)
        if load is None:
            num_channels = len(model.encoder.names)
            load = partial(one_by_one, partial(Published, num_channels=num_channels))
            model.encoder, model.reach_px = StoredChannels(), 0
        batches = load(bench, shares)
    timed, clock = Timed(batches, first + num_steps), Clock()
    module = PatchModule(model, SusceptibilityTask(), model.recipe.config, micro_batch_size=4)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            devices=1,
            max_epochs=1,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        trainer.fit(module, datamodule=timed)
    seconds = clock.ends[-1] - clock.ends[first - 1]
    return StepTimes(seconds, sum(timed.waited[first:]), num_steps * size)


def our_batches(bench: Bench, model: Any, size: int) -> Iterable[Batch]:
    """The package's own data module over the whole region, streamed."""
    context_px = model.reach_px + (bench.scale.halo_px if model.halo_px else 0)
    data = PatchDataModule(
        bench.region("stream"), bench.trainer.index, model.inputs, context_px, Sampling(size)
    )
    return data.train_dataloader()
