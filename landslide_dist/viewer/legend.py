"""What the colours of a layer mean, as HTML."""

import itertools
from collections.abc import Sequence
from html import escape

import numpy as np

from landslide_dist import colours
from landslide_dist.viewer.layers import RGB, Layer
from landslide_dist.viewer.paint import Style, class_colours, class_names, outcomes
from landslide_dist.viewer.window import Extract

#: Classes that a legend names; the rest of what is in sight is counted.
MAX_CLASSES = 14
COMPOSITE_COLOURS = ("#d33a2c", "#3a9b4b", "#2f6fd0")


def legend(layer: Layer, extract: Extract, style: Style) -> str:
    """The legend of what is in sight."""
    if layer.kind == "relief":
        return ""
    head = f"<b>{escape(layer.title)}</b>"
    if layer.kind == "composite":
        return head + _swatches(_stretched(layer, style)) + f'<p class="note">{_COMPOSITE}</p>'
    if layer.kind == "probability" and style.thresholds:
        return head + _swatches(_class_rows(style))
    if layer.kind == "share":
        where = "share of the labelled pixels" if extract.level else "labelled pixels"
        return head + _swatches([(layer.colours[0], f"landslide ({where})")])
    if layer.kind == "classes":
        return head + _swatches(_classes_in_sight(layer, extract))
    if layer.kind == "errors":
        return head + _swatches(_outcome_rows(layer, extract, style)) + _note(extract, style)
    if layer.kind == "direction":
        return head + _bar(layer.colours, ["N", "E", "S", "W", "N"])
    return head + _bar(layer.colours, _ticks(layer, style))


_COMPOSITE = "Each from the 2nd to the 98th percentile. What is not clear is left out."


def _stretched(layer: Layer, style: Style) -> list[tuple[str, str]]:
    units = "" if layer.units in ("", "1") else f" x {layer.units}"
    named = zip(COMPOSITE_COLOURS, RGB, style.stretch, strict=True)
    return [(c, f"{name}: {low:.0f} – {high:.0f}{units}") for c, name, (low, high) in named]


def _ticks(layer: Layer, style: Style) -> list[str]:
    scale = np.geomspace if style.is_log and style.low > 0 else np.linspace
    numbers = scale(style.low, style.high, 4)
    spread = max(abs(style.low), abs(style.high))
    texts = [f"{v:.0f}" if spread >= 100 else f"{v:.2g}" for v in numbers.tolist()]
    units = "" if layer.units in ("", "1") else f" {layer.units}"
    texts[-1] += units
    return texts


def _bar(stops: Sequence[str], ticks: Sequence[str]) -> str:
    labels = "".join(f"<span>{escape(tick)}</span>" for tick in ticks)
    return (
        f'<div class="bar" style="background:linear-gradient(90deg,{",".join(stops)})"></div>'
        f'<div class="ticks">{labels}</div>'
    )


def _swatches(rows: Sequence[tuple[str, str]]) -> str:
    items = "".join(
        f'<div class="row"><i style="background:{colour}"></i>{escape(name)}</div>'
        for colour, name in rows
    )
    return f'<div class="swatches">{items}</div>'


def _class_rows(style: Style) -> list[tuple[str, str]]:
    borders = [f"{threshold:g}" for threshold in style.thresholds]
    ranges = [f"< {borders[0]}"]
    ranges += [f"{low} – {high}" for low, high in itertools.pairwise(borders)]
    ranges += [f"≥ {borders[-1]}"]
    named = zip(class_colours(style), class_names(style), ranges, strict=True)
    return [(colour, f"{name} ({between})") for colour, name, between in reversed(list(named))]


def _classes_in_sight(layer: Layer, extract: Extract) -> list[tuple[str, str]]:
    codes, counts = np.unique(extract.values[0], return_counts=True)
    seen = [int(c) for c in codes[np.argsort(-counts, kind="stable")] if int(c) in layer.classes]
    flags = {layer.classes[code].name: layer.classes[code].colour for code in seen}
    rows = [(colour, name) for name, colour in flags.items()]
    if len(rows) > MAX_CLASSES:
        more = len(rows) - MAX_CLASSES
        rows = [*rows[:MAX_CLASSES], (colours.FAINT, f"and {more} more in sight")]
    return rows


def _outcome_rows(layer: Layer, extract: Extract, style: Style) -> list[tuple[str, str]]:
    codes = outcomes(extract, style)
    counts = {code: int((codes == code).sum()) for code in layer.classes}
    total = max(1, sum(counts.values()))
    return [
        (flag.colour, f"{flag.name}: {100 * counts[code] / total:.1f} %")
        for code, flag in layer.classes.items()
    ]


def _note(extract: Extract, style: Style) -> str:
    sample = " A sample of single pixels; zoom in for all." if extract.level else ""
    return f'<p class="note">Predicted from {style.threshold:.3g} on.{sample}</p>'
