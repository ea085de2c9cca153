"""The jobs of a whole run, in order: what each calls, and what it waits for."""

from dataclasses import dataclass
from typing import Literal

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import AnyConfig
from landslide_dist.config.run import RunConfig
from landslide_dist.errors import ConfigError

Size = Literal["prepare", "train", "predict", "experiment", "report"]


@dataclass(frozen=True)
class Step:
    """One job; it begins when the one before it has ended well.

    Attributes:
        name: Of the job.
        size: Which size of the cluster's ``pipeline`` it has, and how its commands are started.
        commands: Words after ``landslide-dist``; the config's path follows the first of them.
        parts: Jobs that each do a part of the command, at the same time; 0: it is one job.
    """

    name: str
    size: Size
    commands: tuple[tuple[str, ...], ...]
    parts: int = 0


#: Commands that Dask workers can help with.
ON_DASK = frozenset({"ingest", "derive"})


def steps_of(config: AnyConfig) -> tuple[Step, ...]:
    """The jobs of a run.

    Raises:
        ConfigError: Several events, which have no run of their own.
    """
    if isinstance(config, EventsConfig):
        raise ConfigError("several events are an experiment: give --experiment N, jobs to share it")
    if isinstance(config, ChipsConfig):
        scenes = (("predict",),) if config.scenes else ()
        bias = (("bias",),) if config.bias is not None else ()
        steps = (
            Step("train", "train", (("train",),)),
            Step("predict", "predict", scenes),
            Step("report", "report", (("evaluate",), ("report",), *bias)),
        )
        return tuple(step for step in steps if step.commands)
    return (
        Step("prepare", "prepare", (("ingest",), ("derive",), ("split",))),
        Step("train", "train", (("train",),)),
        Step("predict", "predict", (("predict",),)),
        Step("report", "report", (("evaluate",), ("report",))),
    )


def steps_of_experiment(config: AnyConfig, parts: int) -> tuple[Step, ...]:
    """The jobs of a run's experiment, of which so many share the trainings."""
    prepared: tuple[tuple[str, ...], ...] = (("experiment", "--prepare"),)
    if not isinstance(config, EventsConfig | ChipsConfig):
        prepared = (("ingest",), ("derive",), *prepared)
    return (
        Step("prepare", "prepare", prepared),
        Step("experiment", "experiment", (("experiment",),), parts),
        Step("report", "report", (("experiment",),)),
    )


def steps_of_search(config: AnyConfig, parts: int) -> tuple[Step, ...]:
    """The jobs of a run's search, of which so many share the fits.

    Raises:
        ConfigError: Only the run of one region has a search.
    """
    if not isinstance(config, RunConfig):
        raise ConfigError("--search is for the run of one region")
    command = (("search",),)
    prepared = (("ingest",), ("derive",), ("split",), ("search", "--prepare"))
    steps = [Step("prepare", "prepare", prepared), Step("search", "experiment", command, parts)]
    if any(config.llr_of(name) for name in config.models):
        # These build on the best LLR, so they come when all of its fits are there.
        steps.append(Step("uphill", "experiment", command, parts))
    return (*steps, Step("report", "report", command))
