"""The folds of ``search``: their split, the fits on them, how each does where it is held out."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_utilities.core.rank_zero import rank_zero_only

from landslide_dist.config import RunConfig
from landslide_dist.config.model import AlignedModel, FittedModel, ModelConfig
from landslide_dist.config.run import config_hash
from landslide_dist.config.search import SearchConfig
from landslide_dist.config.share import ALL, Share
from landslide_dist.config.split import SplitConfig
from landslide_dist.errors import ConfigError, DataError, LockedError
from landslide_dist.evaluation.cores import count_parts
from landslide_dist.models import reach_of
from landslide_dist.patches.masked import MaskedLabels
from landslide_dist.patches.reader import ZarrReader
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.stages.split import is_complete, split_hash, write_split
from landslide_dist.store.lock import hold
from landslide_dist.training.ranks import first_rank_first, of_first_rank
from landslide_dist.training.search import GridPoint, HeldOut
from landslide_dist.whole_file import write_whole

#: Between two looks at whether another share is done.
_PAUSE_S = 2.0


@dataclass(frozen=True)
class SearchFolds:
    """The folds of a search, and the fits on them.

    Attributes:
        context: The run.
        search: What is tried.
    """

    context: RunContext
    search: SearchConfig

    @cached_property
    def run_dir(self) -> str:
        """Where splits and checkpoints of the folds go: another one for another test part."""
        seen = {"split": split_hash(self.context), "values": sorted(self._seen)}
        return f"{self.context.paths.run_dir}/search/{config_hash(seen)}"

    @property
    def _seen(self) -> frozenset[int]:
        """Values of the run's split that a choice may see."""
        parts = self.context.config.split.parts()
        return parts["train"] | parts["validation"]

    @cached_property
    def split(self) -> SplitConfig:
        """The run's kind of split as folds; of ``block`` with a buffer for every model tried."""
        config = self.context.config
        # The held-out fold does not validate: it would choose the best of several epochs, and the
        # fit would be judged on what it was chosen by.
        settings = {"folds": self.search.folds, "test_fold": 0, "validation": "none"}
        if config.split.kind == "block" and config.split.buffer_px is None:
            tried = self.search.searched(config.models).items()
            reaches = (
                reach_of(point, self.context.radii_px)
                for name, model in tried
                for point in self.search.grid(name, model)
            )
            settings["buffer_px"] = max(self.context.buffer_px, *reaches)
        return SplitConfig.model_validate(config.split.model_dump() | settings)

    def run(self, fold: int, models: Mapping[str, ModelConfig]) -> RunContext:
        """The run that trains models on all folds but one."""
        update = {
            "split": self.split.model_copy(update={"test_fold": fold}),
            "run_dir": self.run_dir,
            "models": dict(models),
        }
        return RunContext(self.context.config.model_copy(update=update))

    def write_split(self) -> None:
        """Divide the labels that are not of the run's test part into folds.

        Raises:
            ConfigError: A fold has no labels, or none of one class.
        """
        folds = self.run(0, self.context.config.models)
        with first_rank_first():
            if not is_complete(folds):
                self._divide(folds)

    def _divide(self, folds: RunContext) -> None:
        locations = {
            "landslide": self.context.config.cube.location,
            "split": self.context.split_location,
        }
        seen = MaskedLabels(ZarrReader(locations), self._seen)
        try:
            write_split(folds, seen)
        except ConfigError as error:
            raise ConfigError(f"search.folds {self.search.folds}: {error}") from error

    def fits(
        self, config: RunConfig, name: str, grid: Sequence[FittedModel], share: Share = ALL
    ) -> Iterator[list[GridPoint]]:
        """Train and judge every setting of a model on every fold, or a share of that.

        Fold by fold, so that all settings share what is read and measured of a fold.

        Args:
            config: The run with the best settings of the models that were searched before.
            name: Of the model.
            grid: Its settings.
            share: Of the fits.

        Yields:
            All settings with their folds so far, after every fit.
        """
        points = [GridPoint(model) for model in grid]
        for fold in range(self.search.folds):
            models, names = self._candidates(config, name, fold, grid)
            trainer = ModelTrainer(self.run(fold, models), quiet=True)
            for i, candidate in enumerate(names):
                if not share.takes(fold * len(grid) + i):
                    continue
                held_out = _held_out(trainer, candidate)
                points[i] = GridPoint(grid[i], (*points[i].folds, held_out))
                yield list(points)

    def are_done(self, config: RunConfig, name: str, grid: Sequence[FittedModel]) -> bool:
        """Whether every fit of a model is there, by whichever process."""
        for fold in range(self.search.folds):
            models, names = self._candidates(config, name, fold, grid)
            context = self.run(fold, models)
            if any(_known(context, candidate) is None for candidate in names):
                return False
        return True

    def _candidates(
        self, config: RunConfig, name: str, fold: int, grid: Sequence[FittedModel]
    ) -> tuple[dict[str, ModelConfig], list[str]]:
        """Models of a fold's run, and the names of those that are tried, in order of the grid."""
        models: dict[str, ModelConfig] = {}
        update: dict[str, Any] = {"epochs": self.search.epochs}
        model, llr = config.models[name], config.llr_of(name)
        if isinstance(model, AlignedModel) and llr is not None:
            # Of the fold's own training part, with the epochs that the run will give it.
            of_fold = f"{model.aligned.llr}_{config_hash(llr)}_fold{fold}"
            models[of_fold] = llr
        names = []
        for setting in grid:
            if isinstance(setting, AlignedModel) and llr is not None:
                update["aligned"] = setting.aligned.model_copy(update={"llr": of_fold})
            tried = setting.model_copy(update=update)
            names.append(f"{name}_{config_hash(tried)}_fold{fold}")
            models[names[-1]] = tried
        return models, names


def _held_out(trainer: ModelTrainer, name: str) -> HeldOut:
    """Train a model and judge it on the held-out fold, or read how it did."""
    known = _known(trainer.context, name)
    if known is not None:
        return known
    result = _fit(trainer, name)
    content = {"key": _key(trainer.context, name), **asdict(result)}
    write_whole(_held_out_path(trainer.context, name), json.dumps(content))
    return result


def _known(context: RunContext, name: str) -> HeldOut | None:
    """How a model did that is trained and judged."""
    path = _held_out_path(context, name)
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    return HeldOut(**content) if content.pop("key") == _key(context, name) else None


def _key(context: RunContext, name: str) -> str:
    """What a score depends on; the labels and the run's test part are told by the folder."""
    return config_hash({"model": context.model_hash(name), **context.config.predict.tiles})


@contextmanager
def _in_turn(location: str) -> Iterator[None]:
    """Shares that need the same LLR come one by one: the first trains it, the others find it.

    All ranks of a share ask again and again; none waits in a collective, which has a time limit.
    """
    with ExitStack() as held:
        while not of_first_rank(rank_zero_only(_take, default=True)(held, location)):
            time.sleep(_PAUSE_S)
        yield


def _take(held: ExitStack, location: str) -> bool:
    try:
        held.enter_context(hold(location, "search"))
    except LockedError:
        return False
    return True


def _held_out_path(context: RunContext, name: str) -> Path:
    return Path(context.paths.model_dir(name)) / "held_out.json"


def _fit(trainer: ModelTrainer, name: str) -> HeldOut:
    config = trainer.context.config
    # What is wrong with the data or with the LLR is an error; after that, only a loss that is no
    # number any more is left.
    _ = trainer.statistics
    settings = config.models[name]
    if isinstance(settings, AlignedModel) and config.llr_of(name) is not None:
        llr = settings.aligned.llr
        with _in_turn(f"{trainer.context.paths.model_dir(llr)}/search"):
            trainer.train(llr)
    held_out = {"held out": config.split.parts()["test"]}
    try:
        # Not the training loop's validation loss, which is that of the training context: the map
        # is predicted with the exact one, and so are the scores that the run will report.
        predict = trainer.predictor(name).probability
        counts = count_parts(predict, trainer.reader, trainer.index, held_out)["held out"]
    except DataError as error:
        return HeldOut(0.0, 0, str(error))
    return HeldOut(counts.nll_sum, counts.num_labelled)
