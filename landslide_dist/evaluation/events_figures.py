"""Scores of the event experiments as PNG bytes: spider plots, leave-one-out and ablation bars."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landslide_dist.evaluation.drawing import FAINT, INK, PALETTE, SOFT, new_figure, png, style
from landslide_dist.evaluation.events import SPIDER, EventsResult
from landslide_dist.evaluation.events_summary import (
    Mean,
    ModelRow,
    differences,
    mean_over_events,
    pixel_sizes_m,
    select_rows,
    tested_events,
)
from landslide_dist.evaluation.furniture import HALO

#: The event's own single-area model beside the combined one, which is black.
OWN = "#CC79A7"
OWN_LINE: dict[str, Any] = {"color": OWN, "linestyle": (0, (4, 2)), "linewidth": 1.7, "zorder": 4}
COMBINED_LINE: dict[str, Any] = {"color": INK, "linestyle": "-", "linewidth": 1.7, "zorder": 3}
#: Sign of a change -> its colour; blue and orange, not green and red, which look alike to many.
CHANGE_COLOURS = {True: "#0072B2", False: "#D55E00"}
#: Plots beside each other where there is one resolution.
COLUMNS = 2
#: Side of a spider plot and width of bars: a phone shows letters that can be read.
SPIDER_IN, BARS_IN = 1.9, 4.8
_ENDS = {"mcc": "MCC", "recall": "recall", "f1": "F1", "precision": "precision"}
_PLACES = {(0, 1): ("center", "bottom"), (1, 0): ("left", "center"),
           (0, -1): ("center", "top"), (-1, 0): ("right", "center")}  # fmt: skip


class Line(NamedTuple):
    """A model in a spider plot.

    Attributes:
        label: In the legend.
        row: The model.
        style: Of its line.
    """

    label: str
    row: ModelRow
    style: Mapping[str, Any]


class Bar(NamedTuple):
    """A bar with its deviation over seeds.

    Attributes:
        label: Beside it.
        mean: Its length.
        colour: Of the bar.
    """

    label: str
    mean: Mean
    colour: str


def spider_figure(result: EventsResult, model: str) -> bytes:
    """Combined against each event's own model (paper figure 2).

    Args:
        result: All outcomes.
        model: Name in the runs.
    """

    def lines(event: str, pixel_m: float) -> list[Line]:
        combined, singles, _, _ = select_rows(result, model, pixel_m)
        own = [Line("single (its own)", row, OWN_LINE) for row in singles if row.training == event]
        return [Line("combined (ALL)", combined, COMBINED_LINE), *own]

    trained, _ = tested_events(result)
    return _spiders(result, trained, lines)


def unseen_figure(result: EventsResult, model: str) -> bytes:
    """Combined against every single-area model on unseen events (paper figure 4).

    Args:
        result: All outcomes.
        model: Name in the runs.
    """
    trained, unseen = tested_events(result)
    colours = {event: PALETTE[n % len(PALETTE)] for n, event in enumerate(trained)}
    dashes = ((0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)))

    def lines(_event: str, pixel_m: float) -> list[Line]:
        combined, singles = select_rows(result, model, pixel_m)[:2]
        return [
            Line("combined (ALL)", combined, COMBINED_LINE),
            *(
                Line(
                    row.training,
                    row,
                    {
                        "color": colours[row.training],
                        "linestyle": dashes[trained.index(row.training) % len(dashes)],
                        "linewidth": 1.4,
                        "zorder": 4,
                    },
                )
                for row in singles
            ),
        ]

    return _spiders(result, unseen, lines)


def jackknife_figure(result: EventsResult, model: str, pixel_m: float) -> bytes:
    """Change of MCC against the combined model where one event is left out (paper figure 6).

    Args:
        result: All outcomes.
        model: Name in the runs.
        pixel_m: Base resolution.
    """
    combined, _, _, left_out = select_rows(result, model, pixel_m)

    def bar(row: ModelRow, event: str) -> Bar:
        change = Mean.of(differences(result, row, combined, event).values())
        return Bar(row.label, change, CHANGE_COLOURS[change.value >= 0])

    groups = {
        f"on unseen {event}": [bar(row, event) for row in left_out]
        for event in tested_events(result)[1]
    }
    groups["on the event left out"] = [bar(row, row.training.partition("-")[2]) for row in left_out]
    axis = f"change of MCC against ALL, {pixel_m:g} m"
    return _bars(f"Without one event, {pixel_m:g} m", axis, groups, signed=True)


def ablation_figure(result: EventsResult, model: str, pixel_m: float) -> bytes:
    """MCC on unseen events of the combined model and of what is changed in it.

    Args:
        result: All outcomes.
        model: Name in the runs.
        pixel_m: Base resolution.
    """
    combined, _, ablations, _ = select_rows(result, model, pixel_m)
    rows = [combined, *ablations]
    _, unseen = tested_events(result)

    def bar(row: ModelRow, mean: Mean) -> Bar:
        return Bar(row.label, mean, PALETTE[1] if row.ablation else INK)

    groups = {
        f"on unseen {event}": [bar(row, row.mean(result, event)) for row in rows]
        for event in unseen
    }
    if len(unseen) > 1:
        groups["mean of the unseen events"] = [
            bar(row, mean_over_events(result, row, unseen)) for row in rows
        ]
    return _bars(f"Ablations, {pixel_m:g} m", "MCC", groups)


def _spiders(
    result: EventsResult, events: Sequence[str], lines_of: Callable[[str, float], list[Line]]
) -> bytes:
    """A plot an event and resolution: events below each other where there are several."""
    sizes_m = pixel_sizes_m(result)
    columns = len(sizes_m) if len(sizes_m) > 1 else min(COLUMNS, len(events))
    cells = [(event, pixel_m) for event in events for pixel_m in sizes_m]
    rows = -(-len(cells) // columns)
    figure = new_figure(columns * SPIDER_IN, rows * SPIDER_IN + 0.35)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    handles: dict[str, Any] = {}
    for axes, (event, pixel_m) in zip(panels.flat, cells, strict=False):
        _web(axes, f"{event}, {pixel_m:g} m")
        drawn = False
        for label, row, look in lines_of(event, pixel_m):
            values = [row.mean(result, event, score).value for score in SPIDER]
            if not np.isnan(values).all():
                handles.setdefault(label, _outline(axes, values, look))
                drawn = True
        if not drawn:
            reason = _reason(result, event, pixel_m)
            axes.text(0, 0, textwrap.fill(reason, 18), ha="center", va="center", fontsize=7,
                      color=SOFT)  # fmt: skip
    _legend(figure, handles)
    return png(figure)


def _web(axes: Axes, title: str) -> None:
    """Squares at quarters of a score, and the names of the four ends."""
    axes.set_title(title, fontsize=9, color=INK, fontweight="bold", pad=12)
    for level in (0.25, 0.5, 0.75, 1):
        x, y = [0, level, 0, -level, 0], [level, 0, -level, 0, level]
        axes.plot(x, y, color=FAINT, linewidth=1.1 if level == 1 else 0.6, zorder=1)
    for score, end in zip(SPIDER, _PLACES, strict=True):
        axes.plot([0, end[0]], [0, end[1]], color=FAINT, linewidth=0.6, zorder=1)
        horizontal, vertical = _PLACES[end]
        axes.text(
            1.05 * end[0], 1.05 * end[1], _ENDS[score], ha=horizontal, va=vertical, fontsize=7.5,
            color=SOFT, rotation={1: -90, -1: 90}.get(end[0], 0),
        )  # fmt: skip
    axes.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal")


def _outline(axes: Axes, values: Sequence[float], look: Mapping[str, Any]) -> Any:
    """Scores as corners of a closed line; what is below 0 or undefined lies in the middle."""
    radius = np.nan_to_num(np.clip(values, 0, 1))
    corners = radius[:, None] * np.array(list(_PLACES))
    closed = np.concatenate([corners, corners[:1]])
    axes.plot(closed[:, 0], closed[:, 1], **look, marker="o", markersize=2.2)
    return axes.lines[-1]


def _reason(result: EventsResult, event: str, pixel_m: float) -> str:
    reasons = [
        outcome.skipped
        for outcome in result.outcomes
        if outcome.skipped and (outcome.event, outcome.trained.pixel_m) == (event, pixel_m)
    ]
    return f"left out: {reasons[0]}" if reasons else "not tested"


def _legend(figure: Figure, handles: Mapping[str, Any]) -> None:
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=3, fontsize=8,
            frameon=False, labelcolor=INK, handlelength=2.2, columnspacing=1.2,
        )  # fmt: skip


def _bars(
    title: str, axis: str, groups: Mapping[str, Sequence[Bar]], signed: bool = False
) -> bytes:
    """Horizontal bars below each other, a heading for each group."""
    num = sum(len(bars) + 1.2 for bars in groups.values())
    figure = new_figure(BARS_IN, 0.22 * num + 0.8)
    axes = figure.add_subplot()
    style(axes, title, axis)
    axes.grid(False, axis="y")
    y, ticks, labels = 0.0, [], []
    for heading, bars in groups.items():
        axes.text(
            0.0, y, heading, transform=axes.get_yaxis_transform(), fontsize=8, color=INK,
            fontweight="bold", va="center",
        )  # fmt: skip
        for label, mean, colour in bars:
            y += 1
            ticks.append(y)
            labels.append(label)
            if not np.isnan(mean.value):
                axes.barh(y, mean.value, height=0.7, color=colour, zorder=2)
                _whisker(axes, y, mean)
        y += 1.2
    axes.set_yticks(ticks, labels)
    axes.set_ylim(y - 0.4, -0.6)
    axes.axvline(0, color=SOFT, linewidth=0.8, zorder=3)
    values = [bar.mean for bars in groups.values() for bar in bars]
    axes.set_xlim(*_limits(values, signed))
    return png(figure)


def _whisker(axes: Axes, y: float, mean: Mean) -> None:
    if not np.isnan(mean.deviation):
        ends = [mean.value - mean.deviation, mean.value + mean.deviation]
        axes.plot(
            ends, [y, y], color=INK, linewidth=1.1, marker="|", markersize=5, zorder=4,
            path_effects=HALO,
        )  # fmt: skip


def _limits(means: Sequence[Mean], signed: bool) -> tuple[float, float]:
    """Of the axis: as far on both sides of no change, or from 0 on."""
    reach = [abs(m.value) + np.nan_to_num(m.deviation) for m in means if not np.isnan(m.value)]
    widest = 1.1 * float(max(reach, default=0.0)) or 0.1
    lowest = min((m.value - float(np.nan_to_num(m.deviation)) for m in means
                  if not np.isnan(m.value)), default=0.0)  # fmt: skip
    if signed:
        return -widest, widest
    return min(0.0, 1.1 * lowest), widest
