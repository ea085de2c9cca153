"""From a configuration to a trained model: builds the Lightning trainer and runs it."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy, Strategy
from torch import distributed

from landslide_dist.config.training import TrainingConfig
from landslide_dist.errors import DataError, ProcessError
from landslide_dist.store.lock import hold
from landslide_dist.training.callbacks import BestModel, History, Throughput
from landslide_dist.training.module import PatchModule
from landslide_dist.training.ranks import num_processes
from landslide_dist.training.resume import Resume


@dataclass(frozen=True)
class Outputs:
    """What a training writes.

    Attributes:
        folder: Logs, ``history.json`` and, while it is under way, ``state.ckpt``.
        save: Writes the model as it is now.
        fingerprint: What the model depends on; only a state of the same is gone on from.
        quiet: No logs and no lines, for the many short fits of an experiment.
    """

    folder: Path
    save: Callable[[], None]
    fingerprint: str
    quiet: bool = False


def fit(
    module: PatchModule,
    datamodule: pl.LightningDataModule,
    config: TrainingConfig,
    outputs: Outputs,
    validated: bool = True,
) -> None:
    """Train a model, going on from the state of a training that was stopped.

    Args:
        module: The model and its optimiser settings.
        datamodule: Its patches.
        config: Accelerator, processes, precision.
        outputs: What is written, and where.
        validated: Whether a part validates; if not, the last epoch is kept.

    Raises:
        DataError: The loss is not finite at the end.
        ProcessError: Another process of the training ended.
        Preempted: A signal ended it; the state is written.
        StoreError: Another training writes the same model.
    """
    resume = Resume(
        outputs.folder / "state.ckpt",
        outputs.fingerprint,
        config.checkpoint_every_n_steps,
        config.requeue,
    )
    if config.compile:
        module.model.compile()
    alone = rank_zero_only(hold)(str(resume.path), "train") or nullcontext()
    with _only_what_concerns_users(), alone as resume.lock:
        trainer = pl.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=_strategy(config),
            # Lightning would save and requeue inside its signal handler.
            plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
            precision=config.precision,
            max_epochs=module.config.epochs,
            callbacks=[*_callbacks(module, outputs, validated), resume],
            logger=[] if outputs.quiet else _loggers(outputs.folder),
            limit_val_batches=1.0 if validated else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            # Only GPUs have it: on CPUs each process normalises by its own share.
            sync_batchnorm=module.has_batch_norm and _on_gpu(config),
            enable_checkpointing=True,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
        with _lost_processes_named():
            trainer.fit(module, datamodule=datamodule, ckpt_path=resume.found(), weights_only=True)
        if trainer.is_global_zero:
            resume.path.unlink(missing_ok=True)
    loss = module.epoch_loss["train"]
    if not math.isfinite(loss):
        raise DataError(
            f"training of {str(outputs.folder)!r} ended with loss {loss}; lower learning_rate "
            f"({module.config.learning_rate:g})"
        )


def _on_gpu(config: TrainingConfig) -> bool:
    return config.accelerator != "cpu" and torch.cuda.is_available()


def _strategy(config: TrainingConfig) -> Strategy | str:
    if num_processes(config) == 1:
        return "auto"
    # Without a timeout those that are left wait for one that was killed.
    return DDPStrategy(timeout=timedelta(seconds=config.timeout_s), gradient_as_bucket_view=True)


@contextmanager
def _lost_processes_named() -> Iterator[None]:
    """A process that was killed shows in the others as a broken connection."""
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, distributed.DistError) or "gloo" in str(error)
        if not (lost and distributed.is_initialized() and distributed.get_world_size() > 1):
            raise
        reason = " ".join(str(error).split())[:120]
        raise ProcessError(
            f"another process of this training is gone ({reason}): the same command goes on from "
            "the last state"
        ) from error


def _callbacks(module: PatchModule, outputs: Outputs, validated: bool) -> list[Callback]:
    callbacks: list[Callback] = [BestModel(outputs.save, validated)]
    if validated and module.config.stop_patience is not None:
        callbacks.append(EarlyStopping("val_loss", patience=module.config.stop_patience))
    name = outputs.folder.name
    history = History(outputs.folder / "history.json", None if outputs.quiet else name)
    return [*callbacks, history, Throughput(name, outputs.quiet)]


def _loggers(folder: Path) -> list[Logger]:
    # Numbered, so that a resumed training leaves the logs of what came before alone.
    return [CSVLogger(folder, name="csv"), TensorBoardLogger(folder, name="tensorboard")]


@contextmanager
def _only_what_concerns_users() -> Iterator[None]:
    """Lightning's hints about data loader workers and hardware do not apply: we read ahead."""
    logger: Any = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*experiment logs directory.*exists.*")
            warnings.filterwarnings("ignore", message=".*`srun` command is available.*")
            # Lightning's own use of torch.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            yield
    finally:
        logger.setLevel(level)
