"""What happens beside the steps: the best model is kept, and each epoch tells how it went."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from landslide_dist.batch import Batch
from landslide_dist.progress import console
from landslide_dist.telemetry import gauge
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
        self._measure(pl_module.epoch_loss, rate, epoch)
        if self.model_name is not None:
            shown = " ".join(f"{phase} {loss:.5f}" for phase, loss in pl_module.epoch_loss.items())
            console.print(
                f"{self.model_name:<8} epoch {epoch}/{trainer.max_epochs} {shown} rate {rate:.2g}"
            )

    def _measure(self, losses: dict[str, float], rate: float, epoch: int) -> None:
        model = self.path.parent.name
        gauge("epoch", epoch, model=model)
        gauge("learning_rate", rate, model=model)
        for phase, loss in losses.items():
            gauge("loss", loss, model=model, part=phase)

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on after those epochs."""
        self.epochs = list(state_dict["epochs"])


class Throughput(pl.Callback):
    """Patches a second, and the share of the time that lies between the steps.

    There patches are waited for, moved to the device and varied, and states are written.

    Args:
        name: Of the model.
        quiet: No line at the end.
    """

    def __init__(self, name: str, quiet: bool) -> None:
        self.name = name
        self.quiet = quiet
        self._patches = 0
        self._between_s = self._stepped_s = 0.0
        self._since = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on the first batch is waited for, also in the middle of an epoch."""
        self._since = time.perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What came between, such as validation, is not waiting."""
        self._since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """The batch is there."""
        now = time.perf_counter()
        self._between_s += now - self._since
        self._since = now

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """The step is over; the next batch is waited for."""
        now = time.perf_counter()
        self._stepped_s += now - self._since
        self._since = now
        self._patches += len(batch.target)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """For those who watch."""
        rate, between = self._rate(trainer), self._between_s / max(self._taken_s, 1e-9)
        gauge("patches_per_second", rate, model=self.name)
        gauge("between_steps_ratio", between, model=self.name)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line, where there was something to do."""
        if self.quiet or not self._patches or not trainer.is_global_zero:
            return
        console.print(
            f"{self.name:<8} {self._rate(trainer):.3g} patches/s, "
            f"{self._between_s / self._taken_s:.1%} of the time between steps"
        )

    @property
    def _taken_s(self) -> float:
        return self._between_s + self._stepped_s

    def _rate(self, trainer: pl.Trainer) -> float:
        """Of all processes, taken as alike."""
        return self._patches * trainer.world_size / max(self._taken_s, 1e-9)
