"""What the experiments on several events found: one row a model and tested event."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.scores import ScoreCounts

#: Name of the training on all events, in the paper's notation M^ALL.
COMBINED = "ALL"
#: Scores of the paper's spider plots, at threshold 0.5.
SPIDER = ("mcc", "recall", "f1", "precision")


@dataclass(frozen=True)
class TrainedOn:
    """Which model a row is about.

    Attributes:
        model: Its name in the runs.
        training: ``A``, ``ALL``, ``ALL-A``: the paper's superscript; empty: there was none.
        events: What it was trained on.
        pixel_m: The paper's subscript.
        seed: Of weights and samples.
        ablation: What was changed; empty for nothing.
    """

    model: str
    training: str
    events: tuple[str, ...]
    pixel_m: float
    seed: int = 0
    ablation: str = ""


@dataclass(frozen=True)
class EventOutcome:
    """One model on one event.

    Attributes:
        trained: The model.
        event: Tested on: its test part, or all of it where no model was trained on it.
        num_labelled: Pixels that were tested.
        num_positive: Landslide pixels among them.
        scores: ``mcc``, ``f1``, ``precision``, ``recall`` at 0.5, the same with the suffix
            ``_best`` at the threshold best on the validation parts, ``auc``, ``ap``.
        threshold: Best on the validation parts.
        skipped: Why nothing was tested; empty if something was.
    """

    trained: TrainedOn
    event: str
    num_labelled: int = 0
    num_positive: int = 0
    scores: Mapping[str, float] | None = None
    threshold: float = float("nan")
    skipped: str = ""

    @classmethod
    def of(
        cls, trained: TrainedOn, event: str, counts: ScoreCounts, threshold: float
    ) -> "EventOutcome":
        """Scores of counted pixels."""
        scores = kernel.precision_recall_f1_mcc(kernel.confusion_at(counts, 0.5))
        best = kernel.precision_recall_f1_mcc(kernel.confusion_at(counts, threshold))
        scores |= {f"{name}_best": value for name, value in best.items()}
        scores |= {"auc": kernel.auc(counts), "ap": kernel.average_precision(counts)}
        positive, negative = int(counts.positive.sum()), int(counts.negative.sum())
        return cls(trained, event, positive + negative, positive, scores, threshold)

    @property
    def is_seen(self) -> bool:
        """Whether the model was trained on other ground of this event."""
        return self.event in self.trained.events

    def plain(self) -> dict[str, Any]:
        """Plain data, as ``events.json`` holds it."""
        plain = asdict(self)
        trained = plain.pop("trained")
        return {**trained, "events": list(self.trained.events), **plain, "seen": self.is_seen}


@dataclass(frozen=True)
class EventMap:
    """One event as pictures show it.

    Attributes:
        event: Its name.
        pixel_m: Side of a pixel, metres.
        pre: ``(y, x, 3)`` float32 in [0, 1], NaN where masked.
        post: Likewise.
        landslide: ``(y, x)`` uint8: 1, 0, 255 where nothing is known or it was not tested.
        probability: ``(y, x)`` float32 of the combined model, NaN where it says nothing.
    """

    event: str
    pixel_m: float
    pre: NDArray[np.float32]
    post: NDArray[np.float32]
    landslide: NDArray[np.uint8]
    probability: NDArray[np.float32]


@dataclass(frozen=True)
class EventsResult:
    """All that the experiments found.

    Attributes:
        outcomes: Every model on every event.
        unseen: Events that no model was trained on.
        maps: Events under the combined model, at the finest resolution.
        areas_m2: Inventory -> area of each of its landslides.
    """

    outcomes: Sequence[EventOutcome]
    unseen: tuple[str, ...]
    maps: Sequence[EventMap]
    areas_m2: Mapping[str, NDArray[np.float64]]

    def select(
        self,
        model: str,
        training: str,
        event: str,
        pixel_m: float,
        ablation: str = "",
    ) -> list[EventOutcome]:
        """Outcomes of every seed."""
        return [
            outcome
            for outcome in self.outcomes
            if (outcome.trained.model, outcome.trained.training) == (model, training)
            and (outcome.event, outcome.trained.pixel_m) == (event, pixel_m)
            and outcome.trained.ablation == ablation
        ]
