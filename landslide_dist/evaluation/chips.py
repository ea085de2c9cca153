"""Scores of classified chips, as table 1 of the reporting bias paper has them."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from scipy import stats
from sklearn.metrics import accuracy_score, precision_recall_fscore_support, roc_auc_score

#: Names of the scores, as the paper has them; AUC is beside them.
SCORES = ("accuracy", "precision", "recall", "f1", "auc")


@dataclass(frozen=True)
class ChipScores:
    """What a classifier gets right; NaN where a score is not defined.

    Attributes:
        chips: Number of chips.
        landslides: Of them with a landslide.
        accuracy: Share that is right, at a probability of 0.5.
        precision: Share of those called landslides that are.
        recall: Share of landslides that are called so.
        f1: Harmonic mean of the two.
        auc: Area under the receiver operating characteristic.
    """

    chips: int
    landslides: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float

    @classmethod
    def of(cls, labels: NDArray[np.uint8], probability: NDArray[np.float32]) -> "ChipScores":
        """Scores of some chips, ``(chip,)`` each."""
        called = probability >= 0.5
        precision, recall, f1, _ = precision_recall_fscore_support(
            labels, called, average="binary", zero_division=np.nan
        )
        both = 0 < labels.sum() < len(labels)
        return cls(
            len(labels),
            int(labels.sum()),
            float(accuracy_score(labels, called)),
            float(precision),
            float(recall),
            float(f1),
            float(roc_auc_score(labels, probability)) if both else math.nan,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it; None where a score is not defined."""
        return {k: None if math.isnan(v) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ChipScores":
        """What :meth:`to_dict` gave."""
        values: dict[str, Any] = {k: math.nan if v is None else v for k, v in plain.items()}
        return cls(**values)


@dataclass(frozen=True)
class Summary:
    """A score between 0 and 1 over seeds.

    Attributes:
        mean: Of the seeds that have it; NaN where none has.
        low: Lower bound of the mean's interval (Student's t), NaN of a single seed.
        high: Upper bound.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], level: float) -> "Summary":
        """The mean of some values and its interval."""
        known = np.array([value for value in values if not math.isnan(value)])
        if len(known) < 2:
            return cls(float(known[0]) if len(known) else math.nan, math.nan, math.nan)
        mean, error = float(known.mean()), float(stats.sem(known))
        half = error * float(stats.t.ppf((1 + level) / 2, len(known) - 1))
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half))

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "–"
        if math.isnan(self.low):
            return f"{self.mean:.3f}"
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


#: Model, what it is tested on, and the scores, one for each seed.
Rows = Mapping[tuple[str, str], Sequence[ChipScores]]


def summaries(scores: Sequence[ChipScores], level: float) -> dict[str, Summary]:
    """Every score over seeds."""
    return {name: Summary.of([getattr(s, name) for s in scores], level) for name in SCORES}


def table(rows: Rows, level: float, title: str) -> Table:
    """The paper's table 1 for a terminal, a block of rows a model."""
    out = Table(title=title)
    for heading in ("model", "tested on", "chips", *SCORES):
        side: Literal["left", "right"] = "left" if heading in ("model", "tested on") else "right"
        out.add_column(heading, justify=side, no_wrap=True)
    last = None
    for (model, tested), scores in rows.items():
        if last not in (None, model):
            out.add_section()
        cells = [str(summary) for summary in summaries(scores, level).values()]
        out.add_row("" if model == last else model, tested, str(scores[0].chips), *cells)
        last = model
    return out


def table_rows(rows: Rows, level: float) -> list[list[str]]:
    """The same as plain cells, its heading first."""
    lines = [["model", "tested on", "chips", "landslides", *SCORES]]
    for (model, tested), scores in rows.items():
        cells = [str(summary) for summary in summaries(scores, level).values()]
        first = scores[0]
        lines.append([model, tested, str(first.chips), str(first.landslides), *cells])
    return lines


def markdown(rows: Rows, level: float) -> str:
    """The table for a page of text."""
    heading, *lines = table_rows(rows, level)
    ruled = [heading, ["---"] * len(heading), *lines]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in ruled)


def as_csv(rows: Rows, level: float) -> str:
    """The table for a spreadsheet, bounds in columns of their own."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    bounds = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    writer.writerow(["model", "tested_on", "seeds", "chips", "landslides", *bounds])
    for (model, tested), scores in rows.items():
        first = scores[0]
        numbers = [
            f"{number:.6f}"
            for summary in summaries(scores, level).values()
            for number in (summary.mean, summary.low, summary.high)
        ]
        writer.writerow([model, tested, len(scores), first.chips, first.landslides, *numbers])
    return buffer.getvalue()
