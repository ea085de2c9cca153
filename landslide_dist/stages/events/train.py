"""Training of event models: on one event, or on several together (Prakash et al. 2021).

Every image pair of every event is a region of its own in one mosaic. What streams, shuffles and
resumes for one cube then does for all of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from landslide_dist import schema
from landslide_dist.batch import Batch
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import ResUNetConfig, TrainedModel
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.models import SusceptibilityModel
from landslide_dist.models.susceptibility import EventModel
from landslide_dist.patches.augment import Augment
from landslide_dist.patches.mosaic import Mosaic
from landslide_dist.patches.pair import pair_reader
from landslide_dist.patches.reader import PatchReader
from landslide_dist.patches.region import Region, RegionData
from landslide_dist.patches.summary import SplitSummary
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.stages.split import check_split
from landslide_dist.store import cube
from landslide_dist.tasks import EventMappingTask
from landslide_dist.training.module import PatchModule

#: Variables of the cube with one plane.
PLANES = ("elevation", "slope", "landslide")


@dataclass(frozen=True)
class EventTrainer(ModelTrainer):
    """Trains models on the events' training parts together.

    Attributes:
        events: What is trained on; ``context`` says how, and where models are kept.
    """

    events: tuple[RunContext, ...] = ()

    @cached_property
    def reader(self) -> PatchReader:
        """Planes of the mapped pair of the trainer's own run."""
        check_split(self.context)
        return self.context.reader(PLANES)

    @property
    def variables(self) -> tuple[str, ...]:
        """Planes that models read."""
        return self.channels.variables

    @cached_property
    def channels(self) -> EventChannels:
        """What all events show alike.

        Raises:
            DataError: Bands, kind of images or pixel size differ.
        """
        first, *others = self.events
        for other in others:
            if other.channels != first.channels:
                raise DataError(
                    f"event {first.config.name!r} has {first.channels} but "
                    f"{other.config.name!r} has {other.channels}; events that are trained on "
                    "together need the same bands and pixel size"
                )
        assert isinstance(first.channels, EventChannels)
        return first.channels

    @cached_property
    def mosaic(self) -> Mosaic:
        """Every pair of every event beside the others."""
        regions: dict[str, tuple[PatchReader, tuple[int, int], list[Window]]] = {}
        reach_px = 0
        for event in self.events:
            check_split(event)
            location = event.config.cube.location
            places = dict.fromkeys(PLANES, location) | {"split": event.split_location}
            for pair in event.pairs:
                reader = pair_reader(places, pair)
                windows = cube.shard_windows(location)
                regions[f"{event.config.name}, pair {pair.number}"] = (
                    reader,
                    event.grid.shape,
                    windows,
                )
            reach_px = max(reach_px, *(event.reach_px(name) for name in self.context.config.models))
        return Mosaic.beside_one_another(regions, self.context.config.patches.core_px, reach_px)

    @cached_property
    def region(self) -> Region:
        """The planes of all events, kept where they fit."""
        config = self.context.config
        data = RegionData(
            self.mosaic,
            self.variables,
            config.split.parts(),
            self.mosaic.shape,
            list(self.mosaic.windows),
        )
        return Region(data, config.training.residency, config.training.host_memory_gib)

    @cached_property
    def summary(self) -> SplitSummary:
        """Labels of every patch, and the images' moments."""
        config = self.context.config
        parts = config.split.parts()
        for event in self.events:
            if event.config.split.parts() != parts:
                raise ConfigError(
                    f"split of event {event.config.name!r} has other parts than that of "
                    f"{config.name!r}; divide all of them alike"
                )
        return SplitSummary.build(
            self.mosaic,
            list(self.mosaic.windows),
            self.mosaic.shape,
            config.patches.cell_px,
            config.split.folds or len(schema.PART_NAMES),
            self.channels.continuous,
        )

    def fingerprint(self, name: str) -> str:
        """Hash of everything that a trained model depends on."""
        if self.events == (self.context,):
            return super().fingerprint(name)
        return config_hash({"events": [event.model_hash(name) for event in self.events]})

    def check_buffer(self, name: str) -> None:
        """Refuse a model that sees across the buffer of a spatial split."""
        for event in self.events:
            event.check_buffer(name)

    def module(self, model: SusceptibilityModel, model_config: TrainedModel) -> PatchModule:
        """A model with its loss and optimiser."""
        if not (isinstance(model_config, ResUNetConfig) and isinstance(model, EventModel)):
            return super().module(model, model_config)
        task = EventMappingTask(model_config, model.num_heads)
        return PatchModule(model, task, model_config, self.context.config.training.micro_batch_size)

    def augment(self, model: SusceptibilityModel) -> Callable[[Batch], Batch] | None:
        """What varies the training patches of a network."""
        config = model.recipe.config
        if not isinstance(config, ResUNetConfig) or config.augment is None:
            return None
        num_bands, images = len(self.channels.bands), self.channels.images
        return Augment(config.augment, (images[:num_bands], images[num_bands:]))

    def metadata(self, fingerprint: str) -> dict[str, Any]:
        """What a checkpoint says of where it comes from."""
        events: list[Mapping[str, Any]] = [
            {"name": event.config.name, "location": event.config.cube.location}
            for event in self.events
        ]
        return {**super().metadata(fingerprint), "events": events}
