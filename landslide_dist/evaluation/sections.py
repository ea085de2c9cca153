"""Tables of the report, as rows of text: comparison of models, calibration, classes, strata."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from landslide_dist.evaluation.score import BASELINES, BEST_REACHABLE

#: What five classes are called; other numbers of classes are numbered.
FIVE = ("very low", "low", "moderate", "high", "very high")
#: How a method of classes is called in words.
METHOD_NAMES = {
    "equal_area": "equal area",
    "quantiles": "quantiles of the landslides",
    "natural_breaks": "natural breaks",
}
_WHEN = ("before", "after")
#: A table of more rows is folded.
LONG_ROWS = 8
_SCORES = (("NLL", "nll"), ("AUC", "auc"), ("AP", "ap"), ("Brier", "brier"), ("ECE", "ece"),
           ("MCC, p ≥ 0.5", "mcc_at_0.5"), ("MCC, best", "mcc_at_best"))  # fmt: skip
_COMPARED = (("NLL", "nll"), ("AUC", "auc"), ("AP", "ap"), ("Brier", "brier"))


@dataclass(frozen=True)
class TextTable:
    """A table of a page.

    Attributes:
        title: Above it.
        headings: Of its columns.
        rows: Cells; the first names the row.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def is_long(self) -> bool:
        """Whether it is to be folded."""
        return len(self.rows) > LONG_ROWS


def class_names(num_classes: int) -> list[str]:
    """Names from the least susceptible class on."""
    return list(FIVE) if num_classes == len(FIVE) else [f"{n}" for n in range(1, num_classes + 1)]


def comparison_section(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Headings and rows of the differences to the best model; None where nothing is compared."""
    found = metrics["comparison"]
    if found is None:
        return None
    return {
        "reference": found["reference"],
        "draws": found["draws"],
        "headings": [heading for heading, _ in _COMPARED],
        "rows": [
            {
                "name": name,
                "kind": _kind(name),
                "cells": [_difference(scores[key]) for _, key in _COMPARED],
            }
            for name, scores in found["models"].items()
        ],
    }


def class_tables(metrics: Mapping[str, Any], model: str) -> list[TextTable]:
    """A table a method: bounds, area and landslides of each class of one map."""
    headings = (
        "class", "probability", "area, km²", "area", "landslides", "per km²", "frequency ratio",
        "test landslides", "test frequency ratio",
    )  # fmt: skip
    return [
        TextTable(
            METHOD_NAMES[method],
            headings,
            [
                _class_row(name, row)
                for name, row in zip(class_names(len(rows[model])), rows[model], strict=True)
            ][::-1],
        )
        for method, rows in metrics["classes"].items()
        if model in rows
    ]


def strata_tables(metrics: Mapping[str, Any], model: str) -> list[TextTable]:
    """A table a division: scores of the test part of one model in each stratum."""
    headings = ("", "pixels", "landslides", "share", *(heading for heading, _ in _SCORES))
    tables = []
    for division, strata in metrics["strata"].items():
        rows = [
            _stratum_row(label, models[model]["test"])
            for label, models in strata.items()
            if "test" in models.get(model, {})
        ]
        if rows:
            title = division.replace("_", " ")
            tables.append(TextTable(title, (title, *headings[1:]), rows))
    return tables


def calibration_table(calibrations: Mapping[str, Mapping[str, Any]]) -> TextTable:
    """A row a model: its temperature, and validation scores before and after."""
    scores = (("NLL", "nll"), ("Brier", "brier"), ("ECE", "ece"))
    return TextTable(
        "Temperatures",
        ("model", "temperature", "pixels", *(f"{h}, {w}" for h, _ in scores for w in _WHEN)),
        [
            [
                name,
                number(found["temperature"]),
                f"{found['num_pixels']:,}",
                *(number(found[when][key], 4) for _, key in scores for when in _WHEN),
            ]
            for name, found in calibrations.items()
        ],
    )


def calibration_caption(calibration: Mapping[str, Any]) -> str:
    """What a figure of a calibration shows."""
    before, after = (number(calibration[when]["ece"], 4) for when in _WHEN)
    return (
        f"Temperature {number(calibration['temperature'])}; calibration error (ECE) on the "
        f"validation part {before} before, {after} after."
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent, or a dash."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def signed(value: float | None) -> str:
    """A difference with its sign, or a dash."""
    return "–" if value is None else f"{value:+.4f}".replace("-", "−")


def _kind(model: str) -> str:
    if model == BEST_REACHABLE:
        return "bound"
    return "baseline" if model in BASELINES else "model"


def _difference(found: Mapping[str, Any]) -> dict[str, Any]:
    low, high = found["interval"]
    known = low is not None and high is not None
    return {
        "text": signed(found["difference"]),
        "interval": f"{signed(low)} to {signed(high)}" if known else "",
        "better": percent(found["share_better"], 0),
        "clear": known and (low > 0 or high < 0),
    }


def _class_row(name: str, row: Mapping[str, Any]) -> list[str]:
    test = row["test"] or {}
    return [
        name,
        f"{_bound(row['low'])} – {_bound(row['high'])}",
        f"{row['area_km2']:,.4g}" if row["area_km2"] < 1000 else f"{row['area_km2']:,.0f}",
        percent(row["area_share"]),
        percent(row["landslide_share"]),
        number(row["density_per_km2"], 1),
        number(row["frequency_ratio"], 2),
        percent(test.get("landslide_share")),
        number(test.get("frequency_ratio"), 2),
    ]


def _bound(value: float) -> str:
    return f"{value:.3g}"


def _stratum_row(label: str, found: Mapping[str, Any]) -> list[str]:
    pixels, landslides = found["num_pixels"], found["num_landslide"]
    return [
        label,
        f"{pixels:,}",
        f"{landslides:,}",
        percent(landslides / pixels if pixels else None, 2),
        *(number(found[key]) for _, key in _SCORES),
    ]
