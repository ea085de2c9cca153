"""``experiment`` on several events: single-area, combined, unseen-area and leave-one-out models.

The models are those of Prakash et al. 2021: every event alone, all of them together, and all but
one, at every base resolution; each is tested on every event. What is there is not made again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from landslide_dist.config import RunConfig
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.config.run import config_hash
from landslide_dist.config.share import Share
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.cores import count_windows, keep_counts, kept_counts
from landslide_dist.evaluation.events import (
    COMBINED,
    EventMap,
    EventOutcome,
    EventsResult,
    TrainedOn,
)
from landslide_dist.evaluation.events_page import render_events
from landslide_dist.evaluation.events_table import events_table
from landslide_dist.evaluation.metrics import null_for_nan
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.kernels.scores import ScoreCounts, best_threshold
from landslide_dist.progress import console, stage, track
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.events.maps import areas_m2, tested_map
from landslide_dist.stages.events.train import PLANES, EventTrainer
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.reference import unmatched, write_training_reference
from landslide_dist.stages.split import split, split_hash
from landslide_dist.store import cube
from landslide_dist.training.ranks import check_starts_alone, is_first_rank
from landslide_dist.whole_file import write_whole


@stage
def experiment_on_events(config: EventsConfig, share: Share | None = None) -> list[EventOutcome]:
    """Prepare every event, train every model, test it on every event.

    Writes ``events.json``, ``events.md``, ``events.csv`` and ``events.html`` below ``run_dir``.

    Args:
        config: The experiments.
        share: Only this share of the trainings, and neither table nor page.

    Raises:
        ConfigError: A part of an event is left without labels, or no event has a whole tile.
        DataError: Events differ in their bands.
    """
    check_starts_alone("experiment")
    skipped = prepare(config)
    trainings = list(_trainings(config, skipped))
    if not trainings:
        raise ConfigError(
            "no event that trains is as large as one tile: give smaller patches.core_px or "
            f"pixel_sizes_m ({'; '.join(sorted(set(skipped.values())))})"
        )
    taken = trainings if share is None else share.of(trainings)
    outcomes: list[EventOutcome] = []
    for training in track(iter(taken), "experiment", total=len(taken)):
        outcomes += training.outcomes()
    if share is not None:
        return outcomes
    outcomes += _skipped(config, skipped)
    if is_first_rank():
        finest = min(config.pixel_sizes_m)
        drawn = min(trainings, key=lambda t: (t.pixel_m != finest, t.name != COMBINED, t.seed))
        maps = [drawn.map(event) for event in drawn.tested]
        areas = {event: areas_m2(drawn.contexts[event]) for event in drawn.tested}
        _write(config, EventsResult(outcomes, config.unseen, maps, areas))
    return outcomes


def _write(config: EventsConfig, result: EventsResult) -> None:
    folder = Path(config.run_dir)
    rows = [outcome.plain() for outcome in result.outcomes]
    write_whole(folder / "events.json", json.dumps(null_for_nan({"rows": rows}), indent=1))
    table = events_table(result)
    write_whole(folder / "events.md", table.markdown())
    write_whole(folder / "events.csv", table.csv())
    write_whole(folder / "events.html", render_events(config.name, result, to_yaml(config)))
    console.print(f"experiment: {folder}/events.html, events.json, events.md, events.csv")


#: (event, pixel size) -> why it is left out.
Skipped = Mapping[tuple[str, float], str]


def prepare(config: EventsConfig) -> dict[tuple[str, float], str]:
    """Cubes and splits of all events at all resolutions; which are too small to be trained on."""
    skipped = {}
    for pixel_m in config.pixel_sizes_m:
        runs = {event: config.run(event, pixel_m) for event in config.events}
        for event in config.events:
            ingest(runs[event])
            if reason := _too_small(runs[event]):
                skipped[event, pixel_m] = reason
                del runs[event]
        trained = [runs[event] for event in config.trained_on if event in runs]
        if not trained:
            continue
        if config.matching:
            # All images are matched to the training parts, so these are divided off first.
            for run in trained:
                derive(unmatched(run))
            write_training_reference(trained, config.reference(pixel_m))
        for run in runs.values():
            derive(run)
            split(run)
    return skipped


def _too_small(run: RunConfig) -> str:
    """Why an event cannot be trained on; empty where it can."""
    height, width = cube.read_grid(run.cube.location).shape
    if min(height, width) >= run.patches.core_px:
        return ""
    return f"{height} x {width} px are less than one tile of {run.patches.core_px} px"


@dataclass(frozen=True)
class Training:
    """Models of one set of events, at one resolution, with one seed.

    Attributes:
        config: The experiments.
        name: ``A``, ``ALL``, ``ALL-A``.
        events: Trained on.
        tested: Events that are large enough to be tested on.
        pixel_m: Base resolution.
        seed: Of weights and samples.
        ablation: Name of what is changed; empty for nothing.
    """

    config: EventsConfig
    name: str
    events: tuple[str, ...]
    tested: tuple[str, ...]
    pixel_m: float
    seed: int
    ablation: str = ""

    def outcomes(self) -> list[EventOutcome]:
        """Train, or take what is there, and test on every event."""
        outcomes = []
        for model in self.trainer.context.config.models:
            place = (model, self.name, self.events, self.pixel_m, self.seed, self.ablation)
            trained = TrainedOn(*place)
            counts = {event: self._counts(model, event) for event in self.tested}
            validation = ScoreCounts.zero()
            for event in self.events:
                validation += counts[event]["validation"]
            threshold = best_threshold(validation)
            outcomes += [
                EventOutcome.of(trained, event, counts[event]["test"], threshold)
                for event in self.tested
            ]
        return outcomes

    @cached_property
    def contexts(self) -> dict[str, RunContext]:
        """The run of every tested event, with this training's seed and changes."""
        changes = self.config.ablations.get(self.ablation)
        return {
            event: RunContext(self.config.run(event, self.pixel_m, self.seed, changes))
            for event in self.tested
        }

    @cached_property
    def trainer(self) -> EventTrainer:
        """Trains on the events together, in a folder of its own."""
        events = tuple(self.contexts[event] for event in self.events)
        parts = (self.ablation.replace(" ", "_"), self.name, f"{self.pixel_m:g}m", f"{self.seed}")
        folder = f"{self.config.run_dir}/trainings/{'-'.join(part for part in parts if part)}"
        own = events[0].config.model_copy(update={"run_dir": folder})
        return EventTrainer(RunContext(own), True, events)

    def predictor(self, model: str, event: str) -> TiledPredictor:
        """A trained model on one event."""
        context = self.contexts[event]
        reader = context.reader(PLANES)
        return TiledPredictor.of_model(self.trainer.train(model), reader, context.config.predict)

    def map(self, event: str) -> EventMap:
        """An event under the first of the models."""
        context = self.contexts[event]
        predictor = self.predictor(next(iter(context.config.models)), event)
        return tested_map(context, predictor.probability)

    def _counts(self, model: str, event: str) -> dict[str, ScoreCounts]:
        """Of the validation and test parts of an event; unseen ones are all test."""
        context = self.contexts[event]
        parts = context.config.split.parts()
        wanted = {part: parts[part] for part in ("validation", "test")}
        path = f"{self.trainer.context.config.run_dir}/scores/{model}-{event}.npz"
        key = config_hash(
            {
                "model": self.trainer.fingerprint(model),
                "split": split_hash(context),
                "predict": context.config.predict.model_dump(mode="json"),
                "cube": context.derive_hash,
            }
        )
        counts = kept_counts(path, key)
        if counts is None:
            predictor = self.predictor(model, event)
            windows = cube.shard_windows(context.config.cube.location)
            reader = context.reader(PLANES)
            counts = count_windows(predictor.probability, reader, windows, wanted)
            keep_counts(path, key, counts)
        return counts


def _trainings(config: EventsConfig, skipped: Skipped) -> Iterator[Training]:
    for pixel_m in config.pixel_sizes_m:
        tested = tuple(event for event in config.events if (event, pixel_m) not in skipped)
        for seed in config.seeds:
            for name, events in config.trainings().items():
                left = tuple(event for event in events if event in tested)
                if left:
                    yield Training(config, name, left, tested, pixel_m, seed)
                if left and name == COMBINED:
                    for ablation in config.ablations:
                        yield Training(config, name, left, tested, pixel_m, seed, ablation)


def _skipped(config: EventsConfig, skipped: Skipped) -> list[EventOutcome]:
    outcomes = []
    for (event, pixel_m), reason in skipped.items():
        # No model would have been trained on an unseen one.
        training, events = ("", ()) if event in config.unseen else (event, (event,))
        for model in config.run(event, pixel_m).models:
            for seed in config.seeds:
                trained = TrainedOn(model, training, events, pixel_m, seed)
                outcomes.append(EventOutcome(trained, event, skipped=reason))
    return outcomes
