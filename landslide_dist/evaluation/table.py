"""The layout of the paper's table 2: method; test error, training error, AUC of each split."""

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from landslide_dist.evaluation.experiment import Summary, differences, leak_of
from landslide_dist.evaluation.score import BASELINES, BEST_REACHABLE

#: Heading, score, whether less is better.
COLUMNS = (
    ("test err", "test_nll", True),
    ("train err", "train_nll", True),
    ("AUC", "test_auc", False),
)
#: Columns whose difference between the kinds of split is shown.
LEAK_COLUMNS = ("test err", "AUC")


@dataclass(frozen=True)
class Cell:
    """A number of the table.

    Attributes:
        value: Mean over divisions, or a difference of two means.
        deviation: Over partitions; None where there is one.
        best: The best trained model of its column.
        signed: Shown with its sign.
    """

    value: float
    deviation: float | None = None
    best: bool = False
    signed: bool = False

    @property
    def mean(self) -> str:
        """The value, three digits; a dash where it is undefined."""
        if math.isnan(self.value):
            return "–"
        return f"{self.value:{'+' if self.signed else ''}.3f}".replace("-", "−")

    @property
    def spread(self) -> str:
        """The deviation, empty where there is none."""
        undefined = self.deviation is None or math.isnan(self.deviation)
        return "" if undefined else f"± {self.deviation:.3f}"

    @property
    def text(self) -> str:
        """Both on one line."""
        return f"{self.mean} {self.spread}".rstrip()


@dataclass(frozen=True)
class Table:
    """Columns by kind of split, then the leak.

    Attributes:
        groups: Heading of each group of columns, and its columns.
        rows: Model and its cells, group after group.
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    @classmethod
    def of(cls, summary: Summary, num_partitions: int) -> "Table":
        """The table of a summary."""
        groups = [(f"{kind} split", tuple(h for h, _, _ in COLUMNS)) for kind in summary]
        models = list(next(iter(summary.values())))
        rows = {model: _cells(summary, model, num_partitions) for model in models}
        pair = leak_of(summary)
        if pair is not None:
            groups.append((f"{pair[1]} − {pair[0]}", LEAK_COLUMNS))
            leak = differences(summary)
            for model in models:
                rows[model] += [
                    Cell(leak[model][score], signed=True)
                    for heading, score, _ in COLUMNS
                    if heading in LEAK_COLUMNS
                ]
        return cls(tuple(groups), tuple((model, tuple(cells)) for model, cells in rows.items()))

    @property
    def headings(self) -> list[tuple[str, str]]:
        """Group and name of every column after the first."""
        return [(group, name) for group, names in self.groups for name in names]

    def markdown(self) -> str:
        """A pipe table; the best trained model of a column is bold, as in the paper."""
        lines = [
            _line(["method", *(f"{group}: {name}" for group, name in self.headings)]),
            _line(["---", *["---:"] * len(self.headings)]),
        ]
        for model, cells in self.rows:
            lines.append(_line([model, *(f"**{c.text}**" if c.best else c.text for c in cells)]))
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """Comma-separated, all digits; deviations in columns of their own where there are any."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        first = self.rows[0][1]
        names = [f"{group} {name}".replace("−", "minus") for group, name in self.headings]
        deviating = [
            (name, f"{name} deviation") if cell.deviation is not None else (name,)
            for name, cell in zip(names, first, strict=True)
        ]
        writer.writerow(["method", *(n.replace(" ", "_") for pair in deviating for n in pair)])
        for model, cells in self.rows:
            writer.writerow([model, *(number for cell in cells for number in _numbers(cell))])
        return text.getvalue()


def is_rival(model: str) -> bool:
    """Whether a row is of a model that was trained."""
    return model != BEST_REACHABLE and model not in BASELINES


def _cells(summary: Summary, model: str, num_partitions: int) -> list[Cell]:
    return [
        Cell(
            summary[kind][model][score][0],
            summary[kind][model][score][1] if num_partitions > 1 else None,
            is_rival(model) and summary[kind][model][score][0] == _best(summary, kind, score, less),
        )
        for kind in summary
        for _, score, less in COLUMNS
    ]


def _best(summary: Summary, kind: str, score: str, less: bool) -> float | None:
    values = [
        scores[score][0]
        for model, scores in summary[kind].items()
        if is_rival(model) and not math.isnan(scores[score][0])
    ]
    return (min if less else max)(values, default=None)


def _numbers(cell: Cell) -> list[str]:
    values = [cell.value] if cell.deviation is None else [cell.value, cell.deviation]
    return ["" if math.isnan(value) else repr(value) for value in values]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
