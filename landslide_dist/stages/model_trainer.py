"""Statistics of the training pixels, then one model at a time, those that others need first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from landslide_dist.batch import Batch
from landslide_dist.config.channels import Channels
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import AlignedModel, TrainedModel
from landslide_dist.errors import DataError
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.models import aligned_features, build_model, checkpoint
from landslide_dist.models.recipe import Recipe
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.patches.datamodule import PatchDataModule, Reading
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.ordered import Sampling
from landslide_dist.patches.reader import PatchReader, ZarrReader, open_reader
from landslide_dist.patches.region import Region, RegionData
from landslide_dist.patches.statistics import TrainingStatistics, training_statistics
from landslide_dist.patches.summary import SplitSummary
from landslide_dist.progress import console
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.split import check_split, split_hash
from landslide_dist.store import cube
from landslide_dist.store.location import open_group
from landslide_dist.tasks.susceptibility import SusceptibilityTask
from landslide_dist.training.fit import Outputs, fit
from landslide_dist.training.module import PatchModule
from landslide_dist.training.ranks import is_first_rank, num_processes, wait_for_all_ranks


@dataclass(frozen=True)
class ModelTrainer:
    """Trains models of one run on one split; reader, index and statistics are shared.

    Attributes:
        context: The run.
        quiet: No training logs and no lines, for the many short fits of an experiment.
    """

    context: RunContext
    quiet: bool = False

    @cached_property
    def reader(self) -> PatchReader:
        """All variables that models and labels need, in memory where this process has room."""
        context = self.context
        config = context.config.training
        location = context.config.cube.location
        check_split(context)
        names = (*self.variables, "landslide")
        locations = dict.fromkeys(names, location) | {"split": context.split_location}
        if config.residency in ("auto", "host") and num_processes(config) == 1:
            return open_reader(locations, config.host_memory_gib)
        return ZarrReader(locations)

    @property
    def variables(self) -> tuple[str, ...]:
        """Cube variables that the models of the run read."""
        return (*self.channels.variables, "uphill")

    @cached_property
    def channels(self) -> Channels | EventChannels:
        """What the models see."""
        return self.context.channels

    @cached_property
    def region(self) -> Region:
        """The planes that models train on, kept where they fit."""
        config = self.context.config
        data = RegionData(
            self.reader,
            self.variables,
            config.split.parts(),
            self.context.grid.shape,
            cube.shard_windows(config.cube.location),
        )
        return Region(data, config.training.residency, config.training.host_memory_gib)

    @cached_property
    def summary(self) -> SplitSummary:
        """What ``split`` summed up."""
        check_split(self.context)
        return SplitSummary.load(self.context.split_summary)

    @property
    def index(self) -> PatchIndex:
        """The patches of every part."""
        return self.summary.index

    @cached_property
    def statistics(self) -> TrainingStatistics:
        """Normalisation and share of landslides of the training pixels."""
        values = self.context.config.split.parts()["train"]
        return training_statistics(self.index, self.summary.moments, values)

    def train(self, name: str) -> SusceptibilityModel:
        """Train one model and write its checkpoint, or load it where it is up to date."""
        context, config = self.context, self.context.config
        path = context.paths.checkpoint(name)
        fingerprint = self.fingerprint(name)
        if checkpoint.fingerprint(path) == fingerprint:
            self._say(f"train: {name} is up to date")
            return checkpoint.load(path)[0]
        self.check_buffer(name)
        model_config = config.models[name]
        torch.manual_seed(config.seed_of(name))
        model = build_model(
            model_config,
            self.channels,
            self.statistics.mean_std,
            context.radii_px,
            self.statistics.share,
            self.aligned_features(name),
        )
        metadata = self.metadata(fingerprint)
        unfinished = context.paths.unfinished(name)
        outputs = Outputs(
            Path(context.paths.model_dir(name)),
            lambda: checkpoint.save(unfinished, model, metadata),
            fingerprint,
            self.quiet,
        )
        if isinstance(model_config, TrainedModel):
            self._fit(model, model_config, config.seed_of(name), outputs)
        elif is_first_rank():
            outputs.save()
        if is_first_rank():
            Path(unfinished).replace(path)
        wait_for_all_ranks()
        return checkpoint.load(path)[0]

    def predictor(self, name: str) -> TiledPredictor:
        """One model, trained, that predicts patches one by one: no tile need be larger."""
        config = self.context.config
        tile_px = min(config.predict.tile_px, config.patches.core_px)
        tiling = config.predict.model_copy(update={"tile_px": tile_px})
        return TiledPredictor.of_model(self.train(name), self.reader, tiling)

    def fingerprint(self, name: str) -> str:
        """Hash of everything that a trained model depends on."""
        return self.context.model_hash(name)

    def check_buffer(self, name: str) -> None:
        """Refuse a model that sees across the buffer of a spatial split."""
        self.context.check_buffer(name)

    def aligned_features(self, name: str) -> tuple[str, ...] | None:
        """Channels that an aligned model gathers uphill, from its list or its LLR."""
        model_config = self.context.config.models[name]
        if not isinstance(model_config, AlignedModel):
            return None
        aligned = model_config.aligned
        if aligned.features is not None:
            return aligned.features
        in_run = self.context.config.llr_of(name) is not None
        path = self.context.paths.checkpoint(aligned.llr) if in_run else aligned.llr
        features = aligned_features(checkpoint.load(path)[0], aligned.min_weight)
        self._say(f"train: {name} aligns {len(features)} channels: {', '.join(features)}")
        return features

    def datamodule(self, model: SusceptibilityModel, batch_size: int, seed: int) -> PatchDataModule:
        """Patches of all parts with the context that a model is trained with."""
        patches, training = self.context.config.patches, self.context.config.training
        halo_px = model.halo_px if patches.context_px is None else patches.context_px
        return PatchDataModule(
            self.region,
            self.index,
            model.inputs,
            model.reach_px + (halo_px if model.halo_px else 0),
            Sampling(
                batch_size,
                patches.oversample,
                seed,
                patches.num_lanes,
                patches.block_cores,
            ),
            Reading(training.read_threads, training.workers, training.worker_start),
            patches.core_px // patches.cell_px,
            self.augment(model),
        )

    def augment(self, model: SusceptibilityModel) -> Callable[[Batch], Batch] | None:
        """What varies the training patches of a model; nothing by default."""
        return None

    def module(self, model: SusceptibilityModel, model_config: TrainedModel) -> PatchModule:
        """A model with its loss and optimiser."""
        micro_batch_size = self.context.config.training.micro_batch_size
        return PatchModule(model, SusceptibilityTask(), model_config, micro_batch_size)

    def metadata(self, fingerprint: str) -> dict[str, Any]:
        """What a checkpoint says of where it comes from."""
        config = self.context.config
        attributes = open_group(config.cube.location).attrs
        return {
            "model_hash": fingerprint,
            "looking_distances_m": list(config.cube.looking_distances_m),
            "pixel_m": self.context.grid.pixel_m,
            "split_hash": split_hash(self.context),
            "cube": {"location": config.cube.location, "ingest_hash": attributes["ingest_hash"]},
        }

    def _say(self, line: str) -> None:
        if not self.quiet and is_first_rank():
            console.print(line)

    def _fit(
        self, model: SusceptibilityModel, model_config: TrainedModel, seed: int, outputs: Outputs
    ) -> None:
        config = self.context.config.training
        if model_config.init_from is not None:
            start_from(model_config.init_from, model, self.context.config.cube.looking_distances_m)
        data = self.datamodule(model, model_config.batch_size, seed)
        module = self.module(model, model_config)
        fit(module, data, config, outputs, validated=data.num_samples("validation") > 0)


def start_from(path: str, model: SusceptibilityModel, distances_m: Sequence[float]) -> None:
    """Give a fresh model the weights of a checkpoint that has the same channels.

    Args:
        path: The checkpoint.
        model: The model.
        distances_m: Looking distances of the cube that it is made for.

    Raises:
        ConfigError: There is no such file.
        DataError: It holds no model, or its channels or the shapes of its weights are others.
    """
    start, metadata = checkpoint.load(path)
    theirs = _meanings(start.recipe, metadata["looking_distances_m"])
    ours = _meanings(model.recipe, distances_m)
    for number, (their, our) in enumerate(zip_longest(theirs, ours, fillvalue="missing"), start=1):
        if their != our:
            raise DataError(
                f"init_from {path!r}: channel {number} is {their!r} there but {our!r} in this run; "
                "start from a checkpoint of the same channels in the same order"
            )
    checkpoint.start_weights(model, start, path)


def _meanings(recipe: Recipe, distances_m: Sequence[float]) -> tuple[str, ...]:
    """What each channel of a model stands for; those gathered uphill by their distance."""
    channels = recipe.channels
    own = channels.meanings if isinstance(channels, Channels) else channels.names
    metres = dict(zip(recipe.radii_px, distances_m, strict=True))
    return own + tuple(
        f"{name}, uphill {metres[radius]:g} m"
        for radius in recipe.aligned_radii_px
        for name in recipe.aligned_features
    )
