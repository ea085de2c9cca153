"""The report of a run: one self-contained HTML page."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined

from landslide_dist import __version__
from landslide_dist.evaluation import figures, maps, sections
from landslide_dist.evaluation.calibration_figure import calibration_figure
from landslide_dist.evaluation.class_figures import class_figure, class_map
from landslide_dist.evaluation.comparison import compare_models
from landslide_dist.evaluation.difference_figure import difference_figure
from landslide_dist.evaluation.drawing import for_page
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.overview import Overview
from landslide_dist.evaluation.panel import model_panel, telling_window, true_probability
from landslide_dist.evaluation.score import BASELINES, BEST_REACHABLE, ModelScores, best_model
from landslide_dist.patches.audit import SplitAudit
from landslide_dist.store.location import open_group

#: Side of the window that shows all models, raster pixels.
PANEL_PX = 512
#: Columns of the table: heading, how it is read from a part's metrics, whether less is better.
_COLUMNS = (
    ("NLL", "nll", True),
    ("AUC", "auc", False),
    ("AP", "ap", False),
    ("Brier", "brier", True),
    ("ECE", "ece", True),
    ("MCC", "mcc", False),
)


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        title: Its heading.
        text: What it shows, in plain words.
        png: The image.
    """

    title: str
    text: str
    png: bytes

    @property
    def source(self) -> str:
        """The image as a data URL, of a size that a phone can load."""
        return "data:image/webp;base64," + base64.b64encode(for_page(self.png)).decode()


def render_report(
    title: str,
    scores: Mapping[str, ModelScores],
    cube_location: str,
    split_location: str,
    predictions: Mapping[str, str],
    parts: Mapping[str, frozenset[int]],
    audit: SplitAudit,
    config_yaml: str,
    calibrations: Mapping[str, Mapping[str, Any]],
    event_maps: Sequence[Picture] = (),
) -> str:
    """The page as HTML text without any outside resource.

    Args:
        title: Name of the run.
        scores: Model -> scores.
        cube_location: The cube.
        split_location: Group of the split raster.
        predictions: Model -> group of its map.
        parts: ``SplitConfig.parts()``.
        audit: What the parts see of each other.
        config_yaml: The whole configuration.
        calibrations: Calibrated model -> its ``calibration.json``.
        event_maps: Of an event, its images beside what was found and missed.
    """
    best = best_model(scores)
    inputs = cast("list[dict[str, Any]]", open_group(cube_location).attrs["source"])
    metrics = to_metrics(scores)
    return page(
        "report.html.j2",
        title=title,
        columns=[heading for heading, _, _ in _COLUMNS],
        rows=_rows(metrics["models"]),
        best=best,
        rate_area=scores[best].config.rate_area,
        comparison=sections.comparison_section(metrics),
        differences=_differences(scores),
        parts=_part_sizes(scores),
        maps=[
            Picture(
                f"Landslide probability, {best}",
                "The model with the lowest test NLL, baselines aside. Colours are logarithmic. "
                "Landslides are outlined, unless they are scattered all over.",
                maps.susceptibility_map(cube_location, predictions[best], best),
            ),
            Picture(
                "All models on one window",
                "One colour scale for all, so that the maps can be compared.",
                _panel(cube_location, predictions),
            ),
            *event_maps,
            Picture(
                "Partition",
                "Which labelled pixels trained, validated and tested; a buffer belongs to none.",
                maps.partition_map(cube_location, split_location, parts),
            ),
            Picture(
                "Terrain and maps",
                "What the models see: elevation, what is derived from it, categorical maps.",
                maps.terrain_overview(cube_location),
            ),
        ],
        curves=_curves(scores),
        calibration_table=sections.calibration_table(calibrations) if calibrations else None,
        calibration_figures=_calibrations(calibrations),
        class_maps=_class_maps(scores[best], best, cube_location, predictions[best]),
        class_figures=[
            Picture(
                "Landslides in the classes",
                "A good map has most landslides in the few most susceptible pixels. Diamonds: "
                "landslides that no model was trained on.",
                class_figure(rows, method),
            )
            for method, rows in scores[best].classes.items()
        ],
        class_tables=sections.class_tables(metrics, best),
        strata_tables=sections.strata_tables(metrics, best),
        audit=audit,
        sources=list({entry["path"]: entry for entry in _files(inputs)}.values()),
        cube=cube_location,
        config=config_yaml,
    )


def page(template: str, **values: Any) -> str:
    """A page of this package, filled in."""
    loader = PackageLoader("landslide_dist.evaluation", "")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(version=__version__, **values)


def _panel(cube_location: str, predictions: Mapping[str, str]) -> bytes:
    window = telling_window(cube_location, PANEL_PX)
    overview = Overview.of(cube_location, PANEL_PX, window)
    shown = {name: overview.mean("probability", place) for name, place in predictions.items()}
    return model_panel(overview, shown | true_probability(overview))


def _curves(scores: Mapping[str, ModelScores]) -> list[Picture]:
    return [
        Picture(
            "ROC",
            "Share of landslide pixels found against share of other pixels called landslide.",
            figures.roc_figure(scores, "test"),
        ),
        Picture(
            "Precision and recall",
            "Of the pixels called landslide, how many are; of the landslides, how many are called.",
            figures.precision_recall_figure(scores, "test"),
        ),
        Picture(
            "Calibration",
            "On the diagonal, what is predicted at 10 % happens in 10 % of the pixels.",
            figures.reliability_figure(scores, "test"),
        ),
        Picture(
            "Prediction rate",
            "Share of the landslides inside the most susceptible part of the area, on pixels "
            "that no model was trained on (Chung and Fabbri 2003).",
            figures.rate_figure(scores, "test"),
        ),
        Picture(
            "Success rate",
            "The same on training pixels: how well a model has learnt what it was shown.",
            figures.rate_figure(scores, "train"),
        ),
    ]


def _calibrations(calibrations: Mapping[str, Mapping[str, Any]]) -> list[Picture]:
    return [
        Picture(name, sections.calibration_caption(found), calibration_figure(name, found))
        for name, found in calibrations.items()
    ]


def _differences(scores: Mapping[str, ModelScores]) -> list[Picture]:
    found = compare_models(scores)
    if found is None:
        return []
    return [
        Picture(
            f"Differences to {found.reference}",
            "Dots: the scores' difference on the test part. Lines: 95 % of the draws. A line that "
            "crosses 0 does not tell the two apart. Baselines are left to the table.",
            difference_figure(found, list(scores)),
        )
    ]


def _class_maps(
    model: ModelScores, name: str, cube_location: str, prediction: str
) -> list[Picture]:
    if not model.classes:
        return []
    method, rows = next(iter(model.classes.items()))
    return [
        Picture(
            "Susceptibility classes",
            "Each pixel by the class of its probability.",
            class_map(
                cube_location,
                prediction,
                rows,
                f"Susceptibility, {sections.METHOD_NAMES[method]}, {name}",
            ),
        ),
    ]


def _rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row a model: cells of the test part with intervals, the training NLL beside."""
    values = {
        name: {key: _value(parts.get("test"), key) for _, key, _ in _COLUMNS}
        for name, parts in metrics.items()
    }
    rivals = [name for name in metrics if name != BEST_REACHABLE and name not in BASELINES]
    best = {
        key: (min if less else max)(found)
        for _, key, less in _COLUMNS
        if (found := [v for name in rivals if (v := values[name][key]) is not None])
    }
    return [
        {
            "name": name,
            "kind": "bound" if name == BEST_REACHABLE else _kind(name),
            "train": _text((parts.get("train") or {}).get("nll")),
            "cells": [
                {
                    "text": _text(values[name][key]),
                    "best": name in rivals and values[name][key] == best.get(key),
                    "interval": _interval(parts.get("test"), key),
                }
                for _, key, _ in _COLUMNS
            ],
        }
        for name, parts in metrics.items()
    ]


def _files(inputs: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The files of every input; an image has several."""
    for entry in inputs:
        yield from entry.get("files", [entry])


def _kind(name: str) -> str:
    return "baseline" if name in BASELINES else "model"


def _value(part: Mapping[str, Any] | None, key: str) -> float | None:
    if part is None:
        return None
    value = part["at_best"]["mcc"] if key == "mcc" else part[key]
    return None if value is None else float(value)


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(part: Mapping[str, Any] | None, key: str) -> str:
    low_high = (part or {}).get("intervals", {}).get(key)
    if not low_high or None in low_high:
        return ""
    return f"{low_high[0]:.3f} – {low_high[1]:.3f}"


def _part_sizes(scores: Mapping[str, ModelScores]) -> list[dict[str, Any]]:
    first = next(iter(scores.values()))
    return [
        {
            "name": part,
            "pixels": f"{counts.num_labelled:,}",
            "landslides": f"{counts.num_positive:,}",
            "share": f"{counts.num_positive / counts.num_labelled:.2%}",
        }
        for part, counts in first.counts.items()
    ]
