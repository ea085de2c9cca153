"""The Lightning module: one step, shared by training, validation and test.

Each term of the loss is a sum divided by a count in the whole *global* batch, the labelled core
pixels for one. Gradients are therefore scaled by ``world size / count`` before Lightning's DDP
averages them, and a rank's share may be cut into micro-batches of any size without changing the
result. Only batch-norm looks at the samples of a forward pass together: models that have it take
their share whole, and without the samples that fill it up.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from landslide_dist.batch import Batch
from landslide_dist.config.model import TrainedModel


class Task(Protocol):
    """What a model is compared with, as terms of a loss; see :mod:`landslide_dist.tasks`."""

    @property
    def weights(self) -> Tensor:
        """Of each term, ``(term,)`` float64."""

    def counts(self, target: Tensor) -> Tensor:
        """What each sum is divided by, ``(term,)`` float64."""

    def sums(self, model: Any, batch: Batch) -> Tensor:
        """``(term,)`` float64, differentiable."""


class PatchModule(pl.LightningModule):
    """Trains one model on patches.

    Args:
        model: Batch -> logits.
        task: Terms of its loss.
        config: Optimiser, learning rate, plateau rule.
        micro_batch_size: Patches of one forward pass, of models without batch-norm.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        config: TrainedModel,
        micro_batch_size: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.task = task
        self.config = config
        self.has_batch_norm = any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        self.micro_batch_size = micro_batch_size
        #: Sums and counts of the terms in the epoch under way, by phase, ``(2, term)`` float64.
        blank = torch.zeros(2, len(task.weights), dtype=torch.float64)
        self._totals = {phase: blank.clone() for phase in ("train", "val")}
        #: Mean loss of the last epoch, by phase; equal on every rank.
        self.epoch_loss: dict[str, float] = {}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One optimiser step on one global batch, in micro-batches."""
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        counts = self._sum_over_ranks(self.task.counts(batch.target)).clamp(min=1)
        shares = self.task.weights.to(counts.device) * self.trainer.world_size / counts
        pieces = self._pieces(batch)
        optimizer.zero_grad()
        for number, piece in enumerate(pieces, start=1):
            with self._gradient_exchange(last=number == len(pieces)):
                self.manual_backward((self._step(piece, "train") * shares).sum())
        optimizer.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds one batch to the epoch's validation sums."""
        for piece in self._pieces(batch):
            self._step(piece, "val")

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Reduces the training sums after the epoch's last batch, before validation."""
        if self.trainer.is_last_batch:
            self._close_epoch("train")

    def on_validation_epoch_end(self) -> None:
        """Reduces the validation sums and steps the plateau rule."""
        if self.trainer.sanity_checking:
            self._totals["val"].zero_()
            return
        loss = self._close_epoch("val")
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the sums of the epoch under way, over all ranks: every rank calls this."""
        # A copy: ranks add into the tensor that they give, and go on with their own sums.
        totals = self._sum_over_ranks(self._totals["train"].clone().to(self.device))
        checkpoint["train_totals"] = totals.tolist()
        checkpoint["epoch_loss"] = self.epoch_loss

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes the sums up again, on one of any number of ranks."""
        self.epoch_loss = dict(checkpoint["epoch_loss"])
        if self.trainer.is_global_zero:
            self._totals["train"] += torch.tensor(checkpoint["train_totals"], dtype=torch.float64)

    def configure_optimizers(self) -> Any:
        """Adam or SGD with the L2 penalty inside, and the plateau rule on the validation loss."""
        config = self.config
        kind: Any = torch.optim.SGD
        if config.optimizer == "adam":
            kind = partial(torch.optim.Adam, eps=config.epsilon)
        optimizer = kind(
            self.model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        if config.plateau_patience is None:
            return optimizer
        scheduler = ReduceLROnPlateau(
            optimizer, factor=config.plateau_factor, patience=config.plateau_patience
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def _pieces(self, batch: Batch) -> list[Batch]:
        """What goes through the model together."""
        if self.has_batch_norm:
            return [batch.without_padding()]
        return list(batch.micro_batches(self.micro_batch_size))

    def _step(self, batch: Batch, phase: str) -> Tensor:
        sums = self.task.sums(self.model, batch)
        self._totals[phase] += torch.stack([sums.detach(), self.task.counts(batch.target)]).cpu()
        return sums

    def _close_epoch(self, phase: str) -> float:
        sums, counts = self._sum_over_ranks(self._totals[phase].to(self.device)).cpu().clone()
        self._totals[phase].zero_()
        # Without any label 0 / 0, which is the NaN wanted.
        loss = float((self.task.weights * sums / counts).sum())
        self.epoch_loss[phase] = loss
        self.log(f"{phase}_loss", loss, sync_dist=True)
        return loss

    def _sum_over_ranks(self, value: Tensor) -> Tensor:
        return cast(Tensor, self.trainer.strategy.reduce(value, reduce_op="sum"))

    def _gradient_exchange(self, last: bool) -> AbstractContextManager[None]:
        """Ranks exchange gradients once a step, in the last micro-batch."""
        strategy = self.trainer.strategy
        if last or not isinstance(strategy, ParallelStrategy):
            return nullcontext()
        return cast(AbstractContextManager[None], strategy.block_backward_sync())
