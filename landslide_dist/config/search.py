"""Which hyper-parameters ``search`` tries, and how they are compared."""

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field

from landslide_dist.config.base import Config
from landslide_dist.config.model import (
    AlignedModel,
    FittedModel,
    ModelConfig,
    TrainedModel,
    chosen_distances,
)

Optimizers = tuple[Literal["adam", "sgd"], ...]
Rates = tuple[Annotated[float, Field(gt=0)], ...]
#: Lists of looking distances, metres.
Distances = tuple[Annotated[tuple[float, ...], Field(min_length=1)], ...]


class ModelGrid(Config):
    """What is tried for one model alone; null: as for all models."""

    learning_rates: Rates | None = Field(None, min_length=1)
    optimizers: Optimizers | None = Field(None, min_length=1)
    looking_distances_m: Distances | None = Field(None, min_length=1)


class SearchConfig(Config):
    """Cross-validated search of each model's hyper-parameters (LACNN paper, section 4.4).

    Every combination of the lists is tried; labels of the run's test part are never seen.
    """

    folds: int = Field(5, ge=2, le=250)
    epochs: int = Field(1, ge=1, description="epochs of every fit, in place of the model's own")
    learning_rates: Rates = Field((0.125, 0.0156, 0.001), min_length=1)
    optimizers: Optimizers = Field(("adam", "sgd"), min_length=1)
    looking_distances_m: Distances | None = Field(
        None,
        min_length=1,
        description="lists of the cube's looking distances, for aligned models; null: their own",
    )
    models: tuple[str, ...] | None = Field(
        None, min_length=1, description="names of the models; null: all that are trained"
    )
    grids: dict[str, ModelGrid] = Field({}, description="model name -> what is tried for it alone")

    def grid(self, name: str, model: FittedModel) -> list[FittedModel]:
        """A model with every combination of what is tried for it, in order of the lists.

        Args:
            name: Its name in the run.
            model: Its settings; those that are not searched stay.
        """
        own = self.grids.get(name, ModelGrid())
        distances = own.looking_distances_m or self.looking_distances_m
        places: list[FittedModel] = [model]
        if isinstance(model, AlignedModel) and distances is not None:
            places = [
                model.model_copy(
                    update={"aligned": model.aligned.model_copy(update={"looking_distances_m": d})}
                )
                for d in distances
            ]
        return [
            place.model_copy(update={"optimizer": optimizer, "learning_rate": rate})
            for place in places
            for optimizer in own.optimizers or self.optimizers
            for rate in own.learning_rates or self.learning_rates
        ]

    def searched(self, models: Mapping[str, ModelConfig]) -> dict[str, FittedModel]:
        """The models of a run that are searched."""
        return {
            name: model
            for name, model in models.items()
            if isinstance(model, FittedModel) and (self.models is None or name in self.models)
        }

    def check(self, models: Mapping[str, ModelConfig], cube_m: Collection[float]) -> None:
        """Refuse a search that does not fit its run.

        Args:
            models: Of the run.
            cube_m: Looking distances of its cube.

        Raises:
            ValueError: A model is not trained or not there, or a distance is not the cube's.
        """
        trained = [name for name, model in models.items() if isinstance(model, TrainedModel)]
        for name in (*(self.models or ()), *self.grids):
            if name not in trained:
                raise ValueError(
                    f"search names {name!r}, which is no trained model of the run "
                    f"({', '.join(trained)})"
                )
        grids = (self.looking_distances_m, *(g.looking_distances_m for g in self.grids.values()))
        for distances in (d for grid in grids for d in grid or ()):
            chosen_distances(distances, cube_m)
