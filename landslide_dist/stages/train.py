"""``train``: the models of a run, those that others need first."""

from collections.abc import Iterable, Sequence

from landslide_dist.config import RunConfig
from landslide_dist.errors import ConfigError
from landslide_dist.progress import stage
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.events.train import EventTrainer
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.training.resume import notice_between_trainings


@stage
def train(config: RunConfig, only: Sequence[str] | None = None) -> None:
    """Train the models of a run; those that are up to date are left alone.

    Args:
        config: The run.
        only: Names of the models to train; None for all.

    Raises:
        ConfigError: A model sees across the split's buffer, or needs an LLR that is not trained.
        StoreError: ``derive`` or ``split`` has not run.
    """
    trainer = trainer_of(RunContext(config))
    with notice_between_trainings():
        for name in chosen_models(config.training_order(), only):
            trainer.train(name)


def chosen_models(names: Iterable[str], only: Sequence[str] | None) -> list[str]:
    """Names of the models that a command is about, in the order of ``names``: all of the run's.

    Raises:
        ConfigError: One of ``only`` is not in the run.
    """
    models = list(names)
    for name in only or ():
        if name not in models:
            raise ConfigError(f"model {name!r} is not in the run ({', '.join(models)})")
    return [name for name in models if only is None or name in only]


def trainer_of(context: RunContext, quiet: bool = False) -> ModelTrainer:
    """The trainer of a run's task."""
    if context.config.task == "event_mapping":
        return EventTrainer(context, quiet, (context,))
    return ModelTrainer(context, quiet)
