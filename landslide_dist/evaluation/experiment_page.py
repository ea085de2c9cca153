"""The page of an experiment: table, curves, maps; and its pictures by file name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.evaluation.curves import Histories, loss_figure, mean_roc_figure
from landslide_dist.evaluation.drawing import PRINT_DPI, smaller
from landslide_dist.evaluation.experiment import Outcome, Summary, leak_of, select
from landslide_dist.evaluation.maps import partition_map
from landslide_dist.evaluation.overview import Overview, Part
from landslide_dist.evaluation.panel import model_panel, true_probability
from landslide_dist.evaluation.report import Picture, page
from landslide_dist.evaluation.score import BASELINES, BEST_REACHABLE
from landslide_dist.evaluation.table import Table
from landslide_dist.grid import Window
from landslide_dist.patches.audit import SplitAudit

#: Longer side of the window's picture.
PANEL_PX = 1024


@dataclass(frozen=True)
class Shown:
    """The division of one kind of split that maps are drawn of.

    Attributes:
        split_location: Group of the split raster.
        parts: ``SplitConfig.parts()``.
        audit: What its parts see of each other.
        window: Pixels that all models are shown on.
        maps: Model -> probability of the window.
    """

    split_location: str
    parts: Mapping[str, frozenset[int]]
    audit: SplitAudit
    window: Window
    maps: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ExperimentResult:
    """All that an experiment found.

    Attributes:
        outcomes: Every model on every division.
        summary: Means and deviations.
        table: The paper's table 2.
        shown: Kind of split -> the division that is drawn.
        histories: Kind of split -> model -> losses of its training on each division.
        cube_location: The cube.
    """

    outcomes: Sequence[Outcome]
    summary: Summary
    table: Table
    shown: Mapping[str, Shown]
    histories: Mapping[str, Histories]
    cube_location: str


def experiment_pictures(result: ExperimentResult) -> dict[str, Picture]:
    """All pictures, by the name of their file without suffix: ``roc-random`` and so on."""
    pictures = {}
    for kind, shown in result.shown.items():
        models = list(result.summary[kind])
        pictures[f"roc-{kind}"] = Picture(
            f"{kind} split", "", mean_roc_figure(result.outcomes, kind, models)
        )
        pictures[f"window-{kind}"] = Picture(
            f"{kind} split", _window_text(result, shown), _panel(result.cube_location, shown)
        )
        pictures[f"division-{kind}"] = Picture(
            f"{kind} split",
            "",
            partition_map(
                result.cube_location,
                shown.split_location,
                shown.parts,
                f"Division, {kind} split",
                PRINT_DPI,
            ),
        )
        trained = result.histories[kind]
        if trained:
            pictures[f"losses-{kind}"] = Picture(
                f"{kind} split", _loss_text(trained), loss_figure(trained, kind)
            )
    return pictures


def render_experiment(
    title: str,
    result: ExperimentResult,
    pictures: Mapping[str, Picture],
    oversample: int,
    config_yaml: str,
) -> str:
    """The page as HTML text without any outside resource.

    Args:
        title: Name of the run.
        result: What was found.
        pictures: ``experiment_pictures(result)``.
        oversample: Times an epoch that a patch with landslides is trained on.
        config_yaml: The whole configuration.
    """
    divisions = {(o.kind, o.partition, o.fold) for o in result.outcomes}
    several = len(divisions) > len(result.shown)
    sizes = np.cumsum([0, *(len(names) for _, names in result.table.groups)])
    return page(
        "experiment.html.j2",
        title=title,
        divisions=f"{len(divisions)} division{'s' if len(divisions) > 1 else ''} of the labels",
        several=several,
        table=result.table,
        firsts=set(sizes.tolist()),
        rows=[
            {"name": model, "kind": _kind(model), "cells": cells}
            for model, cells in result.table.rows
        ],
        deviates=any(c.deviation is not None for _, cells in result.table.rows for c in cells),
        leak=leak_of(result.summary),
        reach_px=max(shown.audit.reach_px for shown in result.shown.values()),
        shares=[_shares(result.outcomes, kind, shown) for kind, shown in result.shown.items()],
        roc_text="Share of landslide pixels found against share of other pixels called landslide."
        + (
            " Curves of the divisions are averaged at equal false positive rates; the area is the "
            "mean of their areas."
            if several
            else ""
        ),
        **{
            group: [
                replace(picture, png=smaller(picture.png))
                for name, picture in pictures.items()
                if name.startswith(prefix)
            ]
            for group, prefix in (
                ("roc", "roc-"),
                ("panels", "window-"),
                ("partitions", "division-"),
                ("losses", "losses-"),
            )
        },
        oversample=oversample,
        cube=result.cube_location,
        config=config_yaml,
    )


def _panel(cube_location: str, shown: Shown) -> bytes:
    overview = Overview.of(cube_location, PANEL_PX, shown.window)
    maps = {name: overview.shrunk(values) for name, values in shown.maps.items()}
    test = Part(shown.split_location, shown.parts["test"])
    return model_panel(overview, maps | true_probability(overview), test, PRINT_DPI)


def _window_text(result: ExperimentResult, shown: Shown) -> str:
    grid = Overview.of(result.cube_location).grid
    left, bottom, right, top = grid.window_bounds(shown.window)
    return (
        f"{shown.window.width} x {shown.window.height} pixels, {left:.0f} to {right:.0f} m east, "
        f"{bottom:.0f} to {top:.0f} m north. One colour scale for all, so that the maps can be "
        "compared. What is inside the outline, or single labels of the test part, was held out."
    )


def _loss_text(histories: Histories) -> str:
    num_runs = max(len(runs) for runs in histories.values())
    if num_runs == 1:
        return "One scale for all models; the first epochs of a model may lie above it."
    return (
        f"Thin: each of {num_runs} trainings; thick: their median while half of them go on. "
        "One scale for all models; the first epochs of a model may lie above it."
    )


def _shares(outcomes: Sequence[Outcome], kind: str, shown: Shown) -> dict[str, Any]:
    rows = select(outcomes, kind, outcomes[0].model)
    sight = next((s for s in shown.audit.sights if (s.part, s.of) == ("test", "train")), None)
    return {
        "kind": kind,
        **{part: f"{np.mean([row.share[part] for row in rows]):.2%}" for part in ("test", "train")},
        "seeing": "–" if sight is None else f"{sight.share:.1%}",
    }


def _kind(model: str) -> str:
    if model == BEST_REACHABLE:
        return "bound"
    return "baseline" if model in BASELINES else "model"
