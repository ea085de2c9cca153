"""What happens beside the steps: the best model is kept, and each epoch tells how it went."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from landslide_dist.progress import console
from landslide_dist.training.module import PatchModule
from landslide_dist.whole_file import write_whole


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


class History(pl.Callback):
    """Losses and learning rate of every epoch: a JSON file, and a line on the terminal.

    Args:
        path: The file: a list of ``epoch`` (from 1), ``train_loss``, ``val_loss`` (where a part
            validates) and ``learning_rate``.
        model_name: What the lines begin with; None for no lines.
    """

    def __init__(self, path: Path, model_name: str | None) -> None:
        self.path = path
        self.model_name = model_name
        self.epochs: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds the epoch once its training and validation are over."""
        if not isinstance(pl_module, PatchModule):
            return
        losses = {f"{phase}_loss": loss for phase, loss in pl_module.epoch_loss.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        epoch = len(self.epochs) + 1
        self.epochs.append({"epoch": epoch, **losses, "learning_rate": rate})
        if not trainer.is_global_zero:
            return
        write_whole(self.path, json.dumps(self.epochs, indent=1))
        if self.model_name is not None:
            shown = " ".join(f"{phase} {loss:.5f}" for phase, loss in pl_module.epoch_loss.items())
            console.print(
                f"{self.model_name:<8} epoch {epoch}/{trainer.max_epochs} {shown} rate {rate:.2g}"
            )

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on after those epochs."""
        self.epochs = list(state_dict["epochs"])
