"""The page of one mapped event: images, probability, inventory; as a single HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np

from landslide_dist.evaluation.drawing import (
    INK,
    PAGE_WIDTH_IN,
    PRINT_DPI,
    SUSCEPTIBILITY,
    new_figure,
    png,
)
from landslide_dist.evaluation.events import EventMap
from landslide_dist.evaluation.events_confusion import (
    COLOURS,
    MASKED,
    OUTLINE,
    PANEL_PX,
    draw_image,
    shrunk,
)
from landslide_dist.evaluation.furniture import colour_bar, furnish, scale_bar
from landslide_dist.evaluation.magnitude import magnitude_frequency_figure
from landslide_dist.evaluation.report import Picture, page
from landslide_dist.evaluation.sections import TextTable

#: The largest landslides that are listed.
LISTED = 12
#: Fewer landslides have no distribution of areas to speak of.
MIN_FOR_MAGNITUDES = 20


@dataclass(frozen=True)
class EventFound:
    """What was mapped of an event.

    Attributes:
        shown: Images and probability; ``landslide`` is what was mapped.
        landslides: The inventory.
        model_hash: Of the model.
        trained_on: Events that the model was trained on, as its checkpoint names them.
        threshold: Probability from which a pixel is landslide.
    """

    shown: EventMap
    landslides: gpd.GeoDataFrame
    model_hash: str
    trained_on: Sequence[Mapping[str, Any]]
    threshold: float | str


@dataclass(frozen=True)
class _Panel:
    shape: tuple[int, int]
    pixel_m: float


def event_figure(found: EventFound) -> bytes:
    """Image before, image after with what was mapped, probability; PNG."""
    shown = found.shown
    step = max(1, -(-max(shown.probability.shape) // PANEL_PX))
    pre, post = shrunk(shown.pre, step), shrunk(shown.post, step)
    probability = shrunk(shown.probability[..., None], step)[..., 0]
    mapped = shrunk((shown.landslide == 1).astype(np.float32)[..., None], step)[..., 0]
    height, width = probability.shape
    panel_in = PAGE_WIDTH_IN / 3
    figure = new_figure(PAGE_WIDTH_IN, panel_in * min(2.0, max(0.4, height / width)) + 0.7)
    before, after, risk = figure.subplots(1, 3)
    titles = ("before", "after, with what was mapped", "probability of landslide")
    for axes, title in zip((before, after, risk), titles, strict=True):
        axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize=8.5, color=INK, fontweight="bold")
    draw_image(before, pre)
    draw_image(after, post)
    if (mapped >= 0.5).any():
        after.contour(mapped, levels=[0.5], colors=OUTLINE, linewidths=0.6)
    colours = SUSCEPTIBILITY.with_extremes(bad=COLOURS[MASKED])
    image = risk.imshow(probability, cmap=colours, vmin=0, vmax=1)
    colour_bar(figure, risk, image)
    panel = _Panel((height, width), shown.pixel_m * step)
    scale_bar(before, panel)
    furnish(risk, panel)
    return png(figure, PRINT_DPI)


def render_event(name: str, found: EventFound, settings: str) -> str:
    """The page of an event.

    Args:
        name: Of the event.
        found: What was mapped.
        settings: The whole configuration as YAML.
    """
    landslides = found.landslides
    areas = landslides["area_m2"].to_numpy(dtype=np.float64)
    magnitudes = None
    if len(areas) >= MIN_FOR_MAGNITUDES:
        figure = magnitude_frequency_figure({name: areas})
        magnitudes = Picture("How many of which size", "", figure)
    return page(
        "event.html.j2",
        title=name,
        figure_map=Picture("Images and map", "", event_figure(found)),
        num=f"{len(areas):,}",
        area=f"{areas.sum() / 1e6:,.3g}",
        largest=f"{areas.max():,.0f}" if len(areas) else "–",
        unseen=f"{float(np.isnan(found.shown.probability).mean()):.0%}",
        threshold=str(found.threshold),
        model=found.model_hash,
        trained_on=[str(event["name"]) for event in found.trained_on],
        table=_largest(landslides),
        magnitudes=magnitudes,
        config=settings,
    )


def _largest(landslides: gpd.GeoDataFrame) -> TextTable:
    rows = landslides.nlargest(LISTED, "area_m2")
    return TextTable(
        "The largest landslides",
        ("number", "area, m²", "confidence", "slope", "east, north, m"),
        [
            [
                str(row.id),
                f"{row.area_m2:,.0f}",
                f"{row.confidence_mean:.2f}",
                f"{row.slope_mean_deg:.0f}°",
                f"{row.centroid_x_m:.0f}, {row.centroid_y_m:.0f}",
            ]
            for row in rows.itertuples()
        ],
    )
