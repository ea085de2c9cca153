"""Values -> colours: arrays of RGBA bytes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landslide_dist.schema import UNLABELLED
from landslide_dist.viewer.layers import Layer, susceptible
from landslide_dist.viewer.window import Extract, read_overview

#: Names of susceptibility classes, from the least to the most.
CLASS_NAMES = ("very low", "low", "moderate", "high", "very high")
#: Shares of the area below the thresholds that are proposed.
CLASS_SHARES = (0.5, 0.75, 0.9, 0.97)
#: Faintest landslide: the share of a pixel's labels is the rest of the opacity.
FAINTEST = 0.35

Rgba = NDArray[np.uint8]


@dataclass(frozen=True)
class Style:
    """How a layer is coloured.

    Attributes:
        low: Value of the first colour.
        high: Value of the last.
        is_log: Whether colours go by orders of magnitude.
        thresholds: Class borders of a probability; empty for a continuous scale.
        threshold: Of errors: probability from which a landslide is predicted.
        parts: Of errors: the values of ``split`` that are shown.
    """

    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    thresholds: tuple[float, ...] = ()
    threshold: float = 0.5
    parts: frozenset[int] = frozenset({0, 1, 2})


def default_style(layer: Layer) -> Style:
    """A scale that fits the whole layer, from its coarsest level."""
    if layer.kind == "direction":
        return Style(0.0, 360.0)
    if layer.kind == "errors":
        return Style(threshold=layer.threshold)
    if layer.kind not in ("continuous", "probability"):
        return Style()
    values = read_overview(layer).values[0]
    finite = values[np.isfinite(values)]
    if not finite.size:
        return Style()
    low, high = (float(v) for v in np.quantile(finite, (0.02, 0.98)))
    if layer.kind == "continuous":
        return Style(low, high if high > low else low + 1.0)
    top = float(np.quantile(finite, 0.995))
    bottom = max(float(np.quantile(finite, 0.05)), top / 300, 1e-6)
    # Probabilities of one map differ by orders of magnitude.
    return Style(_rounded(bottom), _rounded(max(top, 1.5 * bottom)), is_log=True)


def proposed_thresholds(layer: Layer) -> tuple[float, ...]:
    """The run's class borders, else those of usual shares of the area, in readable numbers."""
    if layer.borders:
        return layer.borders
    values = read_overview(layer).values[0]
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ()
    borders = {_rounded(float(v)) for v in np.quantile(finite, CLASS_SHARES)}
    return tuple(sorted(border for border in borders if border > 0))


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def paint(layer: Layer, extract: Extract, style: Style) -> Rgba:
    """Colours of a layer.

    Returns:
        ``(y, x, 4)`` uint8, transparent where there is nothing to show.
    """
    values = extract.values[0]
    if layer.kind == "relief":
        return ramp(layer.colours, values, Style())
    if layer.kind == "share":
        return _shares(values, layer.colours[0])
    if layer.kind == "classes":
        return by_code(values, {code: flag.colour for code, flag in layer.classes.items()})
    if layer.kind == "errors":
        codes = outcomes(extract, style)
        return by_code(codes, {code: flag.colour for code, flag in layer.classes.items()})
    if layer.kind == "probability" and style.thresholds:
        return by_code(classed(values, style.thresholds), dict(enumerate(class_colours(style))))
    return ramp(layer.colours, values, style)


def ramp(stops: tuple[str, ...], values: NDArray[np.floating], style: Style) -> Rgba:
    """Colours between the stops, evenly spaced from low to high."""
    table = np.stack(
        [
            np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(stops)), channel)
            for channel in np.array([rgb(stop) for stop in stops], dtype=np.float64).T
        ],
        axis=1,
    )
    finite = np.isfinite(values)
    out = np.zeros((*values.shape, 4), dtype=np.uint8)
    out[..., :3] = np.rint(table).astype(np.uint8)[_positions(values, finite, style)]
    out[~finite] = 0
    out[finite, 3] = 255
    return out


def _positions(
    values: NDArray[np.floating], finite: NDArray[np.bool_], style: Style
) -> NDArray[np.uint8]:
    low, high = style.low, style.high
    filled = np.where(finite, values, low)
    if style.is_log:
        low = max(low, 1e-9)
        filled, low, high = np.log(np.maximum(filled, 1e-9)), np.log(low), np.log(max(high, 1e-9))
    share = (filled - low) / (high - low if high > low else 1.0)
    return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def by_code(codes: NDArray[np.integer], palette: dict[int, str]) -> Rgba:
    """The colour of each code; others are transparent."""
    table = np.zeros((1 + int(np.iinfo(codes.dtype).max), 4), dtype=np.uint8)
    for code, colour in palette.items():
        table[code] = (*rgb(colour), 255)
    return np.asarray(table[codes])


def classed(probability: NDArray[np.floating], thresholds: tuple[float, ...]) -> NDArray[np.uint8]:
    """Class of each probability, 255 where there is none; a border belongs to the class above."""
    codes: NDArray[np.uint8] = np.digitize(probability, thresholds).astype(np.uint8)
    codes[~np.isfinite(probability)] = UNLABELLED
    return codes


def class_colours(style: Style) -> tuple[str, ...]:
    """Colours of the classes between the thresholds."""
    return susceptible(len(style.thresholds) + 1)


def class_names(style: Style) -> tuple[str, ...]:
    """Names of the classes: words for five, else their numbers."""
    number = len(style.thresholds) + 1
    return CLASS_NAMES if number == len(CLASS_NAMES) else tuple(str(n + 1) for n in range(number))


def outcomes(extract: Extract, style: Style) -> NDArray[np.uint8]:
    """2 x landslide + predicted landslide at labelled pixels of the shown parts; 255 elsewhere."""
    label, probability, part = extract.values
    shown = np.isfinite(label) & np.isfinite(probability) & np.isin(part, sorted(style.parts))
    codes = 2 * (label == 1).astype(np.uint8) + (probability >= style.threshold).astype(np.uint8)
    return np.where(shown, codes, UNLABELLED).astype(np.uint8)


def _shares(values: NDArray[np.floating], colour: str) -> Rgba:
    out = np.zeros((*values.shape, 4), dtype=np.uint8)
    some = np.nan_to_num(values) > 0
    out[some, :3] = rgb(colour)
    out[some, 3] = np.rint(255 * (FAINTEST + (1 - FAINTEST) * values[some])).astype(np.uint8)
    return out


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def with_range(style: Style, low: float, high: float) -> Style:
    """The style with another colour range; an empty one is left as it is."""
    return replace(style, low=low, high=high) if high > low else style


def packed(colours_: Rgba) -> NDArray[np.uint32]:
    """One number a pixel, the lowest row first, as the browser draws it."""
    return np.ascontiguousarray(colours_[::-1]).view(np.uint32)[..., 0]
