"""Curves of the scores, as PNG bytes."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, PercentFormatter
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import FAINT, INK, SOFT, line_styles, new_figure, png, style
from landslide_dist.evaluation.score import ModelScores
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.rates import area_under
from landslide_dist.kernels.scores import Curve, ScoreCounts

Scores = Mapping[str, ModelScores]
Place = Literal["best", "upper right", "lower right", "lower left"]
#: Width and height of a picture: half a page, or a phone, with letters that can be read.
SIZE_IN = (4.8, 4.4)
#: Points of a drawn curve; more than pixels across serve nobody.
CURVE_POINTS = 1500


def roc_figure(scores: Scores, part: str) -> bytes:
    """ROC curves of a part, with the area under each."""
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style(axes, f"ROC, {part}", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    _curves(axes, scores, part, kernel.roc_curve, kernel.auc)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), aspect="equal")
    legend(axes, "AUC", "lower right")
    return png(figure)


def precision_recall_figure(scores: Scores, part: str) -> bytes:
    """Precision-recall curves of a part, with the average precision of each."""
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style(axes, f"Precision and recall, {part}", "recall", "precision")
    counts = [model.counts[part] for model in scores.values() if part in model.counts]
    if counts:
        share = counts[0].num_positive / counts[0].num_labelled
        axes.axhline(share, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            f"share of landslides {_percent(share)}",
            (1, share), xytext=(0, -3), textcoords="offset points",
            ha="right", va="top", fontsize=7.5, color=SOFT,
        )  # fmt: skip
        axes.set_ylim(0, _highest_precision(counts))
    _curves(axes, scores, part, kernel.precision_recall_curve, kernel.average_precision)
    axes.set_xlim(0, 1)
    legend(axes, "average precision", "upper right")
    return png(figure)


def reliability_figure(scores: Scores, part: str) -> bytes:
    """Predicted probability against the share of landslides, in equal-count bins, on log axes."""
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style(axes, f"Calibration, {part}", "predicted probability", "observed share of landslides")
    bins = {
        name: kernel.reliability(model.counts[part], model.calibration_bins)
        for name, model in scores.items()
        if part in model.counts
    }
    low, high = reliability_axes(
        axes, [v for b in bins.values() for v in (b.predicted, b.observed)]
    )
    for name, line in line_styles(bins).items():
        predicted, observed = (np.clip(v, low, high) for v in bins[name][:2])
        ece = kernel.expected_calibration_error(
            scores[name].counts[part], scores[name].calibration_bins
        )
        label = f"{name}  {ece:.4f}"
        axes.plot(predicted, observed, label=label, marker="o", markersize=3.2, **line)
        none = bins[name].observed <= low
        axes.plot(
            predicted[none], observed[none], "o", markersize=4.5, markerfacecolor="white",
            markeredgecolor=line["color"], zorder=5, clip_on=False,
        )  # fmt: skip
    legend(axes, "calibration error", "best")
    return png(figure)


def reliability_axes(axes: Axes, values: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Logarithmic axes in per cent that hold the values, and the diagonal.

    Returns:
        Least and greatest value of both axes; what is below is to be drawn at the edge.
    """
    low, high = _log_limits(values)
    axes.plot([low, high], [low, high], color=SOFT, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: _percent(value)))
        axis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    return low, high


def rate_figure(scores: Scores, part: str) -> bytes:
    """Success-rate (training) or prediction-rate (held-out) curves of a part."""
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    title = "Success rate" if part == "train" else "Prediction rate"
    style(axes, f"{title}, {part}", "share of the area, most susceptible first",
          "share of the landslides in it")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    there = {name: model for name, model in scores.items() if part in model.counts}
    for name, line in line_styles(there).items():
        curve = there[name].rate_curve(part)
        axes.plot(*thinned(curve), label=f"{name}  {area_under(curve):.3f}", **line)
    axes.set(xlim=(0, 1), ylim=(0, 1.005))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    legend(axes, "area under the curve", "lower right")
    return png(figure)


def _curves(
    axes: Axes,
    scores: Scores,
    part: str,
    curve: Callable[[ScoreCounts], Curve],
    score: Callable[[ScoreCounts], float],
) -> None:
    there = {name: model.counts[part] for name, model in scores.items() if part in model.counts}
    for name, line in line_styles(there).items():
        x, y = thinned(curve(there[name]))
        axes.plot(x, y, label=f"{name}  {score(there[name]):.3f}", **line)


def thinned(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points a pixel apart or so, chosen along x, the first and last among them."""
    if len(curve.x) <= CURVE_POINTS:
        return curve.x, curve.y
    at = np.searchsorted(curve.x, np.linspace(curve.x[0], curve.x[-1], CURVE_POINTS))
    kept = np.unique(np.concatenate([[0], at, [len(curve.x) - 1]]))
    return curve.x[kept], curve.y[kept]


def legend(axes: Axes, title: str, place: Place) -> None:
    """Names of the lines with a score each."""
    handles, labels = axes.get_legend_handles_labels()
    box = axes.legend(
        handles, labels, title=title, fontsize=8, title_fontsize=8, loc=place, labelcolor=INK,
        framealpha=0.85, edgecolor="none",
    )  # fmt: skip
    box.get_title().set_color(SOFT)
    box.set_alignment("left")


def _highest_precision(counts: list[ScoreCounts]) -> float:
    """Top of the precision axis: the first few pixels of a ranking say little."""
    best = 0.0
    for one in counts:
        curve = kernel.precision_recall_curve(one)
        best = max(best, float(curve.y[curve.x >= 0.02].max(initial=0)))
    return min(1.005, 1.15 * best) or 1.0


def _log_limits(values: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Decades that hold the values; zeros and what is below 1e-6 go to the edge."""
    joined = np.concatenate([*values, [0.0]])
    seen = joined[joined > 1e-6]
    if not len(seen):
        return 1e-3, 1.0
    return float(max(1e-6, seen.min() / 1.6)), float(min(1.0, seen.max() * 1.6))


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"
