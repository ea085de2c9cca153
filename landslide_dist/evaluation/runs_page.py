"""The page that sets several runs side by side, from their ``metrics.json`` and maps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from landslide_dist.evaluation import maps
from landslide_dist.evaluation.drawing import FAINT, line_styles, new_figure, png, style
from landslide_dist.evaluation.figures import SIZE_IN, legend
from landslide_dist.evaluation.ground import probability_norm
from landslide_dist.evaluation.overview import Overview
from landslide_dist.evaluation.report import Picture, page
from landslide_dist.evaluation.score import BASELINES, BEST_REACHABLE
from landslide_dist.evaluation.sections import number

#: Heading, score, whether less is better.
COLUMNS = (
    ("NLL", "nll", True),
    ("AUC", "auc", False),
    ("AP", "ap", False),
    ("Brier", "brier", True),
    ("ECE", "ece", True),
)
#: Longest text of a setting that a table shows whole.
LONGEST_SETTING = 60


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: Its title.
        metrics: Its ``metrics.json``.
        cube_location: Its cube.
        predictions: Model -> group of its map.
        settings: The whole configuration as plain data.
    """

    name: str
    metrics: Mapping[str, Any]
    cube_location: str
    predictions: Mapping[str, str]
    settings: Mapping[str, Any]

    def renamed(self, name: str) -> "Run":
        """The same run under another title."""
        return replace(self, name=name)

    @property
    def best(self) -> str:
        """The trained model with the lowest test NLL; a baseline where there is nothing else."""
        names = [name for name in self.predictions if name not in BASELINES]
        return min(names or list(self.predictions), key=self._test_nll)

    def _test_nll(self, model: str) -> float:
        value = (self.metrics["models"][model].get("test") or {}).get("nll")
        return math.inf if value is None else float(value)


def render_runs(runs: Sequence[Run]) -> str:
    """The page as HTML text without any outside resource.

    Args:
        runs: Two or more, of different names.
    """
    names = [run.name for run in runs]
    return page(
        "runs.html.j2",
        title=" · ".join(names),
        names=names,
        columns=[heading for heading, _, _ in COLUMNS],
        rows=_rows(runs),
        same_pixels=_same_pixels(runs),
        settings=settings_that_differ(runs),
        curves=_curves(runs),
        maps=_maps(runs),
        config="\n".join(f"{run.name}: {run.settings['run_dir']}" for run in runs),
    )


def settings_that_differ(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Settings that are not the same in all runs; names and places of the runs aside."""
    flat = [_flat(run.settings) for run in runs]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    return [
        {"key": key, "values": [_short(settings.get(key, "–")) for settings in flat]}
        for key in keys
        if key not in ("name", "run_dir")
        and len({repr(settings.get(key)) for settings in flat}) > 1
    ]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        flat: dict[str, Any] = {}
        for key, inner in value.items():
            flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: value}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_SETTING else text[: LONGEST_SETTING - 1] + "…"


def _same_pixels(runs: Sequence[Run]) -> bool:
    """Whether all runs are scored on the same test pixels: the same cube, split and parts."""
    made_of = [run.metrics["run"]["made_of"] for run in runs]
    return all(one[key] == made_of[0][key] for one in made_of for key in ("cube", "split", "parts"))


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row for each model of each run."""
    rows = [
        {"run": run.name, "model": model, "test": parts.get("test") or {}}
        for run in runs
        for model, parts in run.metrics["models"].items()
    ]
    trained = [r for r in rows if r["model"] not in (*BASELINES, BEST_REACHABLE)]
    best = {
        key: (min if less else max)(found)
        for _, key, less in COLUMNS
        if (found := [r["test"][key] for r in trained if r["test"].get(key) is not None])
    }
    return [
        {
            "run": row["run"],
            "model": row["model"],
            "kind": _kind(str(row["model"])),
            "first": index == 0 or rows[index - 1]["run"] != row["run"],
            "cells": [
                {
                    "text": number(row["test"].get(key)),
                    "interval": _interval(row["test"], key),
                    "best": row in trained
                    and row["test"].get(key) is not None
                    and row["test"][key] == best.get(key),
                }
                for _, key, _ in COLUMNS
            ],
        }
        for index, row in enumerate(rows)
    ]


def _kind(model: str) -> str:
    return "baseline" if model in (*BASELINES, BEST_REACHABLE) else "model"


def _interval(test: Mapping[str, Any], key: str) -> str:
    low, high = test.get("intervals", {}).get(key) or (None, None)
    return "" if low is None or high is None else f"{low:.3f} – {high:.3f}"


def _curves(runs: Sequence[Run]) -> list[Picture]:
    text = "The best model of each run, on its test part."
    return [
        Picture("ROC", text, _overlaid(runs, "roc")),
        Picture("Prediction rate", text, _overlaid(runs, "prediction_rate")),
    ]


def _overlaid(runs: Sequence[Run], kind: str) -> bytes:
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    is_roc = kind == "roc"
    title, x, y = (
        ("ROC, test", "false positive rate", "true positive rate")
        if is_roc
        else ("Prediction rate, test", "share of the area, most susceptible first",
              "share of the landslides in it")
    )  # fmt: skip
    style(axes, title, x, y)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    for run, line in zip(runs, line_styles([f"{run.name} " for run in runs]).values(), strict=True):
        _draw(axes, run, kind, line)
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    if not is_roc:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend(axes, "area under the curve", "lower right")
    return png(figure)


def _draw(axes: Axes, run: Run, kind: str, line: Mapping[str, Any]) -> None:
    curve = run.metrics["curves"][run.best].get(kind)
    if curve is None or curve["area_under"] is None:
        return
    x, y = (
        ("false_positive_rate", "true_positive_rate")
        if kind == "roc"
        else ("area_share", "landslide_share")
    )
    label = f"{run.name}, {run.best}  {curve['area_under']:.3f}"
    axes.plot([0, *curve[x]], [0, *curve[y]], label=label, **line)


def _maps(runs: Sequence[Run]) -> list[Picture]:
    """The best map of each run, on one colour scale."""
    shown = [
        Overview.of(run.cube_location).mean("probability", run.predictions[run.best])
        for run in runs
    ]
    norm = probability_norm(shown)
    return [
        Picture(
            f"{run.name}: {run.best}",
            "One colour scale for all runs.",
            maps.susceptibility_map(
                run.cube_location,
                run.predictions[run.best],
                run.best,
                norm,
                probability,
                SIZE_IN[0],
            ),
        )
        for run, probability in zip(runs, shown, strict=True)
    ]
