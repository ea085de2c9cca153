"""Curves of the comparison of two regions' reports, as PNG bytes (reporting bias paper, fig. 5, 8).

:mod:`bias_blocks` has the pictures of blocks and maps.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from landslide_dist.config.imagery import COLOURS
from landslide_dist.evaluation.bias_result import BiasResult, Interval
from landslide_dist.evaluation.drawing import FAINT, INK, PALETTE, SOFT, new_figure, png, style
from landslide_dist.evaluation.figures import SIZE_IN

#: Of region 1 and 2: they differ in marker as well.
REGION_COLOURS = PALETTE[:2]
_MARKERS = ("o", "s")
_RATIO_COLOUR = PALETTE[2]
_PERIOD_COLOURS = PALETTE[3:]
_DASHES = ((0, (6, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))
#: Line of each colour of an image; told apart by dashes too.
_BAND_LINES: tuple[dict[str, Any], ...] = (
    {"color": PALETTE[0], "linestyle": "-"},
    {"color": PALETTE[2], "linestyle": (0, (5, 1.5))},
    {"color": PALETTE[1], "linestyle": (0, (1, 1))},
)
#: Bars of a histogram: single values of matched scenes come and go.
_BINS = 64


def counts_figure(result: BiasResult) -> bytes:
    """Detected landslides of both regions against the threshold (figure 8A)."""
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style(axes, "Detected landslides", "probability from which on", "number")
    counted, other = "single blocks", "groups of blocks that touch"
    if result.merged:
        counted, other = other, counted
    thresholds = [found.threshold for found in result.detected]
    looks = zip(REGION_COLOURS, _MARKERS, strict=True)
    handles = []
    for number, (region, (colour, marker)) in enumerate(zip(result.regions, looks, strict=True)):
        main, side = region.blocks, region.groups
        if result.merged:
            main, side = side, main
        axes.plot(thresholds, side, color=colour, linestyle=_DASHES[1], linewidth=1.2)
        axes.plot(
            thresholds, main, color=colour, marker=marker, markersize=4.5, linewidth=1.7,
            clip_on=False,
        )  # fmt: skip
        _band(axes, thresholds, [found.intervals[number] for found in result.detected], colour)
        handles.append(Line2D([], [], color=colour, marker=marker, markersize=5, label=region.name))
    handles += [
        Line2D([], [], color=SOFT, linewidth=1.7, label=f"{counted}, counted here"),
        Line2D([], [], color=SOFT, linewidth=1.2, linestyle=_DASHES[1], label=other),
    ]
    # Linear below 1, so that none is on the axis too.
    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(bottom=0)
    _threshold_ticks(axes, thresholds)
    _legend(axes, handles)
    return png(figure)


def ratio_figure(result: BiasResult) -> bytes:
    """Ratio of the detected landslides against the threshold, and of the recorded (figure 8B)."""
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    one, other = result.names
    style(axes, "Detected and recorded", "probability from which on", f"{one} / {other}")
    thresholds = [found.threshold for found in result.detected]
    # A ratio of 0 has no place on a logarithmic axis.
    ratios = [found.ratio or np.nan for found in result.detected]
    axes.plot(thresholds, ratios, color=_RATIO_COLOUR, marker="D", markersize=4, linewidth=1.7)
    intervals = [found.ratio_interval for found in result.detected]
    handles = [Line2D([], [], color=_RATIO_COLOUR, marker="D", markersize=4, label="detected")]
    there = {p: ratio for p, ratio in result.recorded_ratios.items() if ratio}
    for number, (period, ratio) in enumerate(there.items()):
        line: dict[str, Any] = {
            "color": _PERIOD_COLOURS[number % len(_PERIOD_COLOURS)],
            "linestyle": _DASHES[number % len(_DASHES)],
            "linewidth": 1.5,
        }
        axes.axhline(ratio, **line)
        handles.append(Line2D([], [], label=f"recorded, {period}", **line))
    shown = [*np.array(ratios)[np.isfinite(ratios)], *there.values(), 1.0]
    bounds = [b for i in intervals if i for b in i if 0 < b < np.inf]
    low, high = min([*shown, *bounds]), max([*shown, *bounds])
    axes.set_yscale("log")
    axes.set_ylim(low / 1.6, high * 1.6)
    _band(axes, thresholds, intervals, _RATIO_COLOUR)
    axes.axhline(1, color=SOFT, linewidth=0.8, zorder=0)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", which="minor", length=0)
    _threshold_ticks(axes, thresholds)
    _legend(axes, handles)
    return png(figure)


def histogram_figure(title: str, counts: Mapping[str, NDArray[np.int64]]) -> bytes:
    """How often each value of red, green and blue occurs, one row an image (figure 5b, 5c).

    Args:
        title: Of the figure.
        counts: What it is -> ``(3, 256)`` pixels of each value.
    """
    figure = new_figure(SIZE_IN[0], 1.0 + 1.35 * len(counts))
    rows = figure.subplots(len(counts), 1, sharex=True, squeeze=False)[:, 0]
    width = 256 // _BINS
    at = np.arange(_BINS + 1) * width
    for axes, (name, values) in zip(rows, counts.items(), strict=True):
        style(axes, "", "", "")
        axes.set_title(name, loc="left", fontsize=8.5, color=INK)
        binned = values.reshape(3, _BINS, width).sum(axis=2)
        shares = binned / np.maximum(binned.sum(axis=1, keepdims=True), 1)
        for colour, share, line in zip(COLOURS, shares, _BAND_LINES, strict=True):
            axes.stairs(share, at, label=colour, linewidth=1.4, **line)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        # One bar of what is black or white alone would flatten all others.
        axes.set_ylim(0, 1.15 * max(1e-9, float(np.sort(shares, axis=1)[:, :-1].max())))
    rows[0].legend(
        fontsize=7.5, ncols=3, loc="lower right", bbox_to_anchor=(1, 0.98), frameon=False,
        labelcolor=INK, borderaxespad=0,
    )  # fmt: skip
    rows[-1].set(xlim=(0, 256), xticks=(0, 64, 128, 192, 255))
    rows[-1].set_xlabel("value", fontsize=9, color=SOFT)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK, fontweight="bold")
    return png(figure)


def _band(
    axes: Axes, thresholds: Sequence[float], intervals: Sequence[Interval | None], colour: str
) -> None:
    """What intervals cover; a bound that there is not is drawn to the end of the axis."""
    bottom, top = axes.get_ylim()
    bounds = [(np.nan, np.nan) if i is None else i for i in intervals]
    low, high = np.clip(np.array(bounds, dtype=np.float64), bottom if bottom > 0 else 0, None).T
    high = np.where(np.isposinf(high), top, high)
    axes.fill_between(thresholds, low, high, color=colour, alpha=0.16, linewidth=0)
    for at, lower, upper in zip(thresholds, low, high, strict=True):
        # A band between gaps has no width.
        axes.plot([at, at], [lower, upper], color=colour, alpha=0.35, linewidth=1)


def _threshold_ticks(axes: Axes, thresholds: Sequence[float]) -> None:
    """Ticks at the thresholds, but for those that would lie on each other."""
    shown: list[float] = []
    for threshold in sorted(thresholds, reverse=True):
        if not shown or shown[-1] - threshold >= 0.035:
            shown.append(threshold)
    axes.set_xticks(shown, [f"{threshold:g}" for threshold in shown])
    axes.grid(axis="x", color=FAINT, linewidth=0.7)


def _legend(axes: Axes, handles: Sequence[Line2D]) -> None:
    axes.legend(
        handles=list(handles), fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2,
        frameon=False, labelcolor=INK, borderaxespad=0,
    )  # fmt: skip
