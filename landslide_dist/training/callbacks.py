"""What happens beside the steps: the best model is kept, and each epoch tells how it went."""

from collections.abc import Callable

import pytorch_lightning as pl

from landslide_dist.progress import console
from landslide_dist.training.module import PatchModule


class BestModel(pl.Callback):
    """Keeps the model of the lowest validation loss (of the last epoch where nothing validates).

    Args:
        save: Writes the model as it is now; called on rank 0 only.
        validated: Whether there is a validation loss to compare.
    """

    def __init__(self, save: Callable[[], None], validated: bool) -> None:
        self.save = save
        self.validated = validated
        self.lowest = float("inf")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves after an epoch that is better than all before."""
        if trainer.sanity_checking or not isinstance(pl_module, PatchModule):
            return
        loss = pl_module.epoch_loss["val"]
        if loss < self.lowest:
            self.lowest = loss
            if trainer.is_global_zero:
                self.save()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the last epoch where nothing validates."""
        if not self.validated and trainer.is_global_zero:
            self.save()

    def state_dict(self) -> dict[str, float]:
        """The loss to beat after a resume."""
        return {"lowest": self.lowest}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Takes up the loss to beat."""
        self.lowest = state_dict["lowest"]


class EpochLines(pl.Callback):
    """One line an epoch, readable on a terminal and in a batch log alike."""

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the losses once training and validation of the epoch are over."""
        if not trainer.is_global_zero or not isinstance(pl_module, PatchModule):
            return
        losses = " ".join(f"{phase} {loss:.5f}" for phase, loss in pl_module.epoch_loss.items())
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        console.print(
            f"{self.model_name:<8} epoch {trainer.current_epoch + 1}/{trainer.max_epochs} "
            f"{losses} rate {rate:.2g}"
        )
