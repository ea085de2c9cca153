"""A classifier of image chips, carried to satellite scenes: :class:`ChipsConfig`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from landslide_dist.config.base import Config
from landslide_dist.config.bias import BiasConfig
from landslide_dist.config.chip_model import ChipModelConfig, chip_models
from landslide_dist.config.cluster import ClusterConfig
from landslide_dist.config.events import merged
from landslide_dist.config.run import RunConfig
from landslide_dist.config.training import TrainingConfig


class PictureChips(Config):
    """Folders of labelled pictures, e.g. the Bijie set."""

    kind: Literal["pictures"]
    landslide: str = Field(
        description="glob of pictures with a landslide, also an s3:// URL; $NAME of environment"
    )
    other: str = Field(description="glob of pictures without")
    masks: str | None = Field(
        None,
        description="folder or URL of pictures of the same names, above 0 where a landslide is",
    )
    pixel_m: float = Field(0.8, gt=0, description="pixel size of a picture of size_px")
    size_px: int = Field(224, ge=16, description="side that every picture is brought to")


class CroppedChips(Config):
    """Squares cut out of larger images with landslide masks, e.g. Landslide4Sense."""

    kind: Literal["crops"]
    folder: str = Field(
        description="folder or URL of images and masks; $NAME is taken from environment"
    )
    pixel_m: float = Field(10.0, gt=0, description="pixel size of the images")
    size_px: int = Field(18, ge=8, description="side of a square")
    min_share: float = Field(
        0.05, gt=0, le=1, description="share of a square that makes it a landslide; squares with "
        "less, but some, are left out"
    )  # fmt: skip
    per_class: int | None = Field(
        None, ge=1, description="at most so many of each class, drawn at random; null: all"
    )


ChipSource = Annotated[PictureChips | CroppedChips, Field(discriminator="kind")]


class ChipSplit(Config):
    """Images are divided at random, each with all chips cut out of it."""

    fractions: tuple[float, float, float] = Field(
        (0.6, 0.2, 0.2), description="train, validation, test"
    )
    seed: int = Field(0, description="two seeds are two divisions")

    @field_validator("fractions")
    @classmethod
    def _sum_to_one(cls, fractions: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(fractions) - 1) > 1e-9 or min(fractions) <= 0:
            raise ValueError(f"fractions {fractions} are not three shares above 0 that sum to 1")
        return fractions


class ClassifyConfig(Config):
    """How scenes are classified."""

    batch_size: int = Field(256, ge=1, description="blocks of one forward pass")
    min_valid: float = Field(
        1.0, gt=0, le=1, description="clear share of a block that is classified; what is not "
        "clear is then the mean of what is"
    )  # fmt: skip
    shard_cells: int = Field(
        64, ge=16, multiple_of=16, description="blocks of the scene on a side of a block of work"
    )


class ChipsExperiment(Config):
    """Models over seeds, on their own chips and on those of other sensors."""

    seeds: tuple[int, ...] = Field(
        (0, 1, 2, 3, 4), min_length=1, description="of the split, the weights and the samples"
    )
    level: float = Field(0.95, gt=0, lt=1, description="of intervals over seeds")


class ChipsConfig(Config):
    """Everything one run of chips does: training, scenes, reporting bias."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="title of the pages")
    task: Literal["chips"]
    run_dir: str = Field(description="local folder of models, scores, pages and GeoTIFFs of maps")
    scenes_dir: str | None = Field(
        None, min_length=1, description="folder or s3:// URL of the scenes' cubes and maps; null: "
        "below run_dir"
    )  # fmt: skip
    chips: ChipSource
    split: ChipSplit = ChipSplit()
    models: dict[str, ChipModelConfig] = Field(default_factory=chip_models)
    training: TrainingConfig = TrainingConfig()
    targets: dict[str, ChipSource] = Field(
        default_factory=dict, description="labelled chips of other sensors, for `experiment`"
    )
    matching: bool = Field(
        True, description="give scenes the distribution of values of the training chips"
    )
    common: dict[str, Any] = Field(
        default_factory=dict, description="settings of all scenes, as in the YAML of a run"
    )
    scenes: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="scene -> its own settings: cube.grid and sources"
    )
    classify: ClassifyConfig = ClassifyConfig()
    experiment: ChipsExperiment = ChipsExperiment()
    bias: BiasConfig | None = Field(None, description="what `bias` compares")
    cluster: ClusterConfig | None = Field(None, description="null: threads of this process")

    @model_validator(mode="after")
    def _names_are_plain(self) -> "ChipsConfig":
        for kind, names in (
            ("models", self.models),
            ("targets", self.targets),
            ("scenes", self.scenes),
        ):
            if wrong := [name for name in names if not name.isidentifier()]:
                raise ValueError(f"{kind}: names are plain words; got {wrong}")
        if not self.models:
            raise ValueError("models: give at least one")
        for name, model in self.models.items():
            if model.seen_at_m is not None and model.seen_at_m <= self.chips.pixel_m:
                raise ValueError(
                    f"models.{name}: seen_at_m {model.seen_at_m:g} is no coarser than the chips' "
                    f"own {self.chips.pixel_m:g} m"
                )
        return self

    @model_validator(mode="after")
    def _scenes_are_runs(self) -> "ChipsConfig":
        for name in self.scenes:
            try:
                self.scene(name, reference="reference.json")
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                place = ".".join(map(str, ("scenes", name, *first["loc"])))
                message = first["msg"].removeprefix("Value error, ")
                raise ValueError(f"{place}: {message}") from error
        return self

    @model_validator(mode="after")
    def _bias_is_of_this_run(self) -> "ChipsConfig":
        if self.bias is None:
            return self
        if self.bias.model not in self.models:
            raise ValueError(f"bias.model {self.bias.model!r} is not in the run")
        for name, region in self.bias.regions.items():
            if region.scene not in self.scenes:
                raise ValueError(f"bias.regions.{name}: {region.scene!r} is no scene of the run")
        return self

    @property
    def extent_m(self) -> float:
        """Side of a chip on the ground."""
        return self.chips.pixel_m * self.chips.size_px

    @property
    def _scenes_in_run(self) -> str:
        return f"{self.run_dir.rstrip('/')}/scenes"

    def scene_store(self, name: str) -> str:
        """Folder or URL of a scene's Zarr groups: its cube and its maps."""
        above = self._scenes_in_run if self.scenes_dir is None else self.scenes_dir.rstrip("/")
        return f"{above}/{name}"

    def scene(self, name: str, reference: str | None) -> RunConfig:
        """The run that ingests and matches one scene.

        Args:
            name: Which.
            reference: File of the value counts that it is matched to; None: not matched.
        """
        own: dict[str, Any] = {
            "name": name,
            "task": "chips",
            "run_dir": f"{self._scenes_in_run}/{name}",
            "cube": {
                "location": f"{self.scene_store(name)}/cube.zarr",
                "looking_distances_m": [],
            },
            "cluster": None if self.cluster is None else self.cluster.model_dump(mode="json"),
        }
        if reference is not None and self.matching:
            table = {"kind": "table", "path": reference}
            own["cube"]["matching"] = {"reference": table, "dtype": "uint8"}
        return RunConfig.model_validate(merged(merged(self.common, self.scenes[name]), own))
