"""The processes of one training: which of them writes what there is one of, and waiting for all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed

from landslide_dist.config.training import TrainingConfig
from landslide_dist.errors import ConfigError


def num_processes(config: TrainingConfig) -> int:
    """World size of a training."""
    devices = config.devices
    if devices == "auto":
        on_gpu = config.accelerator != "cpu" and torch.cuda.is_available()
        devices = torch.cuda.device_count() if on_gpu else 1
    return devices * config.num_nodes


def is_first_rank() -> bool:
    """Whether this process writes what there is one of."""
    return not _together() or distributed.get_rank() == 0


def wait_for_all_ranks() -> None:
    """Return once every process of the training is here; at once where it is alone."""
    if _together():
        distributed.barrier()


@contextmanager
def first_rank_first() -> Iterator[None]:
    """The first rank does it, then the others, who find it done."""
    if not is_first_rank():
        wait_for_all_ranks()
    yield
    if is_first_rank():
        wait_for_all_ranks()


def check_starts_alone(stage: str) -> None:
    """Refuse to be one of several processes from the start.

    Processes that ``training.devices`` asks for are started by the first training, and come here
    with the stage's work so far done.

    Args:
        stage: Name of the command.

    Raises:
        ConfigError: A launcher such as ``srun`` or ``torchrun`` started several processes.
    """
    tasks = "SLURM_NTASKS" if "SLURM_STEP_ID" in os.environ else "WORLD_SIZE"
    started_by_lightning = "LOCAL_RANK" in os.environ and "GROUP_RANK" not in os.environ
    if int(os.environ.get(tasks, "1")) > 1 and (tasks != "WORLD_SIZE" or not started_by_lightning):
        raise ConfigError(
            f"{stage} was started as several processes ({tasks}={os.environ[tasks]}): start it "
            "once with training.devices, or start several of train alone"
        )


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
