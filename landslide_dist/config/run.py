"""One YAML is one whole run: :class:`RunConfig`."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from landslide_dist.config.base import Config
from landslide_dist.config.categories import Categories, inspire, synthetic
from landslide_dist.config.cluster import ClusterConfig
from landslide_dist.config.cube import CubeConfig
from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.config.experiment import ExperimentConfig
from landslide_dist.config.imagery import COLOURS
from landslide_dist.config.inventory import InventoryConfig
from landslide_dist.config.model import (
    AlignedModel,
    EventModelConfig,
    LLRConfig,
    ModelConfig,
    TrainedModel,
    event_models,
    paper_models,
)
from landslide_dist.config.predict import PredictConfig
from landslide_dist.config.publish import PublishConfig
from landslide_dist.config.search import SearchConfig
from landslide_dist.config.sources import CategoricalVariable, Sources
from landslide_dist.config.split import PatchConfig, SplitConfig
from landslide_dist.config.training import TrainingConfig


class RunConfig(Config):
    """Everything one run does, from raw files to the report."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="title of the report")
    task: Literal["susceptibility", "event_mapping", "chips"] = Field(
        "susceptibility", description="chips: a scene of a run of chips, which has the models"
    )
    run_dir: str = Field(description="local folder of checkpoints, predictions, scores, report")
    cube: CubeConfig
    sources: Sources
    split: SplitConfig = SplitConfig()
    patches: PatchConfig = PatchConfig()
    models: dict[str, ModelConfig] = Field(default_factory=paper_models)
    training: TrainingConfig = TrainingConfig()
    predict: PredictConfig = PredictConfig()
    publish: PublishConfig = PublishConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    inventory: InventoryConfig = InventoryConfig()
    experiment: ExperimentConfig | None = Field(None, description="what `experiment` runs")
    search: SearchConfig | None = Field(None, description="what `search` tries")
    cluster: ClusterConfig | None = Field(None, description="null: threads of this process")

    @model_validator(mode="before")
    @classmethod
    def _models_of_the_task(cls, given: Any) -> Any:
        """Without ``models`` an event has its own network; it looks at no distance uphill."""
        if not isinstance(given, dict) or given.get("task") not in ("event_mapping", "chips"):
            return given
        cube = given.get("cube")
        if isinstance(cube, dict):
            cube = {"looking_distances_m": [], **cube}
        models = event_models() if given["task"] == "event_mapping" else {}
        return {"models": models, **given, "cube": cube}

    @field_validator("models")
    @classmethod
    def _names_are_plain(cls, models: dict[str, ModelConfig]) -> dict[str, ModelConfig]:
        wrong = [name for name in models if not name.isidentifier()]
        if wrong:
            raise ValueError(f"model names are plain words; got {wrong}")
        return models

    @model_validator(mode="after")
    def _consistent(self) -> "RunConfig":
        sources = self.sources
        if self.task != "chips" and not (
            sources.synthetic or sources.published or sources.elevation
        ):
            raise ValueError("sources.elevation is missing")
        if self.sources.synthetic is None and self.cube.grid is None:
            raise ValueError("cube.grid is missing: say which grid the sources land on")
        if self.sources.synthetic is not None and self.cube.grid is not None:
            raise ValueError("cube.grid does not go with sources.synthetic, which makes its own")
        block_px = self.split.block_px
        if block_px is not None and block_px % self.patches.core_px:
            raise ValueError(
                f"split.block_px {block_px} is not a multiple of "
                f"patches.core_px {self.patches.core_px}"
            )
        return self

    @model_validator(mode="after")
    def _fits_the_task(self) -> "RunConfig":
        if self.task == "chips":
            self._check_scene()
            return self
        if not self.models:
            raise ValueError("models: give at least one")
        is_event = self.task == "event_mapping"
        for name, model in self.models.items():
            if isinstance(model, EventModelConfig) != is_event:
                raise ValueError(f"models.{name}: {model.kind} is not a model of {self.task}")
        synthetic = self.sources.synthetic
        made_up = synthetic is not None and synthetic.event is not None
        if is_event and self.sources.reflectance is None and not made_up:
            raise ValueError("event_mapping needs images: give sources.reflectance")
        if not is_event and not self.cube.looking_distances_m:
            raise ValueError("cube.looking_distances_m is empty; give at least one")
        return self

    def _check_scene(self) -> None:
        sources = self.sources
        if sources.reflectance is None or len(sources.reflectance.images) != 1:
            raise ValueError("a scene is one image: give sources.reflectance with one of images")
        if sources.reflectance.bands != COLOURS:
            raise ValueError(
                f"sources.reflectance.bands {list(sources.reflectance.bands)}: chips are "
                f"{', '.join(COLOURS)}"
            )
        if self.models or sources.inventory or self.cube.looking_distances_m:
            raise ValueError("a scene has neither models, inventory nor looking distances")

    @model_validator(mode="after")
    def _distances_are_the_cubes(self) -> "RunConfig":
        distances_m = self.cube.looking_distances_m
        for name, model in self.models.items():
            if isinstance(model, AlignedModel):
                try:
                    model.aligned.distances_of(distances_m)
                except ValueError as error:
                    raise ValueError(f"models.{name}.aligned: {error}") from error
        if self.search is not None:
            self.search.check(self.models, distances_m)
        return self

    @model_validator(mode="after")
    def _maps_have_names_of_their_own(self) -> "RunConfig":
        for name, members in self.predict.ensembles.items():
            if name in self.models:
                raise ValueError(f"predict.ensembles.{name} has the name of a model")
            for member in members:
                if member.isidentifier() and member not in self.models:
                    raise ValueError(
                        f"predict.ensembles.{name}: {member!r} is neither a model of the run "
                        f"({', '.join(self.models)}) nor a checkpoint file"
                    )
        return self

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps that the run predicts: its models, then its ensembles."""
        return (*self.models, *self.predict.ensembles)

    def categories(self) -> dict[str, Categories]:
        """Code list of every categorical variable, in channel order."""
        if self.task == "event_mapping":
            return {}
        if self.sources.synthetic is not None:
            return dict(synthetic())
        if self.sources.published is not None:
            return dict(inspire())
        return {name: _resolve(name, v) for name, v in self.sources.categorical.items()}

    def training_order(self) -> list[str]:
        """Model names, those that others choose their features from first."""
        return sorted(self.models, key=lambda name: isinstance(self.models[name], AlignedModel))

    def seed_of(self, name: str) -> int:
        """Seed of a model's weights and of the order of its samples."""
        model = self.models[name]
        own = model.seed if isinstance(model, TrainedModel) else None
        return self.training.seed if own is None else own

    def llr_of(self, name: str) -> LLRConfig | None:
        """The LLR of this run that an aligned model chooses its features from, if it is here."""
        model = self.models[name]
        if not isinstance(model, AlignedModel) or model.aligned.features is not None:
            return None
        llr = self.models.get(model.aligned.llr)
        return llr if isinstance(llr, LLRConfig) else None


def _resolve(name: str, variable: CategoricalVariable) -> Categories:
    if isinstance(variable.categories, Categories):
        return variable.categories
    return inspire()[name]


def config_hash(*parts: BaseModel | dict[str, Any] | None) -> str:
    """Short hash of configuration parts: the same settings give the same 12 letters."""
    plain = [p.model_dump(mode="json") if isinstance(p, BaseModel) else p for p in parts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
