"""One session: a map that reads what it shows, when it shows it."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from typing import Any

from bokeh.document import Document
from bokeh.layouts import row

from landslide_dist.errors import LandslideDistError
from landslide_dist.grid import Grid
from landslide_dist.progress import console
from landslide_dist.viewer.canvas import Canvas
from landslide_dist.viewer.controls import Controls, Defaults
from landslide_dist.viewer.layers import Layer
from landslide_dist.viewer.legend import legend
from landslide_dist.viewer.paint import Style
from landslide_dist.viewer.pictures import Drawn, draw
from landslide_dist.viewer.readout import Readout, read_pixel
from landslide_dist.viewer.window import View, in_sight

#: Pause after a movement before the picture is read anew: one for a whole turn of the wheel.
PAUSE_MS = 120

Pictures = tuple[Drawn | None, Drawn | None]


@dataclass(frozen=True)
class Atlas:
    """What all sessions share.

    Attributes:
        title: Of the run.
        layers: What can be shown.
        grid: Of level 0.
        parts: Values of ``split`` by part.
        pool: Threads that read.
        defaults: Scales that fit each layer.
    """

    title: str
    layers: Sequence[Layer]
    grid: Grid
    parts: Mapping[str, frozenset[int]]
    pool: Executor
    defaults: Defaults = field(default_factory=Defaults.empty)


class MapPage:
    """The map of one browser tab."""

    def __init__(self, document: Document, atlas: Atlas):
        self._document, self._atlas = document, atlas
        self._is_due = self._is_busy = self._is_outdated = False
        self._shown: Pictures = (None, None)
        self.canvas = Canvas(atlas.grid)
        self.controls = Controls(
            atlas.title, atlas.layers, atlas.parts, atlas.defaults, self._draw_soon,
            self.canvas.fade,
        )  # fmt: skip
        self.canvas.fade(float(self.controls.opacity.value))
        self._show(self.draw())
        self.canvas.listen(self._draw_soon, self._tapped)
        document.title = f"{atlas.title} – landslide map"
        document.add_root(row(self.controls.panel, self.canvas.figure, sizing_mode="stretch_both"))

    def draw(self) -> Pictures:
        """What the chosen layers show where the map stands now."""
        return _draw(self.canvas.view, self._shown, *self._chosen())

    def _chosen(self) -> tuple[tuple[Layer, Style] | None, ...]:
        chosen = self.controls.base_layer, self.controls.overlay_layer
        return tuple((layer, self.controls.style(layer)) if layer else None for layer in chosen)

    def _show(self, drawn: Pictures) -> None:
        self._shown = drawn
        self.canvas.show(*drawn)
        top = drawn[1] or drawn[0]
        if top is not None:
            self.controls.legend.text = legend(
                top.layer, in_sight(top.extract, self.canvas.view), top.style
            )
            self.controls.status.text = _status(top)

    def _draw_soon(self) -> None:
        """One picture for all changes of a moment."""
        if not self._is_due:
            self._is_due = True
            self._document.add_timeout_callback(self._begin, PAUSE_MS)

    def _begin(self) -> None:
        self._is_due = False
        if self._is_busy:
            self._is_outdated = True
            return
        self._is_busy = True
        work = partial(_draw, self.canvas.view, self._shown, *self._chosen())
        self._in_background(work, self._drawn)

    def _drawn(self, drawn: Pictures | None) -> None:
        self._is_busy = False
        if drawn is not None:
            self._show(drawn)
        if self._is_outdated:
            self._is_outdated = False
            self._draw_soon()

    def _tapped(self, x: float, y: float) -> None:
        layers, overlay = self._atlas.layers, self.controls.overlay_layer
        if overlay is not None and overlay.kind == "errors":
            # As it is painted.
            shown = replace(overlay, threshold=self.controls.style(overlay).threshold)
            layers = tuple(shown if layer is overlay else layer for layer in layers)
        work = partial(read_pixel, layers, self._atlas.grid, x, y)
        self._in_background(work, self._read)

    def _read(self, readout: Readout | None) -> None:
        self.canvas.mark(readout)
        outside = '<p class="note">Outside the region.</p>'
        self.controls.readout.text = readout.html() if readout else outside

    def _in_background(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do what may wait for a store in a thread, so that no other session waits for it."""

        def finish(future: Future[Any]) -> None:
            self._document.add_next_tick_callback(partial(self._finish, future, then))

        self._atlas.pool.submit(work).add_done_callback(finish)

    def _finish(self, future: Future[Any], then: Callable[[Any], None]) -> None:
        error = future.exception()
        if error is None:
            then(future.result())
            return
        self._is_busy = False
        reason = " ".join(str(error).split())
        if not isinstance(error, LandslideDistError):
            console.print("".join(traceback.format_exception(error)), markup=False)
        self.controls.status.text = f"<p><b>This could not be read:</b> {escape(reason)}</p>"


def _draw(view: View, shown: Pictures, *chosen: tuple[Layer, Style] | None) -> Pictures:
    base, overlay = (
        draw(one[0], view, one[1], before) if one else None
        for one, before in zip(chosen, shown, strict=True)
    )
    return base, overlay


def _status(drawn: Drawn) -> str:
    extract = drawn.extract
    size = extract.window.height * extract.window.width / 1e6
    which = "every pixel" if extract.level == 0 else f"level {extract.level}"
    return f'<p class="note">Shown at {extract.grid.pixel_m:g} m: {which}, {size:.2f} Mpx read.</p>'
