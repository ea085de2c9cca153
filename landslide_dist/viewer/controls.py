"""The panel beside the map: which layers, how they are coloured, what the colours mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bokeh.layouts import column, row
from bokeh.models.layouts import Column
from bokeh.models.widgets import (
    CheckboxGroup,
    Div,
    NumericInput,
    Select,
    Slider,
    TextInput,
)

from landslide_dist.viewer.layers import GROUPS, Layer
from landslide_dist.viewer.paint import Style, default_style, proposed_thresholds

NONE = "none"
WIDTH_PX = 300
_STYLE = """
:host { font: 13px/1.4 system-ui, sans-serif; color: #22262b; }
h1 { font-size: 17px; margin: 0 0 2px; } p { margin: 2px 0; } .note { color: #6b7280; }
.bk-clearfix { width: 100%; }
.bar { height: 12px; border-radius: 2px; margin: 4px 0 2px; border: 1px solid #c9ced6; }
.ticks { display: flex; justify-content: space-between; font-size: 12px; }
.row { display: flex; align-items: center; gap: 7px; }
.row i { flex: none; width: 15px; height: 12px; border-radius: 2px; border: 1px solid #0003; }
table { border-collapse: collapse; width: 100%; } td { padding: 1px 4px 1px 0; vertical-align: top;
border-bottom: 1px solid #e3e6ea; } td:last-child { text-align: right; }
"""


@dataclass
class Defaults:
    """Scales that fit each layer; computed once for all sessions."""

    styles: dict[str, Style]
    thresholds: dict[str, tuple[float, ...]]

    @classmethod
    def empty(cls) -> "Defaults":
        """None computed yet."""
        return cls({}, {})

    def style(self, layer: Layer) -> Style:
        """The scale of a layer."""
        if layer.key not in self.styles:
            self.styles[layer.key] = default_style(layer)
        return self.styles[layer.key]

    def classes(self, layer: Layer) -> tuple[float, ...]:
        """Proposed borders of susceptibility classes."""
        if layer.key not in self.thresholds:
            self.thresholds[layer.key] = proposed_thresholds(layer)
        return self.thresholds[layer.key]


class Controls:
    """The widgets of one session.

    Args:
        title: Of the run.
        layers: What can be chosen.
        parts: Values of ``split`` by part.
        defaults: Scales that fit.
        changed: Called when the picture is to be drawn anew.
        faded: Called with the overlay's opacity.
    """

    def __init__(
        self,
        title: str,
        layers: Sequence[Layer],
        parts: Mapping[str, frozenset[int]],
        defaults: Defaults,
        changed: Callable[[], None],
        faded: Callable[[float], None],
    ):
        self._layers = {layer.key: layer for layer in layers}
        self._parts, self._defaults, self._changed = parts, defaults, changed
        self._filling = False
        options: dict[str, Any] = _options(layers)
        self.title = _div(f"<h1>{title}</h1>")
        self.base = Select(
            title="Ground", name="base", options=options, value=layers[0].key, width=WIDTH_PX
        )
        self.overlay = Select(
            title="Layer", name="overlay", options={"": [(NONE, "None")], **options},
            value=_first_choice(layers), width=WIDTH_PX,
        )  # fmt: skip
        self.opacity = Slider(
            title="Opacity of the layer", name="opacity", start=0, end=1, step=0.05, value=0.65,
            width=WIDTH_PX - 20,
        )  # fmt: skip
        half = WIDTH_PX // 2 - 5
        self.low = NumericInput(title="Colours from", name="low", mode="float", width=half)
        self.high = NumericInput(title="to", name="high", mode="float", width=half)
        self.in_classes = CheckboxGroup(labels=["In susceptibility classes"], name="in_classes")
        self.borders = TextInput(title="Class borders", name="borders", width=WIDTH_PX)
        self.threshold = NumericInput(
            title="Landslide predicted from", name="threshold", mode="float", low=0, high=1,
            width=WIDTH_PX,
        )  # fmt: skip
        self.parts = CheckboxGroup(
            labels=list(parts), name="parts", active=list(range(len(parts))), inline=True
        )
        self.range = row(self.low, self.high)
        self.legend, self.status, self.readout = (
            _div("", "legend"), _div("", "status"), _div(_HINT, "readout"),
        )  # fmt: skip
        self.panel: Column = column(
            self.title, self.base, self.overlay, self.opacity, self.range, self.in_classes,
            self.borders, self.threshold, self.parts, self.legend, self.status, self.readout,
            width=WIDTH_PX + 24, sizing_mode="stretch_height", name="panel",
            styles={"overflow-y": "auto", "padding": "10px", "background": "#ffffff"},
        )  # fmt: skip
        self._listen(faded)
        self._fill()

    @property
    def base_layer(self) -> Layer:
        """The lower of the two."""
        return self._layers[self.base.value]

    @property
    def overlay_layer(self) -> Layer | None:
        """The upper one, if any is chosen."""
        return self._layers.get(self.overlay.value)

    def style(self, layer: Layer) -> Style:
        """How a layer is coloured: the overlay as chosen, the ground as it fits."""
        style = self._defaults.style(layer)
        if layer is not self.overlay_layer:
            return style
        if layer.kind in ("continuous", "probability"):
            low, high = self.low.value, self.high.value
            if low is not None and high is not None and low < high:
                style = replace(style, low=low, high=high, is_log=style.is_log and low > 0)
        if layer.kind == "probability" and self.in_classes.active:
            style = replace(style, thresholds=numbers(self.borders.value))
        if layer.kind == "errors":
            names = [list(self._parts)[index] for index in self.parts.active]
            shown = frozenset().union(*(self._parts[name] for name in names))
            threshold = self.threshold.value
            style = replace(
                style, parts=shown, threshold=style.threshold if threshold is None else threshold
            )
        return style

    def _listen(self, faded: Callable[[float], None]) -> None:
        self.base.on_change("value", self._on_change)
        self.overlay.on_change("value", lambda _attr, _old, _new: self._fill())
        self.opacity.on_change("value", lambda _attr, _old, new: faded(new))
        for widget in (self.low, self.high, self.borders, self.threshold):
            widget.on_change("value", self._on_change)
        for group in (self.in_classes, self.parts):
            group.on_change("active", self._on_change)

    def _on_change(self, _attr: str, _old: Any, _new: Any) -> None:
        self._refresh()

    def _refresh(self) -> None:
        self.borders.visible = self._has_classes
        if not self._filling:
            self._changed()

    @property
    def _has_classes(self) -> bool:
        layer = self.overlay_layer
        is_probability = layer is not None and layer.kind == "probability"
        return is_probability and bool(self.in_classes.active)

    def _fill(self) -> None:
        """Show what can be set for the chosen layer, at what fits it."""
        layer = self.overlay_layer
        kind = layer.kind if layer else NONE
        self._filling = True
        try:
            if layer is not None:
                style = self._defaults.style(layer)
                if kind in ("continuous", "probability"):
                    self.low.value, self.high.value = _plain(style.low), _plain(style.high)
                if kind == "probability":
                    self.borders.value = ", ".join(f"{v:g}" for v in self._defaults.classes(layer))
                if kind == "errors":
                    self.threshold.value = _plain(style.threshold)
            self.range.visible = kind in ("continuous", "probability")
            self.in_classes.visible = kind == "probability"
            self.threshold.visible = self.parts.visible = kind == "errors"
        finally:
            self._filling = False
        self._refresh()


_HINT = '<p class="note">Click the map for the values of a pixel.</p>'


def numbers(text: str) -> tuple[float, ...]:
    """Ascending probabilities of a text such as ``0.05, 0.2``; what is no number is left out."""
    found = set()
    for word in text.replace(";", " ").replace(",", " ").split():
        try:
            found.add(float(word))
        except ValueError:
            continue
    return tuple(sorted(number for number in found if 0 < number < 1))


def _plain(value: float) -> float:
    return float(f"{value:.3g}")


def _options(layers: Sequence[Layer]) -> dict[str, Any]:
    grouped = {
        group: [(layer.key, layer.title) for layer in layers if layer.group == group]
        for group in GROUPS
    }
    return {group: entries for group, entries in grouped.items() if entries}


def _first_choice(layers: Sequence[Layer]) -> str:
    """The last of the models, which is the one that a run is made for; else labels or slope."""
    models = [layer.key for layer in layers if layer.key.startswith("probability ")]
    others = [layer.key for layer in layers if layer.key in ("slope", "landslide")]
    return [NONE, *others[:1], *models][-1]


def _div(text: str, name: str = "") -> Div:
    return Div(text=text, name=name, width=WIDTH_PX, stylesheets=[_STYLE])
