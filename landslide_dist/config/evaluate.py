"""How maps are scored."""

from typing import Literal

from pydantic import Field, field_validator

from landslide_dist.config.base import Config

ClassMethod = Literal["equal_area", "quantiles", "natural_breaks"]


class RegionsConfig(Config):
    """Named polygons that scores are taken in; of overlapping ones the later feature counts."""

    path: str = Field(description="vector file; $NAME is taken from the environment")
    name_field: str = Field(description="attribute that names the region of each feature")
    layer: str | None = Field(None, description="layer of a file with several")
    crs: str | None = Field(None, description="CRS of the file where it states none")


class EvaluateConfig(Config):
    """Scores and report."""

    on_cluster: bool = Field(
        True, description="count on the run's Dask cluster; false: in threads of this process"
    )
    bootstrap_draws: int = Field(200, ge=0, description="block-bootstrap draws; 0: no intervals")
    bootstrap_block_px: int = Field(256, ge=8, description="side of a bootstrap block")
    calibration_bins: int = Field(15, ge=2, description="equal-count bins of ECE and reliability")
    seed: int = Field(0, description="seed of the bootstrap")
    strata: tuple[str, ...] | None = Field(
        None,
        description="scores in each class of these: slope, categorical maps of the cube; "
        "null: all that there are",
    )
    slope_classes_deg: tuple[float, ...] = Field(
        (0, 5, 10, 15, 25, 35, 90), description="edges of the slope classes, degrees"
    )
    regions: RegionsConfig | None = Field(None, description="scores in each region of a map")
    num_classes: int = Field(5, ge=2, le=20, description="susceptibility classes of a map")
    class_methods: tuple[ClassMethod, ...] = Field(
        ("equal_area", "quantiles", "natural_breaks"),
        description="equal_area: as many mapped pixels in each; quantiles: as many landslides of "
        "the training part in each; natural_breaks: Fisher-Jenks of the mapped probabilities; "
        "empty: unlabelled pixels are not read",
    )
    rate_area: Literal["part", "map"] = Field(
        "part",
        description="area of success and prediction rate: the labelled pixels of the part, or all "
        "mapped pixels",
    )

    @field_validator("slope_classes_deg")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if len(edges) < 2 or list(edges) != sorted(set(edges)):
            raise ValueError(f"slope_classes_deg {list(edges)} are not two or more ascending edges")
        return edges
