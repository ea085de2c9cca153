"""Susceptibility classes of a map: where they lie, and how many landslides fall into each."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from landslide_dist.evaluation.drawing import (
    FAINT,
    INK,
    PAGE_WIDTH_IN,
    SOFT,
    SUSCEPTIBILITY,
    new_figure,
    png,
    style,
)
from landslide_dist.evaluation.figures import SIZE_IN
from landslide_dist.evaluation.furniture import furnish, legend
from landslide_dist.evaluation.ground import Ground, aspect_of
from landslide_dist.evaluation.overview import Overview
from landslide_dist.evaluation.score import ClassRow
from landslide_dist.evaluation.sections import METHOD_NAMES, class_names

#: Of a bar.
_WIDTH = 0.4


def class_colours(num_classes: int) -> list[str]:
    """Colours from the least susceptible class on, of rising darkness."""
    return [to_hex(SUSCEPTIBILITY(place)) for place in np.linspace(0.08, 0.95, num_classes)]


def class_figure(rows: Sequence[ClassRow], method: str) -> bytes:
    """Share of the area and of the landslides in each class.

    Args:
        rows: Classes of one map.
        method: How they were divided.
    """
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style(axes, METHOD_NAMES[method].capitalize())
    place = np.arange(len(rows))
    axes.bar(
        place - _WIDTH / 2, [row.whole.area_share for row in rows], _WIDTH,
        color=FAINT, edgecolor=SOFT, linewidth=0.6,
    )  # fmt: skip
    axes.bar(
        place + _WIDTH / 2, np.nan_to_num([row.whole.landslide_share for row in rows]), _WIDTH,
        color=class_colours(len(rows)), edgecolor=INK, linewidth=0.4,
    )  # fmt: skip
    held_out = [np.nan if row.test is None else row.test.landslide_share for row in rows]
    axes.plot(
        place + _WIDTH / 2, held_out, "D", color=INK, markersize=4.5, markerfacecolor="w",
    )  # fmt: skip
    axes.set_xticks(place, class_names(len(rows)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x", visible=False)
    handles = [
        Patch(facecolor=FAINT, edgecolor=SOFT, label="area"),
        Patch(facecolor=SUSCEPTIBILITY(0.6), edgecolor=INK, label="all landslides"),
        Line2D([], [], linestyle="", marker="D", color=INK, markersize=4.5, markerfacecolor="w",
               label="test landslides"),
    ]  # fmt: skip
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False,
        labelcolor=INK,
    )  # fmt: skip
    return png(figure)


def class_map(
    cube_location: str, prediction_location: str, rows: Sequence[ClassRow], title: str
) -> bytes:
    """The classes of a map over the relief, with scale bar, north arrow and bounds.

    Args:
        cube_location: The cube.
        prediction_location: Group of the map.
        rows: Its classes.
        title: Above the map.
    """
    overview = Overview.of(cube_location)
    ground = Ground.of(overview)
    probability = overview.mean("probability", prediction_location)
    figure = new_figure(PAGE_WIDTH_IN, PAGE_WIDTH_IN * aspect_of(overview) + 0.6)
    axes = figure.add_subplot()
    ground.draw(axes, title)
    handles: list[Patch | Line2D] = []
    names, colours = class_names(len(rows)), class_colours(len(rows))
    for row, name, colour in zip(rows, names, colours, strict=True):
        top = np.inf if row is rows[-1] else row.whole.high
        ground.fill(axes, (probability >= row.whole.low) & (probability < top), colour, 0.9)
        label = f"{name}: {row.whole.low:.3g} to {row.whole.high:.3g}"
        handles.append(Patch(color=colour, label=label))
    legend(axes, handles[::-1])
    furnish(axes, overview)
    return png(figure)
