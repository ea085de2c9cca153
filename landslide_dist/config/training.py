"""How models are trained, predicted and scored; what does not belong to one model."""

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
    micro_batch_size: int = Field(
        4, ge=1, description="patches of one forward pass; bounds memory, not the result"
    )
    host_memory_gib: float = Field(
        4.0, ge=0, description="a cube whose planes fit is read once and kept in memory"
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
    """Cross-validation: every model on every fold of several divisions."""

    splits: tuple[Literal["random", "block", "random_labels", "kmeans_labels"], ...] = Field(
        ("random", "block"), description="kinds of split, shown side by side"
    )
    folds: int = Field(5, ge=2)
    partitions: int = Field(1, ge=1, description="divisions by different seeds, averaged")
