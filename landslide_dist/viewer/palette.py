"""Colours of layers: palettes that the browser looks up one byte a pixel in."""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from landslide_dist import colours

#: Colours of further variables; light is little.
SEQUENTIAL = ("#f7f4f9", "#d4c3dd", "#c994c7", "#df65b0", "#ce1256", "#67001f")
SLOPE = ("#fcfdbf", "#feb078", "#f1605d", "#b5367a", "#721f81", "#2d1160")
#: Shade is not black: what lies over it is to be read.
RELIEF = ("#2c3038", "#fdfdfb")
GREY = ("#111111", "#f4f4f4")
#: North, east, south, west, north.
DIRECTION = ("#e2d9e2", "#6276ba", "#2f1436", "#b0595a", "#e2d9e2")

#: A colour for each value of a byte.
SIZE = 256
#: On a scale of numbers: there is nothing. The other bytes go from low to high.
NOTHING = 0
#: So many steps a scale of numbers has above its first.
STEPS = SIZE - 2
#: Faintest of shares, which fade towards nothing.
FAINTEST = 0.35
_CLEAR = "#00000000"

Palette = tuple[str, ...]


@cache
def ramp(stops: tuple[str, ...]) -> Palette:
    """Colours between evenly spaced stops; byte :data:`NOTHING` is transparent."""
    return (_CLEAR, *_mixed(stops, np.linspace(0, len(stops) - 1, STEPS + 1)))


@cache
def fading(colour: str) -> Palette:
    """One colour from faint to full; byte :data:`NOTHING` is transparent."""
    opacity = np.rint(255 * np.linspace(FAINTEST, 1, STEPS + 1)).astype(int)
    return (_CLEAR, *(f"{colour}{alpha:02x}" for alpha in opacity.tolist()))


def by_code(codes: Mapping[int, str]) -> Palette:
    """The colour of each code; others are transparent."""
    return tuple(codes.get(code, _CLEAR) for code in range(SIZE))


def susceptible(number: int) -> tuple[str, ...]:
    """Colours of so many susceptibility classes, from the least to the most."""
    stops = colours.SUSCEPTIBILITY
    return _mixed(stops, np.linspace(0.5, len(stops) - 1, number))


@cache
def class_colours(number: int) -> tuple[str, ...]:
    """The report's colours for classes, then darker and lighter ones of the same hues."""
    shades = [
        _hex([_shade(channel, factor) for channel in rgb(colour)])
        for factor in (1.0, 0.7, 1.5, 0.5, 1.25, 0.85)
        for colour in colours.CLASSES
    ]
    return tuple((shades * (1 + number // len(shades)))[:number])


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mixed(stops: Sequence[str], places: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Palette:
    """Colours at places between stops, which stand at 0, 1, 2 and so on."""
    channels = np.array([rgb(stop) for stop in stops], dtype=np.float64).T
    mixed = [np.interp(places, np.arange(len(stops)), channel) for channel in channels]
    return tuple(_hex(colour) for colour in np.rint(np.stack(mixed, axis=1)).astype(int).tolist())


def _hex(channels: Sequence[int]) -> str:
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _shade(channel: int, factor: float) -> int:
    if factor <= 1:
        return round(channel * factor)
    return round(255 - (255 - channel) / factor**2)
