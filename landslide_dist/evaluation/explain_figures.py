"""Pictures that explain a model: attribution and Grad-CAM maps, importance bars; PNG bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import (
    INK,
    PAGE_WIDTH_IN,
    PALETTE,
    SOFT,
    new_figure,
    png,
    style,
)
from landslide_dist.evaluation.furniture import furnish, style_bar
from landslide_dist.evaluation.ground import Ground, aspect_of
from landslide_dist.evaluation.overview import Overview

#: Maps beside each other.
COLUMNS = 3
#: Share of the values within the colours.
WITHIN = 0.995
#: Blue lowers the probability and orange raises it: told apart with every kind of colour vision.
DIVERGING = LinearSegmentedColormap.from_list(
    "attribution", ["#08406e", "#0072B2", "#8fc3e0", "#f7f7f5", "#f0b184", "#D55E00", "#7a3600"]
)


def attribution_maps(
    overview: Overview,
    maps: Mapping[str, NDArray[np.float32]],
    pixel: tuple[int, int] | None = None,
) -> bytes:
    """What each group of inputs adds to the log-odds, all on one scale.

    Args:
        overview: The window at picture scale.
        maps: Group -> values of all raster pixels of the window.
        pixel: Row and column in the raster of the pixel that is explained; None for all.
    """
    limit = max(_quantile(np.abs(values)) for values in maps.values()) or 1.0
    label = "added to the log-odds of a landslide"
    return _panel(overview, maps, pixel, DIVERGING, Normalize(-limit, limit), label, INK)


def grad_cam_maps(
    overview: Overview,
    maps: Mapping[str, NDArray[np.float32]],
    pixel: tuple[int, int] | None = None,
) -> bytes:
    """Where features of a level speak for landslides, each map relative to its own largest.

    Args:
        overview: The window at picture scale.
        maps: Level -> values of all raster pixels of the window.
        pixel: Row and column in the raster of the pixel that is explained; None for all.
    """
    relative = {}
    for name, values in maps.items():
        largest = float(np.nanmax(values, initial=0.0))
        relative[name] = values / np.float32(largest) if largest > 0 else values
    label = "speaks for landslides, relative to the largest"
    return _panel(overview, relative, pixel, colormaps["cividis"], Normalize(0, 1), label, "white")


def importance_bars(groups: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Rise of the NLL and drop of the AUC of each group, most important on top.

    Args:
        groups: Group -> ``nll_rise`` and ``auc_drop``, each with ``mean`` and ``interval``.
    """
    order = sorted(groups, key=lambda name: groups[name]["nll_rise"]["mean"])
    figure = new_figure(PAGE_WIDTH_IN, 0.28 * len(order) + 1.1)
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"nll_rise": "rise of NLL, nats", "auc_drop": "drop of AUC"}
    for axes, (score, title), colour in zip(panels, titles.items(), PALETTE[1::-1], strict=True):
        means = np.array([groups[name][score]["mean"] for name in order])
        ends = np.array([groups[name][score]["interval"] for name in order])
        style(axes, title)
        axes.grid(axis="y", visible=False)
        axes.barh(order, means, height=0.62, color=colour, zorder=2)
        axes.errorbar(
            means, order, xerr=np.abs(ends - means[:, None]).T, fmt="none", ecolor=INK,
            elinewidth=1.0, capsize=2.5, zorder=3,
        )  # fmt: skip
        axes.axvline(0, color=SOFT, linewidth=0.8, zorder=4)
        axes.tick_params(axis="y", labelcolor=INK)
        axes.spines["left"].set_visible(False)
    return png(figure)


def _panel(
    overview: Overview,
    maps: Mapping[str, NDArray[np.float32]],
    pixel: tuple[int, int] | None,
    colours: Colormap,
    norm: Normalize,
    label: str,
    outline: str,
) -> bytes:
    """Maps over the relief, with landslides and the explained pixel in the colour ``outline``."""
    ground = Ground.of(overview)
    landslides = overview.holds("landslide", {1})
    columns = min(COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    width = PAGE_WIDTH_IN * (columns / COLUMNS if columns < COLUMNS else 1)
    figure = new_figure(width, rows * (width / columns * aspect_of(overview) + 0.25) + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, (name, values) in zip(panels.flat, maps.items(), strict=False):
        ground.draw(axes, name.replace("_", " "))
        shrunk = overview.shrunk(values)
        rgba = colours(norm(np.nan_to_num(shrunk)))
        rgba[np.isnan(shrunk), 3] = 0.0
        axes.imshow(ground.shaded(rgba), interpolation="auto")
        if landslides.any() and not landslides.all():
            axes.contour(landslides, levels=[0.5], colors=outline, linewidths=0.5, alpha=0.7)
        _mark(axes, overview, pixel, outline)
    furnish(panels.flat[0], overview)
    image = AxesImage(panels.flat[0], cmap=colours, norm=norm)
    bar = figure.colorbar(image, ax=list(panels.flat), shrink=0.6, aspect=40, location="bottom")
    bar.set_label(f"{label}; landslides outlined", fontsize=8, color=INK)
    style_bar(bar)
    return png(figure)


def _mark(axes: Axes, overview: Overview, pixel: tuple[int, int] | None, colour: str) -> None:
    """A cross on the pixel that is explained."""
    if pixel is None:
        return
    row, column = (
        (place - start) / overview.step
        for place, start in zip(pixel, (overview.window.y0, overview.window.x0), strict=True)
    )
    axes.plot(column, row, "+", color=colour, markersize=9, markeredgewidth=1.4)


def _quantile(values: NDArray[np.float32]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.quantile(finite, WITHIN)) if finite.size else 0.0
