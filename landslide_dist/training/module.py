"""The Lightning module: one step, shared by training, validation and test.

The loss is a sum over labelled core pixels divided by their number in the whole *global* batch.
Gradients are therefore scaled by ``world size / count`` before Lightning's DDP averages them, and a
rank's share may be cut into micro-batches of any size without changing the result.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from landslide_dist.batch import Batch
from landslide_dist.config.model import TrainedModel
from landslide_dist.models import SusceptibilityModel
from landslide_dist.schema import UNLABELLED
from landslide_dist.tasks.susceptibility import SusceptibilityTask


class PatchModule(pl.LightningModule):
    """Trains one model on patches.

    Args:
        model: Batch -> logits over the core.
        task: Loss sums and counts of its output.
        config: Optimiser, learning rate, plateau rule.
        micro_batch_size: Patches of one forward pass.
    """

    def __init__(
        self,
        model: SusceptibilityModel,
        task: SusceptibilityTask,
        config: TrainedModel,
        micro_batch_size: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.task = task
        self.config = config
        self.micro_batch_size = micro_batch_size
        #: Loss sum and count of the epoch under way, by phase, float64.
        self._totals = {phase: torch.zeros(2, dtype=torch.float64) for phase in ("train", "val")}
        #: Mean loss of the last epoch, by phase; equal on every rank.
        self.epoch_loss: dict[str, float] = {}

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """One optimiser step on one global batch, in micro-batches."""
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        labelled = (batch.target != UNLABELLED).sum()
        count = self._sum_over_ranks(labelled.double()).clamp(min=1)
        pieces = list(batch.micro_batches(self.micro_batch_size))
        optimizer.zero_grad()
        for number, piece in enumerate(pieces, start=1):
            with self._gradient_exchange(last=number == len(pieces)):
                loss_sum = self._step(piece, "train")
                self.manual_backward(loss_sum * (self.trainer.world_size / count))
        optimizer.step()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Adds one batch to the epoch's validation sums."""
        for piece in batch.micro_batches(self.micro_batch_size):
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
        kinds = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
        optimizer = kinds[self.config.optimizer](
            self.model.parameters(),
            lr=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )
        scheduler = ReduceLROnPlateau(
            optimizer,
            factor=self.config.plateau_factor,
            patience=self.config.plateau_patience,
        )
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def _step(self, batch: Batch, phase: str) -> Tensor:
        targets = batch.target[batch.target != UNLABELLED]
        loss_sum, count = self.task.loss(self.model.labelled_logits(batch), targets)
        self._totals[phase] += torch.stack([loss_sum.detach().double(), count.double()]).cpu()
        return loss_sum

    def _close_epoch(self, phase: str) -> float:
        total, count = self._sum_over_ranks(self._totals[phase].to(self.device)).tolist()
        self._totals[phase].zero_()
        loss = total / count if count else float("nan")
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
