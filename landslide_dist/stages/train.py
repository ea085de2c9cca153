"""``train``: statistics of the training pixels, then each model, those that others need first."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from landslide_dist.config import RunConfig
from landslide_dist.config.fingerprint import model_hash
from landslide_dist.config.model import AlignedModel, TrainedModel
from landslide_dist.errors import ConfigError
from landslide_dist.models import aligned_features, build_model, checkpoint
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.patches.datamodule import PatchDataModule
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import PatchReader, open_reader
from landslide_dist.patches.statistics import TrainingStatistics, training_statistics
from landslide_dist.progress import console
from landslide_dist.schema import PART_NAMES
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.split import check_split, split_hash
from landslide_dist.store import cube
from landslide_dist.store.location import open_group
from landslide_dist.tasks.susceptibility import SusceptibilityTask
from landslide_dist.training.fit import fit
from landslide_dist.training.module import PatchModule


def train(config: RunConfig, only: Sequence[str] | None = None) -> None:
    """Train the models of a run; those that are up to date are left alone.

    Args:
        config: The run.
        only: Names of the models to train; None for all.

    Raises:
        ConfigError: A model sees across the split's buffer, or needs an LLR that is not trained.
        StoreError: ``derive`` or ``split`` has not run.
    """
    trainer = ModelTrainer(RunContext(config))
    for name in chosen_models(config, only):
        trainer.train(name)


def chosen_models(config: RunConfig, only: Sequence[str] | None) -> list[str]:
    """Names of the models that a command is about, in training order.

    Raises:
        ConfigError: One of ``only`` is not in the run.
    """
    for name in only or ():
        if name not in config.models:
            raise ConfigError(f"model {name!r} is not in the run ({', '.join(config.models)})")
    return [name for name in config.training_order() if only is None or name in only]


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
        """All variables that models and labels need, in memory where they fit."""
        context = self.context
        location = context.config.cube.location
        derived = context.derive_hash
        assert derived, "the cube has been derived"
        check_split(context)
        names = (*context.channels.variables, "uphill", "landslide")
        locations = dict.fromkeys(names, location) | {"split": context.split_location}
        return open_reader(locations, context.config.training.host_memory_gib)

    @cached_property
    def index(self) -> PatchIndex:
        """The patches of every part."""
        config = self.context.config
        num_values = config.split.folds or len(PART_NAMES)
        windows = cube.shard_windows(config.cube.location)
        return PatchIndex.build(
            self.reader, windows, self.context.grid.shape, config.patches.core_px, num_values
        )

    @cached_property
    def statistics(self) -> TrainingStatistics:
        """Normalisation and share of landslides of the training pixels."""
        config = self.context.config
        windows = cube.shard_windows(config.cube.location)
        parts = config.split.parts()
        continuous = self.context.channels.continuous
        return training_statistics(self.reader, windows, parts["train"], continuous)

    def train(self, name: str) -> SusceptibilityModel:
        """Train one model and write its checkpoint, or load it where it is up to date."""
        context, config = self.context, self.context.config
        path = context.paths.checkpoint(name)
        fingerprint = model_hash(config, name, context.derive_hash)
        if is_up_to_date(path, fingerprint):
            if not self.quiet:
                console.print(f"train: {name} is up to date")
            return checkpoint.load(path)[0]
        context.check_buffer(name)
        model_config = config.models[name]
        torch.manual_seed(config.training.seed)
        model = build_model(
            model_config,
            context.channels,
            self.statistics.mean_std,
            context.radii_px,
            self.statistics.share,
            self.aligned_features(name),
        )
        metadata = self.metadata(fingerprint)

        def save() -> None:
            checkpoint.save(path, model, metadata)

        if isinstance(model_config, TrainedModel):
            self._fit(name, model, model_config, save)
        else:
            save()
        return checkpoint.load(path)[0]

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
        if not self.quiet:
            console.print(f"train: {name} aligns {len(features)} channels: {', '.join(features)}")
        return features

    def datamodule(self, model: SusceptibilityModel, batch_size: int) -> PatchDataModule:
        """Patches of all parts with the context that a model is trained with."""
        config = self.context.config
        context_px = config.patches.context_px
        halo_px = model.halo_px if context_px is None else context_px
        return PatchDataModule(
            self.reader,
            self.index,
            config.split.parts(),
            model.inputs,
            model.reach_px + (halo_px if model.halo_px else 0),
            batch_size,
            config.patches.oversample,
            config.training.seed,
        )

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

    def _fit(self, name: str, model: Any, model_config: TrainedModel, save: Any) -> None:
        config = self.context.config
        if model_config.init_from is not None:
            start = checkpoint.load(model_config.init_from)[0]
            model.load_state_dict(start.state_dict())
        data = self.datamodule(model, model_config.batch_size)
        module = PatchModule(
            model, SusceptibilityTask(), model_config, config.training.micro_batch_size
        )
        fit(
            module,
            data,
            config.training,
            self.context.paths.model_dir(name),
            save,
            validated=data.num_samples("validation") > 0,
            quiet=self.quiet,
        )


def is_up_to_date(path: str, fingerprint: str) -> bool:
    """Whether a checkpoint is there that was trained with the same settings on the same cube."""
    try:
        return bool(checkpoint.load(path)[1].get("model_hash") == fingerprint)
    except ConfigError:
        return False
