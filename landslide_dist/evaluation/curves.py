"""Curves over many divisions: losses by epoch, and ROC of all models, as PNG bytes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import (
    FAINT,
    INK,
    PAGE_WIDTH_IN,
    PRINT_DPI,
    SOFT,
    line_styles,
    new_figure,
    png,
    style,
)
from landslide_dist.evaluation.experiment import RATES, Outcome, select
from landslide_dist.evaluation.figures import legend

ROC_SIZE_IN = (4.8, 4.4)
#: Panels beside each other.
COLUMNS = 3
#: How the two losses of a training are told apart.
LOOKS: dict[str, dict[str, Any]] = {
    "train_loss": {"linestyle": (0, (4, 2)), "linewidth": 1.2},
    "val_loss": {"linestyle": "-", "linewidth": 1.7},
}
#: Losses above this quantile of all may leave the picture: the first epochs of a model.
TOP_QUANTILE = 0.97

#: Epoch, mean loss; of one training.
Losses = tuple[NDArray[np.int64], NDArray[np.float64]]
#: Model -> ``train_loss`` and ``val_loss`` of its training on each division.
Histories = Mapping[str, Sequence[Mapping[str, Losses]]]


def read_history(path: str) -> dict[str, Losses]:
    """Losses by epoch of one training, as ``history.json`` of a model has them.

    Returns:
        ``train_loss`` and, where a part validated, ``val_loss``; empty where there is no file.
    """
    try:
        epochs = json.loads(Path(path).read_text("utf-8"))
    except OSError:
        return {}
    losses = {}
    for name in ("train_loss", "val_loss"):
        points = [(e["epoch"], e[name]) for e in epochs if e.get(name) is not None]
        if points:
            at, loss = zip(*points, strict=True)
            losses[name] = (np.array(at, dtype=np.int64), np.array(loss, dtype=np.float64))
    return losses


def loss_figure(histories: Histories, kind: str) -> bytes:
    """Loss by epoch, a panel a model on one scale, so that the models can be compared.

    Args:
        histories: Model -> losses of its training on each division.
        kind: Of split, for the title.
    """
    columns = min(COLUMNS, len(histories))
    rows = -(-len(histories) // columns)
    figure = new_figure(PAGE_WIDTH_IN, 2.2 * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    lines = line_styles(histories)
    for axes, model in zip(panels.flat, histories, strict=False):
        style(axes, model)
        _draw_losses(axes, histories[model], str(lines[model]["color"]))
    for axes in panels.flat[len(histories) :]:
        axes.set_axis_off()
    panels[0, 0].set_ylim(*_loss_limits(histories))
    figure.supxlabel("epoch", fontsize=9, color=SOFT)
    figure.supylabel("loss, nats a pixel", fontsize=9, color=SOFT)
    handles = [Line2D([], [], color=INK, label=f"training, {kind} split", **LOOKS["train_loss"])]
    if any("val_loss" in run for runs in histories.values() for run in runs):
        kept: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 4}
        handles += [
            Line2D([], [], color=INK, label="validation", **LOOKS["val_loss"]),
            Line2D([], [], color=INK, label="kept epoch", **kept),
        ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=3, fontsize=8, frameon=False,
        labelcolor=INK,
    )  # fmt: skip
    return png(figure, PRINT_DPI)


def mean_roc_figure(outcomes: Sequence[Outcome], kind: str, models: Sequence[str]) -> bytes:
    """ROC of all models on the test parts of one kind of split (LACNN paper, figure 4).

    Curves of several divisions are averaged at equal false positive rates (Fawcett 2006, Pattern
    Recognition Letters 27, 861-874), so that the area under a curve is the mean of the areas. One
    ranking of the pixels of all would compare probabilities of models that never met.
    """
    figure = new_figure(*ROC_SIZE_IN)
    axes = figure.add_subplot()
    style(axes, f"ROC, {kind} split", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    there = {model: rows for model in models if (rows := select(outcomes, kind, model))}
    for model, line in line_styles(there).items():
        curve = np.mean([row.roc for row in there[model]], axis=0)
        area = np.mean([row.scores["test_auc"] for row in there[model]])
        axes.plot([0, *RATES], [0, *curve], label=f"{model}  {area:.3f}", **line)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    legend(axes, "AUC", "lower right")
    return png(figure, PRINT_DPI)


def _draw_losses(axes: Axes, runs: Sequence[Mapping[str, Losses]], colour: str) -> None:
    """A thin line each where there are several, and their median."""
    for name, look in LOOKS.items():
        there = [run[name] for run in runs if name in run]
        if len(there) > 1:
            for epoch, loss in there:
                axes.plot(epoch, loss, color=colour, alpha=0.18, linewidth=0.6)
        if there:
            epoch, loss = median_losses(there)
            axes.plot(epoch, loss, color=colour, **look)
    for run in runs:
        if "val_loss" in run:
            epoch, loss = run["val_loss"]
            best = int(np.argmin(loss))
            axes.plot(
                epoch[best],
                loss[best],
                "o",
                color=colour,
                markersize=4 if len(runs) == 1 else 2,
            )
    axes.set_xlim(left=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def median_losses(runs: Sequence[Losses]) -> Losses:
    """Median at every epoch that at least half of the trainings reached."""
    epochs = np.unique(np.concatenate([epoch for epoch, _ in runs]))
    values = [[loss[epoch == at] for epoch, loss in runs] for at in epochs]
    joined = [np.concatenate(found) for found in values]
    reached = [2 * len(found) >= len(runs) for found in joined]
    medians = [np.median(found) for found, enough in zip(joined, reached, strict=True) if enough]
    return epochs[np.array(reached)], np.array(medians)


def _loss_limits(
    histories: Histories,
) -> tuple[float, float]:
    losses = [
        loss for runs in histories.values() for run in runs for _, loss in run.values() if len(loss)
    ]
    values = np.concatenate(losses)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(np.quantile(values, TOP_QUANTILE))
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin
