"""From a configuration to a trained model: builds the Lightning trainer and runs it."""

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, EarlyStopping
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from landslide_dist.config.model import TrainedModel
from landslide_dist.config.training import TrainingConfig
from landslide_dist.errors import DataError
from landslide_dist.training.callbacks import BestModel, EpochLines
from landslide_dist.training.module import PatchModule


def fit(
    module: PatchModule,
    datamodule: pl.LightningDataModule,
    config: TrainingConfig,
    folder: str,
    save: Callable[[], None],
    validated: bool = True,
    quiet: bool = False,
) -> None:
    """Train a model.

    Args:
        module: The model and its optimiser settings.
        datamodule: Its patches.
        config: Accelerator, devices, precision.
        folder: Where the training logs go.
        save: Writes the model as it is now.
        validated: Whether a part validates; if not, the last epoch is kept.
        quiet: No logs and no lines, for the many short fits of an experiment.

    Raises:
        DataError: The loss is not finite at the end.
    """
    with _only_what_concerns_users():
        trainer = pl.Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            precision=config.precision,
            max_epochs=module.config.epochs,
            callbacks=_callbacks(module.config, save, validated, folder, quiet),
            logger=[] if quiet else _loggers(folder),
            limit_val_batches=1.0 if validated else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
        trainer.fit(module, datamodule=datamodule)
    loss = module.epoch_loss["train"]
    if not math.isfinite(loss):
        raise DataError(
            f"training of {folder!r} ended with loss {loss}; lower learning_rate "
            f"({module.config.learning_rate:g})"
        )


def _callbacks(
    config: TrainedModel, save: Callable[[], None], validated: bool, folder: str, quiet: bool
) -> list[Callback]:
    callbacks: list[Callback] = [BestModel(save, validated)]
    if validated and config.stop_patience is not None:
        callbacks.append(EarlyStopping("val_loss", patience=config.stop_patience))
    if not quiet:
        callbacks.append(EpochLines(folder.rstrip("/").rsplit("/", 1)[-1]))
    return callbacks


def _loggers(folder: str) -> list[Logger]:
    return [
        CSVLogger(folder, name="", version="csv"),
        TensorBoardLogger(folder, name="", version="tensorboard"),
    ]


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
            # Lightning's own use of torch.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
            yield
    finally:
        logger.setLevel(level)
