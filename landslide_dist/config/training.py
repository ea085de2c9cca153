"""How models are trained, predicted and scored; what does not belong to one model."""

from typing import Literal

from pydantic import Field, model_validator

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


class PredictConfig(Config):
    """Tiled prediction."""

    tile_px: int = Field(512, ge=16, description="core of a tile, rounded to the model's stride")
    batch_tiles: int = Field(4, ge=1, description="tiles of one forward pass")
    cog: bool = Field(True, description="also write a Cloud-Optimised GeoTIFF")


class EvaluateConfig(Config):
    """Scores and report."""

    bootstrap_draws: int = Field(200, ge=0, description="block-bootstrap draws; 0: no intervals")
    bootstrap_block_px: int = Field(256, ge=8, description="side of a bootstrap block")
    calibration_bins: int = Field(15, ge=2, description="equal-count bins of ECE and reliability")
    seed: int = Field(0, description="seed of the bootstrap")


class ExperimentConfig(Config):
    """The paper's table 2: every model on every division of several kinds of split."""

    splits: tuple[Literal["random", "block", "random_labels", "kmeans_labels"], ...] = Field(
        ("random", "block"), min_length=1, description="kinds of split, shown side by side"
    )
    folds: int | None = Field(
        None,
        ge=2,
        description="k folds, each held out once; null: split.fractions (the paper)",
    )
    partitions: int = Field(1, ge=1, description="divisions by different seeds, averaged")
    window_px: int = Field(
        1000, ge=16, description="side of the window that shows all models (paper: figure 5)"
    )
    window_centre: tuple[float, float] | None = Field(
        None,
        description="its x and y in the cube's CRS; null: most landslides of the test part",
    )

    @model_validator(mode="after")
    def _clusters_are_folds(self) -> "ExperimentConfig":
        if "kmeans_labels" in self.splits and self.folds is None:
            raise ValueError("kmeans_labels needs folds: each cluster is one fold")
        return self
