"""What an experiment runs."""

from typing import Literal

from pydantic import Field, model_validator

from landslide_dist.config.base import Config


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
