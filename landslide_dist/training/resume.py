"""Training that is stopped at any moment goes on where it was, on any number of processes.

The state (weights, optimiser, plateau rule, sums of the epoch under way, position in the order of
samples) is written every so many steps and after each epoch. A signal is only noted when it comes:
at the next batch boundary all ranks agree, write the state and end.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from landslide_dist.errors import DataError
from landslide_dist.models.checkpoint import UNREADABLE
from landslide_dist.progress import console
from landslide_dist.store.lock import Lock

#: SIGTERM is how clusters and people ask; SLURM's ``--signal=USR1@N`` gives notice with it.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


#: Signals that came while no training was under way; the next one heeds them.
_noted: list[int] = []


class Preempted(SystemExit):
    """Training was asked to end; its state is written."""


@contextmanager
def notice_between_trainings() -> Iterator[None]:
    """Keep SLURM's notice from ending a process that is between two of its trainings.

    The signal's default action would end it there, and the job would not be queued again.
    """
    if (
        "SLURM_JOB_ID" not in os.environ
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    before = signal.signal(signal.SIGUSR1, lambda number, frame: _noted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
        _noted.clear()


class Resume(pl.callbacks.Checkpoint):
    """Writes the state, and ends the training when a signal asks for it.

    Lightning calls checkpoint callbacks after all others, so the state holds what those decided.

    Args:
        path: The file; it is there whole or not at all.
        fingerprint: What the model depends on; a state of another is not gone on from.
        every_n_steps: Also write within epochs; None: after each epoch only.
        requeue: Ask SLURM to run the job again after a signal.
    """

    def __init__(
        self, path: Path, fingerprint: str, every_n_steps: int | None, requeue: bool
    ) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.every_n_steps = every_n_steps
        self.requeue = requeue
        #: Held by the process that writes the state.
        self.lock: Lock | None = None
        self._signal = 0
        self._handlers: dict[signal.Signals, Any] = {}

    def found(self) -> Path | None:
        """The file, if it holds a state of this model.

        Raises:
            DataError: It cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            raise DataError(
                f"training state {str(self.path)!r} is damaged: remove it to train from the start"
            ) from error
        return self.path if state.get("fingerprint") == self.fingerprint else None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Says whose state it is."""
        checkpoint["fingerprint"] = self.fingerprint

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals from Lightning, whose handlers communicate and save inside."""
        for number in SIGNALS:
            self._handlers[number] = signal.signal(number, self._note)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Writes the state when it is time, or ends; the end of an epoch writes by itself."""
        number = self._agreed(trainer)
        # The epoch's own end follows: it validates first, and is then a state like any other.
        if trainer.is_last_batch:
            return
        due = self.every_n_steps is not None and (batch_idx + 1) % self.every_n_steps == 0
        if number or due:
            self._write(trainer)
        if number:
            self._end(trainer, number)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the state once training and validation of the epoch are over."""
        self._write(trainer)
        number = self._agreed(trainer)
        if number:
            self._end(trainer, number)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def _write(self, trainer: pl.Trainer) -> None:
        if self.lock is not None:
            self.lock.check()
        trainer.save_checkpoint(self.path)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _agreed(self, trainer: pl.Trainer) -> int:
        """The signal that any rank got, or 0; the same on every rank."""
        noted = self._signal or next(iter(_noted), 0)
        number = torch.tensor(float(noted), device=trainer.strategy.root_device)
        reduced = trainer.strategy.reduce(number, reduce_op="max")
        return int(reduced.item() if isinstance(reduced, Tensor) else reduced)

    def _end(self, trainer: pl.Trainer, number: int) -> None:
        name = signal.Signals(number).name
        if trainer.is_global_zero:
            console.print(
                f"train: {name}: stopped after step {trainer.global_step}; state in {self.path}, "
                "the same command goes on"
            )
            if self.requeue:
                _requeue()
        raise Preempted(128 + number)


def _requeue() -> None:
    """Ask SLURM to run this job again, if it is one."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    outcome = "requeued" if done.returncode == 0 else f"not requeued: {done.stderr.strip()}"
    console.print(f"train: SLURM job {job} {outcome}")
