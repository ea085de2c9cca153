"""The processes of one training: which of them writes what there is one of, and waiting for all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import distributed

from landslide_dist.config.training import TrainingConfig
from landslide_dist.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment


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


def of_first_rank(value: bool) -> bool:
    """What the first rank says; every rank calls it."""
    if not _together():
        return value
    said = [value]
    distributed.broadcast_object_list(said)
    return said[0]


@contextmanager
def first_rank_first() -> Iterator[None]:
    """The first rank does it, then the others, who find it done."""
    if not is_first_rank():
        wait_for_all_ranks()
    yield
    if is_first_rank():
        wait_for_all_ranks()


@contextmanager
def joined(timeout_s: float) -> Iterator[tuple[int, int]]:
    """Join the processes that ``torchrun`` or ``srun`` started for a stage without a trainer.

    Args:
        timeout_s: How long processes wait for one another before they give up.

    Returns:
        Rank of this process and number of all; 0 and 1 where it was started alone.
    """
    launched = "TORCHELASTIC_RUN_ID" in os.environ or "SLURM_STEP_ID" in os.environ
    environment = _launcher() if launched and not _together() else None
    if environment is None or environment.world_size() == 1:
        yield (distributed.get_rank(), distributed.get_world_size()) if _together() else (0, 1)
        return
    distributed.init_process_group(
        "gloo",
        init_method=f"tcp://{environment.main_address}:{environment.main_port}",
        rank=environment.global_rank(),
        world_size=environment.world_size(),
        timeout=timedelta(seconds=timeout_s),
    )
    try:
        yield environment.global_rank(), environment.world_size()
    finally:
        distributed.destroy_process_group()


def _launcher() -> "ClusterEnvironment | None":
    # Importing Lightning takes longer than all else that a stage without a trainer imports.
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if SLURMEnvironment.detect() else None


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
