"""Values -> one byte a pixel and the palette of it; of composites, colours themselves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landslide_dist.schema import UNLABELLED
from landslide_dist.viewer import palette
from landslide_dist.viewer.layers import Layer
from landslide_dist.viewer.palette import Palette
from landslide_dist.viewer.window import Extract, read_overview

#: Names of susceptibility classes, from the least to the most.
CLASS_NAMES = ("very low", "low", "moderate", "high", "very high")
#: Shares of the area below the thresholds that are proposed.
CLASS_SHARES = (0.5, 0.75, 0.9, 0.97)
#: Shares of the values below which a scale begins and ends.
SCALE_SHARES = (0.02, 0.98)


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
        stretch: Of a composite: darkest and brightest value of red, green, blue.
    """

    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    thresholds: tuple[float, ...] = ()
    threshold: float = 0.5
    parts: frozenset[int] = frozenset({0, 1, 2})
    stretch: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Painted:
    """A picture, ``(y, x)``.

    Attributes:
        pixels: Bytes that a palette explains, or RGBA in one number each.
        palette: Colour of each byte; None of RGBA.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint32]
    palette: Palette | None = None


def default_style(layer: Layer) -> Style:
    """A scale that fits the whole layer, from its coarsest level."""
    if layer.kind == "direction":
        return Style(0.0, 360.0)
    if layer.kind == "errors":
        return Style(threshold=layer.threshold)
    if layer.kind not in ("continuous", "probability", "composite"):
        return Style()
    bands = read_overview(layer).values
    if layer.kind == "composite":
        return Style(stretch=tuple(_scale(band[np.isfinite(band)]) for band in bands))
    finite = bands[0][np.isfinite(bands[0])]
    if layer.kind == "continuous" or not finite.size:
        return Style(*_scale(finite))
    top = float(np.quantile(finite, 0.995))
    bottom = max(float(np.quantile(finite, 0.05)), top / 300, 1e-6)
    # Probabilities of one map differ by orders of magnitude.
    return Style(_rounded(bottom), _rounded(max(top, 1.5 * bottom)), is_log=True)


def _scale(finite: NDArray[np.floating]) -> tuple[float, float]:
    """From where to where most of the values lie."""
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.quantile(finite, SCALE_SHARES))
    return low, high if high > low else low + 1.0


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


def paint(layer: Layer, extract: Extract, style: Style) -> Painted:
    """What the browser draws of a layer; transparent where there is nothing to show."""
    values = extract.values[0]
    if layer.kind == "composite":
        return Painted(_composite(extract.values, style.stretch))
    if layer.kind == "relief":
        return Painted(steps(values, Style()), palette.ramp(layer.colours))
    if layer.kind == "share":
        some = np.where(values > 0, values, np.nan)
        return Painted(steps(some, Style()), palette.fading(layer.colours[0]))
    if layer.kind == "classes":
        return Painted(values.astype(np.uint8, casting="safe"), _palette_of(layer))
    if layer.kind == "errors":
        return Painted(outcomes(extract, style), _palette_of(layer))
    if layer.kind == "probability" and style.thresholds:
        classes = palette.by_code(dict(enumerate(class_colours(style))))
        return Painted(classed(values, style.thresholds), classes)
    return Painted(steps(values, style), palette.ramp(layer.colours))


def _palette_of(layer: Layer) -> Palette:
    return palette.by_code({code: flag.colour for code, flag in layer.classes.items()})


def steps(values: NDArray[np.floating], style: Style) -> NDArray[np.uint8]:
    """Place of each value between low and high, :data:`palette.NOTHING` where there is none."""
    finite = np.isfinite(values)
    low, high = style.low, style.high
    filled = np.where(finite, values, np.float32(low))
    if style.is_log:
        low = max(low, 1e-9)
        filled, low, high = np.log(np.maximum(filled, 1e-9)), np.log(low), np.log(max(high, 1e-9))
    share = (filled - low) / (high - low if high > low else 1.0)
    place = 1 + np.rint(palette.STEPS * np.clip(share, 0, 1))
    return np.where(finite, place, palette.NOTHING).astype(np.uint8)


def _composite(
    bands: tuple[NDArray[np.floating], ...], stretch: tuple[tuple[float, float], ...]
) -> NDArray[np.uint32]:
    """Red, green, blue and opacity in one number, as the browser takes them."""
    out = np.zeros((*bands[0].shape, 4), dtype=np.uint8)
    for channel, (band, (low, high)) in enumerate(zip(bands, stretch, strict=True)):
        share = np.clip((np.nan_to_num(band) - low) / (high - low), 0, 1)
        out[..., channel] = np.rint(255 * share)
    out[..., 3] = 255
    out[~np.isfinite(bands[0])] = 0
    return out.view(np.uint32)[..., 0]


def classed(probability: NDArray[np.floating], thresholds: tuple[float, ...]) -> NDArray[np.uint8]:
    """Class of each probability, 255 where there is none; a border belongs to the class above."""
    codes: NDArray[np.uint8] = np.digitize(probability, thresholds).astype(np.uint8)
    codes[~np.isfinite(probability)] = UNLABELLED
    return codes


def class_colours(style: Style) -> tuple[str, ...]:
    """Colours of the classes between the thresholds."""
    return palette.susceptible(len(style.thresholds) + 1)


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
