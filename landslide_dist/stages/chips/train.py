"""A run of chips: pictures divided, classifiers trained, their scores."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landslide_dist.config.chip_model import ChipModelConfig, TransferConfig
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.paths import RunPaths
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError
from landslide_dist.features.reference import Reference
from landslide_dist.models import checkpoint
from landslide_dist.models.chip import CHIP, ChipModel, ChipRecipe, build_chip_model
from landslide_dist.patches.chips import ChipAugment, ChipDataModule, divide
from landslide_dist.patches.ordered import Sampling
from landslide_dist.progress import console, stage
from landslide_dist.schema import PART_NAMES
from landslide_dist.sources.labelled_chips import LabelledChips, open_chips
from landslide_dist.stages.context import checkpoint_hash, file_hash
from landslide_dist.stages.train import chosen_models
from landslide_dist.tasks import ChipTask
from landslide_dist.training.fit import Outputs, fit
from landslide_dist.training.module import PatchModule
from landslide_dist.training.ranks import first_rank_first, is_first_rank, wait_for_all_ranks
from landslide_dist.training.resume import notice_between_trainings


@dataclass(frozen=True)
class ChipTrainer:
    """Trains the classifiers of one run; the chips are read once.

    Attributes:
        config: The run.
        quiet: No training logs and no lines, for the many short fits of an experiment.
        read: The chips, where they are read already.
    """

    config: ChipsConfig
    quiet: bool = False
    read: LabelledChips | None = None

    @cached_property
    def chips(self) -> LabelledChips:
        """The run's labelled chips."""
        return open_chips(self.config.chips) if self.read is None else self.read

    @cached_property
    def parts(self) -> NDArray[np.uint8]:
        """Part of each chip."""
        split = self.config.split
        return divide(self.chips.labels, self.chips.groups, split.fractions, split.seed)

    @cached_property
    def paths(self) -> RunPaths:
        """Where the run keeps what it makes."""
        return RunPaths(self.config.run_dir.rstrip("/"))

    @cached_property
    def data_hash(self) -> str:
        """Fingerprint of the chips, as they were read, and of their division."""
        digest = hashlib.sha256(self.chips.images.tobytes())
        digest.update(self.chips.labels.tobytes())
        digest.update(self.parts.tobytes())
        return digest.hexdigest()[:12]

    @property
    def reference(self) -> str:
        """File of the value counts of the training chips, which scenes are matched to.

        Named after what it holds: scenes that were matched to another are matched again.
        """
        path = Path(self.paths.run_dir) / f"reference-{self.data_hash}.json"
        with first_rank_first():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                counts = self.chips.counts(self.parts == PART_NAMES.index("train"))
                Reference.from_counts(counts).to_json(path)
        return str(path)

    def train(self, name: str) -> ChipModel:
        """Train one model and write its checkpoint, or load it where it is up to date."""
        path, fingerprint = self.paths.checkpoint(name), self.fingerprint(name)
        if checkpoint.fingerprint(path) == fingerprint:
            self._say(f"train: {name} is up to date")
            return checkpoint.load_chip_model(path)[0]
        model_config, source = self.config.models[name], self.config.chips
        torch.manual_seed(self.seed_of(name))
        recipe = ChipRecipe(model_config, self.config.extent_m, source.size_px)
        model = build_chip_model(recipe)
        unfinished = self.paths.unfinished(name)
        outputs = Outputs(
            Path(self.paths.model_dir(name)),
            lambda: checkpoint.save_chip_model(unfinished, model, {"model_hash": fingerprint}),
            fingerprint,
            self.quiet,
        )
        if model_config.init_from is not None:
            start = checkpoint.load_chip_model(model_config.init_from)[0]
            checkpoint.start_weights(model, start, model_config.init_from)
        training = self.config.training
        module = PatchModule(model, ChipTask(), model_config, training.micro_batch_size)
        fit(module, self.datamodule(name), training, outputs)
        if is_first_rank():
            Path(unfinished).replace(path)
        wait_for_all_ranks()
        return checkpoint.load_chip_model(path)[0]

    def datamodule(self, name: str) -> ChipDataModule:
        """The chips as one model is trained on them."""
        model = self.config.models[name]
        return ChipDataModule(
            CHIP,
            self.chips.images,
            self.chips.labels,
            self.parts,
            Sampling(model.batch_size, seed=self.seed_of(name)),
            None if model.augment is None else ChipAugment(model.augment),
        )

    def seed_of(self, name: str) -> int:
        """Seed of a model's weights and of the order of its samples."""
        own = self.config.models[name].seed
        return self.config.training.seed if own is None else own

    def fingerprint(self, name: str) -> str:
        """Hash of everything that a trained model depends on.

        Raises:
            ConfigError: A file that it begins with cannot be read.
            DataError: A checkpoint that it begins with is damaged.
        """
        model, config = self.config.models[name], self.config
        made_of = {
            "chips": self.data_hash,
            "extent_m": config.extent_m,
            "seed": self.seed_of(name),
            "precision": config.training.precision,
        }
        files = _started_from(model)
        return config_hash(model, made_of | ({"files": files} if files else {}))

    def trained(self, name: str) -> tuple[ChipModel, dict[str, Any]]:
        """A model that was trained before, and its metadata.

        Raises:
            ConfigError: It was not, or with other settings.
        """
        path = self.paths.checkpoint(name)
        model, metadata = checkpoint.load_chip_model(path)
        if metadata["model_hash"] != self.fingerprint(name):
            raise ConfigError(
                f"model {path!r} was trained with other settings or on other chips: run train"
            )
        return model, metadata

    def _say(self, line: str) -> None:
        if not self.quiet and is_first_rank():
            console.print(line)


def _started_from(model: ChipModelConfig) -> dict[str, str]:
    """Setting -> fingerprint of each file that a model begins with."""
    files = {}
    if model.init_from is not None:
        files["init_from"] = checkpoint_hash(model.init_from)
    if isinstance(model, TransferConfig) and model.weights not in (None, "imagenet"):
        files["weights"] = file_hash("weights", str(model.weights))
    return files


@stage
def train_chips(config: ChipsConfig, only: Sequence[str] | None = None) -> None:
    """Train the classifiers of a run; those that are up to date are left alone.

    Args:
        config: The run.
        only: Names of the models to train; None for all.

    Raises:
        ConfigError: A name is not a model, or pretrained weights cannot be had.
        DataError: Chips are missing or broken.
    """
    trainer = ChipTrainer(config)
    names = chosen_models(config.models, only)
    num_landslides, chips = int(trainer.chips.labels.sum()), len(trainer.chips)
    sizes = ", ".join(f"{int((trainer.parts == i).sum())} {n}" for i, n in enumerate(PART_NAMES))
    console.print(f"chips: {chips}, {num_landslides} with a landslide; {sizes}")
    with notice_between_trainings():
        for name in names:
            trainer.train(name)
