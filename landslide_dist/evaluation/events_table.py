"""The event experiments as tables: MCC of every model on every event, and all scores below."""

import csv
import io
import math
from dataclasses import dataclass, replace

from landslide_dist.evaluation.events import EventsResult
from landslide_dist.evaluation.events_summary import (
    Mean,
    ModelRow,
    model_names,
    model_rows,
    tested_events,
)
from landslide_dist.evaluation.table import Cell, Table

#: Columns of the long table; those after the first four are of its file alone.
SCORES = ("mcc", "f1", "precision", "recall", "mcc_best", "auc", "ap")
HEADINGS = {"mcc": "MCC", "f1": "F1", "precision": "precision", "recall": "recall"}


@dataclass(frozen=True)
class LongRow:
    """A model on an event.

    Attributes:
        row: The model; None for an unseen event that is left out.
        event: Tested on.
        pixel_m: Base resolution.
        is_seen: Whether other ground of the event was trained on.
        num_labelled: Pixels that were tested.
        num_positive: Landslide pixels among them.
        scores: Score -> its mean over seeds, of ``SCORES``.
        skipped: Why nothing was tested; empty if something was.
    """

    row: ModelRow | None
    event: str
    pixel_m: float
    is_seen: bool = False
    num_labelled: int = 0
    num_positive: int = 0
    scores: dict[str, Mean] | None = None
    skipped: str = ""


@dataclass(frozen=True)
class EventsTable:
    """Tables of the event experiments.

    Attributes:
        mcc: A row a model, a column an event; MCC at threshold 0.5, mean over seeds.
        rows: The models of ``mcc``.
        seen: For each of ``rows`` the events that it was trained on.
        long: All scores, a row a model and event.
        notes: What was left out, and why.
    """

    mcc: Table
    rows: tuple[ModelRow, ...]
    seen: tuple[frozenset[str], ...]
    long: tuple[LongRow, ...]
    notes: tuple[str, ...]

    def markdown(self) -> str:
        """Both tables with notes; the best model of an event is bold."""
        lines = ["MCC at threshold 0.5.", "", self.mcc.markdown()]
        if self.notes:
            lines += [*(f"- {note}" for note in self.notes), ""]
        cells = [
            list(self.headings),
            ["---", "---", *["---:"] * len(HEADINGS), "---"],
            *self.lines(),
        ]
        lines += [f"| {' | '.join(line)} |" for line in cells]
        return "\n".join(lines) + "\n"

    @property
    def headings(self) -> tuple[str, ...]:
        """Of ``lines``."""
        return ("model", "event", *HEADINGS.values(), "note")

    def lines(self) -> list[list[str]]:
        """The long table as text: MCC, F1, precision, recall, and why something is left out."""
        return [
            [
                "–" if one.row is None else _name(one.row, self._has_several),
                f"{one.event}, {one.pixel_m:g} m" if one.row is None else one.event,
                *(_cell(one.scores[key]).text if one.scores else "–" for key in HEADINGS),
                one.skipped,
            ]
            for one in self.long
        ]

    def csv(self) -> str:
        """The long table with all digits, deviations over seeds in columns of their own."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        head = ["model", "training", "pixel_m", "ablation", "event", "seen", "seeds",
                "num_labelled", "num_positive"]  # fmt: skip
        names = [name for score in SCORES for name in (score, f"{score}_deviation")]
        writer.writerow([*head, *names, "skipped"])
        for one in self.long:
            row = one.row or ModelRow("", "", one.pixel_m)
            scores = one.scores or {}
            means = [scores.get(key, Mean.of(())) for key in SCORES]
            num_seeds = means[0].num
            writer.writerow(
                [row.model, row.training, f"{one.pixel_m:g}", row.ablation, one.event]
                + [str(one.is_seen).lower(), num_seeds, one.num_labelled, one.num_positive]
                + [_digits(v) for mean in means for v in (mean.value, mean.deviation)]
                + [one.skipped]
            )
        return text.getvalue()

    @property
    def _has_several(self) -> bool:
        return len({row.model for row in self.rows}) > 1


def events_table(result: EventsResult) -> EventsTable:
    """The tables of what was found."""
    rows = tuple(model_rows(result))
    long = [_long_row(result, row, event) for row in rows for event in _events(result)]
    left_out = {
        (outcome.event, outcome.trained.pixel_m): outcome.skipped
        for outcome in result.outcomes
        if outcome.skipped
    }
    unseen = [
        LongRow(None, event, pixel_m, skipped=reason)
        for (event, pixel_m), reason in left_out.items()
        if event in result.unseen
    ]
    return EventsTable(
        _mcc_table(result, rows),
        rows,
        tuple(_trained_on(result, row) for row in rows),
        tuple([row for row in long if row is not None] + unseen),
        tuple(
            f"{event} at {pixel_m:g} m is left out: {why}"
            for (event, pixel_m), why in left_out.items()
        ),
    )


def _events(result: EventsResult) -> list[str]:
    trained, unseen = tested_events(result)
    return [*trained, *unseen]


def _mcc_table(result: EventsResult, rows: tuple[ModelRow, ...]) -> Table:
    trained, unseen = tested_events(result)
    means = [[row.mean(result, event) for event in (*trained, *unseen)] for row in rows]
    best = [
        max((m.value for m in column if not math.isnan(m.value)), default=None)
        for column in zip(*means, strict=True)
    ]
    cells = [
        tuple(
            replace(_cell(mean), best=mean.value == top)
            for mean, top in zip(line, best, strict=True)
        )
        for line in means
    ]
    several = len(model_names(result)) > 1
    groups = (("trained on", tuple(trained)), ("unseen", tuple(unseen)))
    return Table(
        tuple(group for group in groups if group[1]),
        tuple((_name(row, several), line) for row, line in zip(rows, cells, strict=True)),
    )


def _long_row(result: EventsResult, row: ModelRow, event: str) -> LongRow | None:
    outcomes = row.outcomes(result, event)
    if not outcomes:
        return None
    first = outcomes[0]
    if first.skipped:
        return LongRow(row, event, row.pixel_m, skipped=first.skipped)
    return LongRow(
        row,
        event,
        row.pixel_m,
        first.is_seen,
        first.num_labelled,
        first.num_positive,
        {score: row.mean(result, event, score) for score in SCORES},
    )


def _trained_on(result: EventsResult, row: ModelRow) -> frozenset[str]:
    return frozenset(
        outcome.event
        for event in _events(result)
        for outcome in row.outcomes(result, event)
        if outcome.is_seen
    )


def _name(row: ModelRow, several: bool) -> str:
    """The paper's symbol, after the model's own name where there are several."""
    return f"{row.model} {row.name}" if several else row.name


def _cell(mean: Mean) -> Cell:
    return Cell(mean.value, None if math.isnan(mean.deviation) else mean.deviation)


def _digits(value: float) -> str:
    return "" if math.isnan(value) else repr(value)
