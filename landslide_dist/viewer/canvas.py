"""The map itself: two pictures, one over the other, scale bar, and the marks of a click."""

from collections.abc import Callable
from typing import Any

from bokeh.events import Reset, Tap
from bokeh.models import (
    BasicTickFormatter,
    BoxZoomTool,
    ColumnDataSource,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    TapTool,
    WheelZoomTool,
)
from bokeh.models.annotations import ScaleBar
from bokeh.plotting import figure

from landslide_dist import colours
from landslide_dist.grid import Grid
from landslide_dist.viewer.pictures import Drawn, Slot
from landslide_dist.viewer.readout import Readout
from landslide_dist.viewer.window import View

#: What a map is drawn for until the browser has said how large its window is.
FIRST_SIZE_PX = (1000, 700)
#: Zoomed in furthest, the map's height is this many pixels of the raster.
FEWEST_PIXELS = 12
_NO_MARKS: dict[str, list[Any]] = {"x0": [], "y0": [], "x1": [], "y1": [], "label": []}


class Canvas:
    """The map of one session.

    Args:
        grid: Of level 0.

    Attributes:
        figure: Bokeh's figure.
    """

    def __init__(self, grid: Grid):
        self._grid = grid
        self._size_px = FIRST_SIZE_PX
        self._fitted = False
        # Bokeh's models declare their properties at run time.
        self.figure: Any = _figure(grid)
        self._base, self._overlay = Slot(self.figure, "ground"), Slot(self.figure, "layer")
        self._pixel = ColumnDataSource({"x": [], "y": []})
        self._lines = ColumnDataSource(dict(_NO_MARKS))
        self._add_marks()
        self._fit(*FIRST_SIZE_PX)

    @property
    def view(self) -> View:
        """What the screen shows."""
        x, y = self.figure.x_range, self.figure.y_range
        return View(x.start, y.start, x.end, y.end, *self._size_px)

    def listen(self, moved: Callable[[], None], tapped: Callable[[float, float], None]) -> None:
        """Say what to do on pan and zoom, and on a click."""

        def on_tap(event: Any) -> None:
            if event.x is not None and event.y is not None:
                tapped(event.x, event.y)

        def on_size(side: str, _old: Any, new: int) -> None:
            told[side] = new
            if len(told) == 2 and all(told.values()):
                self._resize(told["inner_width"], told["inner_height"])
                moved()

        told: dict[str, int] = {}
        self.figure.on_event(Tap, on_tap)
        self.figure.on_event(Reset, lambda _: moved())
        for edges in (self.figure.x_range, self.figure.y_range):
            for edge in ("start", "end"):
                edges.on_change(edge, lambda _attr, _old, _new: moved())
        for side in ("inner_width", "inner_height"):
            self.figure.on_change(side, on_size)

    def show(self, base: Drawn | None, overlay: Drawn | None) -> None:
        """Put pictures on the map; those that are there are not sent again."""
        self._base.show(base)
        self._overlay.show(overlay)
        top = overlay or base
        self.figure.title.text = top.layer.title if top else " "

    def fade(self, opacity: float) -> None:
        """How much the overlay hides of the ground."""
        self._overlay.fade(opacity)

    def mark(self, readout: Readout | None) -> None:
        """Show the clicked pixel and the points it looks up to; nothing outside the region."""
        points = readout.uphill if readout else ()
        self._pixel.data = {"x": [readout.x], "y": [readout.y]} if readout else {"x": [], "y": []}
        self._lines.data = {
            "x0": [readout.x for _ in points] if readout else [],
            "y0": [readout.y for _ in points] if readout else [],
            "x1": [point.x for point in points],
            "y1": [point.y for point in points],
            "label": [f"{point.distance}: {point.rise_m:+.0f} m" for point in points],
        }

    def _add_marks(self) -> None:
        for colour, width in (("white", 5), (colours.INK, 2)):
            self.figure.segment(
                x0="x0", y0="y0", x1="x1", y1="y1", source=self._lines, line_color=colour,
                line_width=width,
            )  # fmt: skip
        self.figure.scatter(
            "x1", "y1", source=self._lines, marker="triangle", size=11, fill_color="#ffd92f",
            line_color=colours.INK, name="uphill",
        )  # fmt: skip
        self.figure.text(
            "x1", "y1", text="label", source=self._lines, x_offset=9, y_offset=5,
            text_font_size="12px", text_color=colours.INK, background_fill_color="white",
            background_fill_alpha=0.85, padding=2,
        )  # fmt: skip
        self.figure.scatter(
            "x", "y", source=self._pixel, size=11, fill_color="white", line_color=colours.INK,
            line_width=2, name="clicked",
        )  # fmt: skip

    def _resize(self, width_px: int, height_px: int) -> None:
        """Square pixels for the size that the browser gives the map."""
        self._size_px = width_px, height_px
        if not self._fitted:
            self._fitted = True
            self._fit(width_px, height_px)
            return
        # The height follows the width.
        x, y = self.figure.x_range, self.figure.y_range
        middle, half = (y.start + y.end) / 2, (x.end - x.start) / width_px * height_px / 2
        y.update(start=middle - half, end=middle + half)

    def _fit(self, width_px: int, height_px: int) -> None:
        """Show the whole region in square pixels."""
        left, bottom, right, top = self._grid.bounds
        step = 1.04 * max((right - left) / width_px, (top - bottom) / height_px)
        for edges, middle, size in (
            (self.figure.x_range, (left + right) / 2, width_px),
            (self.figure.y_range, (bottom + top) / 2, height_px),
        ):
            start, end = middle - step * size / 2, middle + step * size / 2
            edges.update(start=start, end=end, reset_start=start, reset_end=end)


def _figure(grid: Grid) -> Any:
    left, bottom, right, top = grid.bounds
    pan, wheel = PanTool(), WheelZoomTool(zoom_on_axis=False)
    plot: Any = figure(
        x_range=_range(left, right, grid), y_range=_range(bottom, top, grid), title=" ",
        sizing_mode="stretch_both", active_drag=pan, active_scroll=wheel, name="map",
        tools=[pan, wheel, BoxZoomTool(match_aspect=True), TapTool(), ResetTool(), SaveTool()],
        background_fill_color="#ffffff", min_border=6, x_axis_label="Easting (m)",
        y_axis_label="Northing (m)",
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.grid.visible = False
    plot.title.update(text_font_size="15px", text_color=colours.INK)
    plot.axis.formatter = BasicTickFormatter(use_scientific=False)
    for axis in plot.axis:
        axis.update(
            axis_label_text_font_style="normal", axis_label_text_color=colours.SOFT,
            major_label_text_color=colours.SOFT, axis_line_color=colours.FAINT,
            minor_tick_line_color=None,
        )  # fmt: skip
    plot.yaxis.major_label_orientation = "vertical"
    plot.outline_line_color = colours.FAINT
    bar: Any = ScaleBar
    plot.add_layout(
        bar(
            range=plot.x_range, unit="m", orientation="horizontal", location="bottom_left",
            bar_length=0.12, background_fill_color="#ffffff", background_fill_alpha=0.85,
            border_line_color=None,
        )
    )  # fmt: skip
    return plot


def _range(start: float, end: float, grid: Grid) -> Range1d:
    edges: Any = Range1d
    made: Range1d = edges(
        start=start, end=end, min_interval=FEWEST_PIXELS * grid.pixel_m,
        max_interval=8 * grid.pixel_m * max(grid.shape),
    )  # fmt: skip
    return made
