"""Smooth noise on a hashed integer lattice, and terrain made of it.

Every value is a pure function of (seed, stream, row, column): any window of any size holds the
same numbers, bit for bit, and nothing larger than the window is ever held. An octave is a cubic
B-spline over hashed lattice values, smooth to its second derivative; it costs four products a
pixel. Without fast-math the compiler may vectorise the sums but not reorder them.

Source: value noise with B-spline weights after Lewis (1989, SIGGRAPH 23(3)); ridged multifractal
terrain after Musgrave in Ebert et al., "Texturing and Modeling" (2003), chapter 16.
"""

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landslide_dist.grid import Window

#: Wavelength in pixels and standard deviation, or height, in pixels.
Octaves = Sequence[tuple[int, float]]
#: Broad swells: a large region has lowlands and mountains.
SWELLS: Octaves = ((4096, 20.0), (1024, 18.0), (256, 10.0))
#: Crests and the valleys between them.
RIDGES: Octaves = ((128, 30.0), (64, 18.0), (32, 8.0), (16, 3.0), (8, 1.0), (4, 0.3))
#: Where the swells are zero, in pixels: keeps a region above the sea.
DATUM = 120.0
#: Streams of hash numbers that one field of noise may take, one an octave.
MAX_OCTAVES = 8
#: Standard deviation of an octave whose lattice values are uniform in (-1, 1): sqrt(1/3) times the
#: mean of the sum of squared B-spline weights, 151/315, once along each axis.
_LATTICE_DEVIATION = 151 / 315 / np.sqrt(3)
_SWELLS_FIELD, _RIDGES_FIELD = 0, 1
#: Fields of noise below this number belong to the terrain.
FIRST_FREE_FIELD = 2


def uniform(seed: int, field: int, window: Window) -> NDArray[np.float64]:
    """Independent uniform numbers in [0, 1), one a pixel, shape (height, width)."""
    out = np.empty(window.shape)
    _hash_pixels(_key(seed, field), window.y0, window.x0, out)
    return out


def noise(seed: int, field: int, octaves: Octaves, window: Window) -> NDArray[np.float32]:
    """A sum of octaves, of mean 0.

    Args:
        seed: Seed of the region.
        field: Number of this field; fields of different numbers are independent.
        octaves: Wavelength in pixels and standard deviation of each.
        window: Any pixels.

    Returns:
        The field, shape (height, width).
    """
    out = np.zeros(window.shape, dtype=np.float32)
    for number, (wavelength_px, deviation) in enumerate(octaves):
        key = _key(seed, field, number)
        _add_octave(key, _spline_weights(wavelength_px, deviation), window.y0, window.x0, out)
    return out


def terrain_px(seed: int, window: Window, num_ridges: int = len(RIDGES)) -> NDArray[np.float32]:
    """Height of a landscape with crests, valleys and lowlands, in pixels.

    Args:
        seed: Seed of the region.
        window: Any pixels.
        num_ridges: Octaves of crests, the broadest first.

    Returns:
        Height divided by the pixel size, shape (height, width).
    """
    height_px = noise(seed, _SWELLS_FIELD, SWELLS, window)
    height_px += np.float32(DATUM)
    roughness = np.ones(window.shape, dtype=np.float32)
    for number, (wavelength_px, amplitude) in enumerate(RIDGES[:num_ridges]):
        octave = np.zeros(window.shape, dtype=np.float32)
        key = _key(seed, _RIDGES_FIELD, number)
        _add_octave(key, _spline_weights(wavelength_px, 1.0), window.y0, window.x0, octave)
        _add_ridges(octave, np.float32(amplitude), roughness, height_px)
    return height_px


def elevation(seed: int, pixel_m: float, window: Window) -> NDArray[np.float32]:
    """Elevation in metres, shape (height, width); slopes are the same at every pixel size."""
    return terrain_px(seed, window) * np.float32(pixel_m)


def _key(seed: int, field: int, octave: int = 0) -> np.uint64:
    """Start of the hashes of one stream of numbers; any integer is a seed."""
    # Numba hands back a Python integer, and would take a small one for signed.
    return np.uint64(_mix(np.uint64(seed % 2**64), field * MAX_OCTAVES + octave))


def _spline_weights(wavelength_px: int, deviation: float) -> NDArray[np.float32]:
    """Weights of the four nodes around each position in a lattice cell, shape (4, wavelength)."""
    t = (np.arange(wavelength_px) + 0.5) / wavelength_px
    weights = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    )
    # The weights apply once along each axis, so each takes the square root of the deviation.
    scale = float(np.sqrt(deviation / _LATTICE_DEVIATION))
    return np.asarray(weights * (scale / 6), dtype=np.float32)


@njit(nogil=True, cache=True)
def _mix(key: np.uint64, position: int) -> np.uint64:
    """Step and finaliser of splitmix64 (Steele, Lea and Flood 2014, OOPSLA)."""
    mixed = (key + np.uint64(position)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@njit(nogil=True, cache=True)
def _unit(key: np.uint64, row: int, column: int) -> float:
    """A number in [0, 1) that depends on the three alone."""
    return np.float64(_mix(_mix(key, row), column) >> np.uint64(11)) * 2.0**-53


@njit(nogil=True, cache=True)
def _hash_pixels(key: np.uint64, y0: int, x0: int, out: NDArray[np.float64]) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            out[y, x] = _unit(key, y0 + y, x0 + x)


@njit(nogil=True, cache=True)
def _add_octave(
    key: np.uint64, weights: NDArray[np.float32], y0: int, x0: int, out: NDArray[np.float32]
) -> None:
    """Rows of lattice values are mixed first, then each row of pixels from its four columns."""
    height, width = out.shape
    size = weights.shape[1]
    first_row, first_column = y0 // size, x0 // size
    num_columns = (x0 + width - 1) // size - first_column + 4
    nodes = np.empty(((y0 + height - 1) // size - first_row + 4, num_columns), np.float32)
    for i in range(nodes.shape[0]):
        for j in range(num_columns):
            unit = _unit(key, first_row + i - 1, first_column + j - 1)
            nodes[i, j] = np.float32(2 * unit - 1)
    mixed = np.empty(num_columns, np.float32)
    for y in range(height):
        i, k = (y0 + y) // size - first_row, (y0 + y) % size
        for j in range(num_columns):
            mixed[j] = (
                weights[0, k] * nodes[i, j]
                + weights[1, k] * nodes[i + 1, j]
                + weights[2, k] * nodes[i + 2, j]
                + weights[3, k] * nodes[i + 3, j]
            )
        row = out[y]
        for j in range(num_columns - 3):
            a, b, c, d = mixed[j], mixed[j + 1], mixed[j + 2], mixed[j + 3]
            cell = (first_column + j) * size - x0
            first, last = max(0, -cell), min(size, width - cell)
            pixels = row[cell + first : cell + last]
            along = weights[:, first:last]
            for k in range(last - first):
                pixels[k] += along[0, k] * a + along[1, k] * b + along[2, k] * c + along[3, k] * d


@njit(nogil=True, cache=True)
def _add_ridges(
    octave: NDArray[np.float32],
    amplitude: np.float32,
    roughness: NDArray[np.float32],
    height_px: NDArray[np.float32],
) -> None:
    """Add crests where the octave crosses zero; later octaves are rough near crests only."""
    for y in range(octave.shape[0]):
        for x in range(octave.shape[1]):
            crest = max(np.float32(0), np.float32(1) - np.float32(0.5) * abs(octave[y, x]))
            crest = crest * crest * roughness[y, x]
            height_px[y, x] += amplitude * crest
            roughness[y, x] = min(np.float32(1), np.float32(0.3) + np.float32(1.4) * crest)
