"""How models are trained; what does not belong to one model."""

from typing import Literal

from pydantic import Field

from landslide_dist.config.base import Config


class TrainingConfig(Config):
    """The Lightning trainer."""

    seed: int = Field(0, description="seed of weights and of the order of samples")
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int | Literal["auto"] = Field(1, description="processes (CPU) or GPUs of a node")
    num_nodes: int = Field(1, ge=1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    compile: bool = Field(False, description="torch.compile the network; pays on long trainings")
    micro_batch_size: int = Field(
        4, ge=1, description="patches of one forward pass; bounds memory, not the result"
    )
    checkpoint_every_n_steps: int | None = Field(
        None, ge=1, description="steps between states that a killed training goes on from; "
        "null: one after each epoch"
    )  # fmt: skip
    requeue: bool = Field(True, description="after SIGTERM or SIGUSR1 ask SLURM to run it again")
    timeout_s: float = Field(
        1800, gt=0, description="processes wait this long for one another before they give up"
    )
    residency: Literal["auto", "device", "host", "stream"] = Field(
        "auto", description="where planes are kept: auto takes the first that has room"
    )
    host_memory_gib: float = Field(
        4.0, ge=0, description="memory of a node for planes, whole ones or those streamed"
    )
    read_threads: int = Field(2, ge=1, description="windows that a process decodes at a time")
    workers: int = Field(
        0, ge=0, description="data loader processes of a streamed region; 0: threads"
    )
    worker_start: Literal["forkserver", "spawn"] = Field(
        "forkserver", description="how they start; fork is not safe with open stores"
    )
