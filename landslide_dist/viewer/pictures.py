"""Pictures of layers: drawn anew where something changed, and sent to the browser only then."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, LinearColorMapper

from landslide_dist.viewer import palette
from landslide_dist.viewer.layers import Layer
from landslide_dist.viewer.paint import Painted, Style, paint
from landslide_dist.viewer.window import Extract, View, read_view


@dataclass(frozen=True, eq=False)
class Drawn:
    """A layer as it goes to the browser."""

    layer: Layer
    extract: Extract
    style: Style
    painted: Painted


def draw(layer: Layer, view: View, style: Style, before: Drawn | None = None) -> Drawn:
    """Read and colour what a view shows of a layer.

    Args:
        layer: The layer.
        view: What the screen shows.
        style: How it is coloured.
        before: What is drawn now; it is given back where nothing is to change.
    """
    shown = before if before is not None and before.layer is layer else None
    extract = read_view(layer, view, shown.extract if shown else None)
    if shown is not None and extract is shown.extract and style == shown.style:
        return shown
    return Drawn(layer, extract, style, paint(layer, extract, style))


class Slot:
    """A place for one picture on a map: bytes and their palette, or a composite.

    Args:
        plot: Bokeh's figure.
        name: Of the renderer of bytes; that of composites is called ``<name> rgb``.
    """

    def __init__(self, plot: Any, name: str):
        self._drawn: Drawn | None = None
        # The mapper takes equal bins: byte n is the palette's entry n.
        self._mapper: Any = LinearColorMapper(palette=palette.by_code({}), low=0, high=palette.SIZE)
        place = {"x": "x", "y": "y", "dw": "dw", "dh": "dh"}
        self._bytes = plot.image(
            "image", **place, source=ColumnDataSource(_columns(None)), name=name,
            color_mapper=self._mapper,
        )  # fmt: skip
        self._rgba = plot.image_rgba(
            "image", **place, source=ColumnDataSource(_columns(None)), name=f"{name} rgb"
        )

    def show(self, drawn: Drawn | None) -> None:
        """Put a picture here, or none; the one that is there is not sent again."""
        if drawn is self._drawn:
            return
        self._drawn = drawn
        colours = drawn.painted.palette if drawn else None
        self._fill(self._rgba, drawn if colours is None else None)
        if colours is not None and colours != self._mapper.palette:
            # Bytes are never seen in the colours of others.
            self._fill(self._bytes, None)
            self._mapper.palette = colours
        self._fill(self._bytes, drawn if colours is not None else None)

    def fade(self, opacity: float) -> None:
        """How much the picture hides of what is below."""
        for renderer in (self._bytes, self._rgba):
            renderer.glyph.global_alpha = opacity

    def _fill(self, renderer: Any, drawn: Drawn | None) -> None:
        columns = _columns(drawn)
        if columns["image"] or renderer.data_source.data["image"]:
            renderer.data_source.data = columns


def _columns(drawn: Drawn | None) -> dict[str, list[Any]]:
    if drawn is None or not drawn.painted.pixels.size:
        return {"image": [], "x": [], "y": [], "dw": [], "dh": []}
    left, bottom, right, top = drawn.extract.bounds
    # The lowest row comes first.
    image = np.ascontiguousarray(drawn.painted.pixels[::-1])
    return {
        "image": [image],
        "x": [left],
        "y": [bottom],
        "dw": [right - left],
        "dh": [top - bottom],
    }
