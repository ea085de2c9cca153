"""How much less is reported in one region than in another: :class:`BiasConfig`."""

from datetime import date

from pydantic import Field, field_validator, model_validator

from landslide_dist.config.base import Config


class BiasRegion(Config):
    """One of the two regions."""

    scene: str = Field(description="scene of the run that its landslides are detected on")
    polygon: str | None = Field(
        None, description="vector file of the region, within the scene; null: the whole scene"
    )
    layer: str | None = Field(None, description="layer of a polygon file with several")
    masked: dict[str, tuple[int, ...]] = Field(
        default_factory=dict,
        description="categorical variable of the scene -> codes, e.g. of water and settlements: "
        "blocks that are mostly of them are not counted",
    )

    @model_validator(mode="after")
    def _of_a_file(self) -> "BiasRegion":
        if self.layer is not None and self.polygon is None:
            raise ValueError(f"layer {self.layer!r} is of no file: give polygon")
        return self


class BiasConfig(Config):
    """The bias factor of Wang and Wei: (d1 / d2) / (r1 / r2), detected and recorded landslides."""

    catalog: str = Field(
        description="export of NASA's Global Landslide Catalog, CSV; $NAME from the environment"
    )
    model: str = Field(description="model of the run that detects")
    regions: dict[str, BiasRegion] = Field(description="region 1, then region 2")
    periods: dict[str, tuple[date, date]] = Field(
        min_length=1, description="name -> first and last day of recorded landslides"
    )
    thresholds: tuple[float, ...] = Field(
        (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
        min_length=1,
        description="probabilities from which a block is a detected landslide",
    )
    merged: bool = Field(
        False, description="blocks that touch are one landslide; the paper counts blocks"
    )
    max_accuracy_m: float | None = Field(
        None, gt=0, description="leave out records that are located worse; null: none"
    )
    level: float = Field(0.95, gt=0, lt=1, description="of intervals")
    draws: int = Field(1000, ge=100, description="of the bootstrap")
    block_cells: int = Field(20, ge=1, description="side of what is drawn, in blocks of the scene")
    seed: int = Field(0, ge=0, description="of the bootstrap")

    @field_validator("thresholds")
    @classmethod
    def _ascending(cls, thresholds: tuple[float, ...]) -> tuple[float, ...]:
        inside = all(0 < threshold < 1 for threshold in thresholds)
        if not inside or list(thresholds) != sorted(set(thresholds)):
            raise ValueError(f"thresholds {list(thresholds)} are not ascending between 0 and 1")
        return thresholds

    @model_validator(mode="after")
    def _complete(self) -> "BiasConfig":
        if len(self.regions) != 2:
            raise ValueError(f"two regions are compared, got {len(self.regions)}")
        if wrong := [name for name in self.regions if not name.isidentifier()]:
            raise ValueError(f"names of regions are plain words; got {wrong}")
        for name, (first, last) in self.periods.items():
            if first > last:
                raise ValueError(f"period {name!r} ends ({last}) before it begins ({first})")
        return self
