"""Rows and means of the event experiments: what table, figures and page are made of."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from landslide_dist.evaluation.events import COMBINED, EventOutcome, EventsResult

#: Scores that are 0 where a model calls nothing a landslide though there are some.
_ZERO_WITHOUT_CALLS = ("mcc", "precision", "f1")


class Mean(NamedTuple):
    """A score over seeds.

    Attributes:
        value: Mean; NaN where the score is undefined or nothing was tested.
        deviation: Sample standard deviation; NaN with one seed.
        num: Seeds.
    """

    value: float
    deviation: float
    num: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Mean":
        """Mean and deviation of some values."""
        found = list(values)
        deviation = float(np.std(found, ddof=1)) if len(found) > 1 else float("nan")
        return cls(float(np.mean(found)) if found else float("nan"), deviation, len(found))


@dataclass(frozen=True)
class ModelRow:
    """A trained model, whatever its seed.

    Attributes:
        model: Its name in the runs.
        training: ``A``, ``ALL``, ``ALL-A``: the paper's superscript.
        pixel_m: The paper's subscript.
        ablation: What was changed; empty for nothing.
    """

    model: str
    training: str
    pixel_m: float
    ablation: str = ""

    @property
    def name(self) -> str:
        """As the paper writes it: ``M^ALL_10``; an ablation after it."""
        name = f"M^{self.training}_{self.pixel_m:g}"
        return f"{name}, {self.ablation}" if self.ablation else name

    @property
    def symbol(self) -> str:
        """The same in Matplotlib's notation of formulas."""
        training = self.training.replace("_", r"\_").replace("-", "}-\\mathrm{")
        return rf"$M^{{\mathrm{{{training}}}}}_{{{self.pixel_m:g}}}$"

    @property
    def label(self) -> str:
        """Without the resolution, for pictures of one."""
        return self.ablation or self.training.replace("-", "−")

    def outcomes(self, result: EventsResult, event: str) -> list[EventOutcome]:
        """Of every seed on an event, those that were skipped among them."""
        return result.select(self.model, self.training, event, self.pixel_m, self.ablation)

    def by_seed(self, result: EventsResult, event: str, score: str = "mcc") -> dict[int, float]:
        """Seed -> score on an event."""
        return {
            outcome.trained.seed: score_of(outcome, score)
            for outcome in self.outcomes(result, event)
            if not outcome.skipped
        }

    def mean(self, result: EventsResult, event: str, score: str = "mcc") -> Mean:
        """A score on an event over seeds."""
        return Mean.of(self.by_seed(result, event, score).values())


def score_of(outcome: EventOutcome, score: str) -> float:
    """A score; 0 instead of undefined for a model that finds none of the landslides there are."""
    value = (outcome.scores or {}).get(score)
    if value is None or math.isnan(value):
        both = 0 < outcome.num_positive < outcome.num_labelled
        return 0.0 if both and score in _ZERO_WITHOUT_CALLS else float("nan")
    return float(value)


def model_names(result: EventsResult) -> list[str]:
    """Names of the models in the runs, as they come."""
    return list(dict.fromkeys(outcome.trained.model for outcome in result.outcomes))


def pixel_sizes_m(result: EventsResult) -> list[float]:
    """Base resolutions, finest first."""
    return sorted({outcome.trained.pixel_m for outcome in result.outcomes})


def tested_events(result: EventsResult) -> tuple[list[str], list[str]]:
    """Events that models were trained on, and the unseen ones, as they come."""
    events = list(dict.fromkeys(outcome.event for outcome in result.outcomes))
    return (
        [event for event in events if event not in result.unseen],
        [event for event in events if event in result.unseen],
    )


def model_rows(result: EventsResult) -> list[ModelRow]:
    """All trained models: by resolution, then single, combined, ablations, leave-one-out."""
    trained = (outcome.trained for outcome in result.outcomes)
    rows = dict.fromkeys(
        ModelRow(one.model, one.training, one.pixel_m, one.ablation)
        for one in trained
        # An unseen event that is too small to be tested on is no training.
        if one.training
    )
    models, known = model_names(result), tested_events(result)[0]

    def place(row: ModelRow) -> tuple[float, int, int, int]:
        event = row.training.removeprefix(f"{COMBINED}-")
        kind = (is_single(row), row.training == COMBINED and not row.ablation, bool(row.ablation))
        order = kind.index(True) if any(kind) else len(kind)
        return (
            row.pixel_m,
            models.index(row.model),
            order,
            (known.index(event) if event in known else 0),
        )

    return sorted(rows, key=place)


def is_single(row: ModelRow) -> bool:
    """Whether it was trained on one event."""
    return row.training.partition("-")[0] != COMBINED


def is_left_out(row: ModelRow) -> bool:
    """Whether it was trained on all events but one."""
    return row.training.startswith(f"{COMBINED}-")


def select_rows(
    result: EventsResult, model: str, pixel_m: float
) -> tuple[ModelRow, list[ModelRow], list[ModelRow], list[ModelRow]]:
    """The combined model of a resolution, the single ones, ablations, leave-one-out models."""
    rows = [r for r in model_rows(result) if (r.model, r.pixel_m) == (model, pixel_m)]
    return (
        ModelRow(model, COMBINED, pixel_m),
        [row for row in rows if is_single(row)],
        [row for row in rows if row.ablation],
        [row for row in rows if is_left_out(row)],
    )


def differences(
    result: EventsResult, row: ModelRow, reference: ModelRow, event: str
) -> dict[int, float]:
    """Seed -> MCC of a model on an event less that of another, of seeds that both have."""
    ours, theirs = row.by_seed(result, event), reference.by_seed(result, event)
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def mean_over_events(result: EventsResult, row: ModelRow, events: Sequence[str]) -> Mean:
    """The events' mean MCC, over seeds that were tested on all of them."""
    by_seed = [row.by_seed(result, event) for event in events]
    by_seed = [scores for scores in by_seed if scores]
    seeds = set.intersection(*(set(scores) for scores in by_seed)) if by_seed else set()
    return Mean.of(float(np.mean([scores[seed] for scores in by_seed])) for seed in sorted(seeds))


@dataclass(frozen=True)
class Gain:
    """What training on all events gains on an unseen one, with one seed.

    Attributes:
        model: Name in the runs.
        pixel_m: Base resolution.
        seed: Of the models.
        event: Unseen.
        combined: MCC of the combined model.
        singles: Single-area model -> its MCC.
    """

    model: str
    pixel_m: float
    seed: int
    event: str
    combined: float
    singles: dict[str, float]

    @property
    def over_mean(self) -> float:
        """Combined less the mean of the single-area models."""
        return self.combined - float(np.mean(list(self.singles.values())))

    @property
    def over_best(self) -> float:
        """Combined less the best of the single-area models, known only after the test."""
        return self.combined - max(self.singles.values())


def gains(result: EventsResult) -> list[Gain]:
    """Every unseen event, resolution and seed with a combined and all single-area models."""
    found = []
    for pixel_m in pixel_sizes_m(result):
        for model in model_names(result):
            combined, singles, _, _ = select_rows(result, model, pixel_m)
            for event in tested_events(result)[1]:
                scores = {row.training: row.by_seed(result, event) for row in singles}
                scores = {name: values for name, values in scores.items() if values}
                for seed, value in combined.by_seed(result, event).items():
                    alone = {name: one[seed] for name, one in scores.items() if seed in one}
                    if alone and all(map(math.isfinite, (value, *alone.values()))):
                        found.append(Gain(model, pixel_m, seed, event, value, alone))
    return found


def gain_sentence(found: Sequence[Gain]) -> str:
    """What the gains of one model at one resolution say, in plain words, whichever way."""
    over_mean = [one.over_mean for one in found]
    over_best = [one.over_best for one in found]
    change = float(np.mean(over_mean))
    combined = float(np.mean([one.combined for one in found]))
    alone = combined - change
    better, best = sum(v > 0 for v in over_mean), sum(v > 0 for v in over_best)
    verdict = "higher" if change > 0 else "lower"
    size = f"{abs(change):.3f} {verdict} than" if abs(change) >= 0.0005 else "the same as"
    events, seeds = ({getattr(one, key) for one in found} for key in ("event", "seed"))
    return (
        f"At {found[0].pixel_m:g} m the mean MCC of the combined model is {size} that of the "
        f"single-area models: {combined:.3f} against {alone:.3f} (events: {len(events)}, seeds: "
        f"{len(seeds)}). It beats their mean in {better} of {len(found)} cases, and the best of "
        f"them, which is known only after the test, in {best}."
    )
