"""One division of the labels: its models trained, scored, and shown on a window.

Everything is kept in files keyed by what it depends on; what is there is not made again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config import RunConfig
from landslide_dist.config.run import config_hash
from landslide_dist.config.split import SplitConfig
from landslide_dist.evaluation.cores import count_parts, keep, keep_counts, kept, kept_counts
from landslide_dist.evaluation.experiment import SCORED_PARTS, Outcome
from landslide_dist.evaluation.score import BEST_REACHABLE
from landslide_dist.grid import Window
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.patches.reader import ZarrReader
from landslide_dist.schema import TRUE_PROBABILITY
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.stages.split import is_complete, split_hash, write_split
from landslide_dist.store.location import open_group
from landslide_dist.training.ranks import first_rank_first


@dataclass(frozen=True)
class Fold:
    """One fold of one division of the labels; the only one where ``split.fractions`` divide."""

    kind: str
    partition: int
    fold: int

    def config(self, config: RunConfig) -> RunConfig:
        """The run that trains and scores this fold, in a folder of its own."""
        assert config.experiment is not None
        settings = config.split.model_dump() | {
            "kind": self.kind,
            "seed": config.split.seed + self.partition,
            "folds": config.experiment.folds,
            "test_fold": self.fold,
        }
        paths = RunContext(config).paths
        return config.model_copy(
            update={
                "split": SplitConfig.model_validate(settings),
                "run_dir": f"{paths.experiment_dir}/{self.kind}-{self.partition}-{self.fold}",
            }
        )


@dataclass(frozen=True)
class Division:
    """A fold and the run that trains on the others.

    Attributes:
        fold: Which one.
        context: ``fold.config`` of the experiment's run.
    """

    fold: Fold
    context: RunContext

    @classmethod
    def of(cls, fold: Fold, config: RunConfig) -> "Division":
        """The division of a run; its split is written where it is not there."""
        context = RunContext(fold.config(config))
        with first_rank_first():
            if not is_complete(context):
                write_split(context)
        return cls(fold, context)

    def outcomes(self) -> list[Outcome]:
        """Train and score every model, and the true probability where it is known."""
        names = self.context.config.training_order()
        if TRUE_PROBABILITY.name in open_group(self.context.config.cube.location):
            names.append(BEST_REACHABLE)
        place = (self.fold.kind, self.fold.partition, self.fold.fold)
        return [Outcome.of(*place, name, self._counts(name)) for name in names]

    def window_maps(self, window: Window) -> dict[str, NDArray[np.float32]]:
        """Probability of a window by every model, in the order of the configuration."""
        maps = {}
        for name in self.context.config.models:
            path = self.context.paths.window_map(name)
            key = self._key(name, {"window": [window.y0, window.x0, *window.shape]})
            arrays = kept(path, key)
            if arrays is None:
                arrays = {"probability": self._trainer.predictor(name).probability(window)}
                keep(path, key, arrays)
            maps[name] = arrays["probability"]
        return maps

    @cached_property
    def _trainer(self) -> ModelTrainer:
        return ModelTrainer(self.context, quiet=True)

    @cached_property
    def _parts(self) -> Mapping[str, frozenset[int]]:
        parts = self.context.config.split.parts()
        return {part: parts[part] for part in SCORED_PARTS}

    def _counts(self, name: str) -> dict[str, ScoreCounts]:
        path = self.context.paths.part_scores(name.replace(" ", "_"))
        key = self._key(name, {})
        counts = kept_counts(path, key)
        if counts is None:
            predict = (
                self._true_probability
                if name == BEST_REACHABLE
                else self._trainer.predictor(name).probability
            )
            counts = count_parts(predict, self._trainer.reader, self._trainer.index, self._parts)
            keep_counts(path, key, counts)
        return counts

    def _true_probability(self, core: Window) -> NDArray[Any]:
        reader = ZarrReader({TRUE_PROBABILITY.name: self.context.config.cube.location})
        return reader.read(core)[TRUE_PROBABILITY.name]

    def _key(self, name: str, more: Mapping[str, Any]) -> str:
        """Fingerprint of what a model predicts on this division."""
        config = self.context.config
        model = None if name == BEST_REACHABLE else self.context.model_hash(name)
        return config_hash(
            {
                "model": model,
                "split": split_hash(self.context),
                "parts": {part: sorted(values) for part, values in self._parts.items()},
                # What of `predict` the tiles of a patch depend on.
                **config.predict.model_dump(include={"tile_px", "context_px"}, exclude_none=True),
                **more,
            }
        )
