"""How likely a landslide is in a synthetic region: a formula of known terms.

The log odds of a pixel are ``own + uphill + local`` and a constant. With weakness w of the rock,
openness c of the land cover, steepness s and height e (each centred and scaled, 0 where unknown):

- ``own``: what a pixel's channels hold. A linear model misses s^2 (the steepest ground is bare
  rock), w s (weak rock fails on gentle slopes, hard rock on steep ones) and w c.
- ``uphill``: the same quantities, and the mean gradient d, at the highest pixel of the rings at 30,
  100 and 300 m, the far rings counting most: what aligned models gather and others must guess.
- ``local``: shares of weak rock and of open land, and relative relief, within 10 px: neither the
  pixel nor its ring pixels hold them, convolutions do.

Slope and uphill pixels come from the kernels that `derive` uses, and ground beyond the raster does
not exist for either, so every term is a function of the very features that models are given.
"""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from landslide_dist.config.sources import SyntheticSource
from landslide_dist.grid import Window
from landslide_dist.kernels.rings import ring_offsets, ring_radii
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_index
from landslide_dist.sources import geology
from landslide_dist.sources.fractal import elevation

LOOKING_DISTANCES_M = (30.0, 100.0, 300.0)
#: Weight of the uphill terms of each ring.
RING_WEIGHTS = (0.2, 0.45, 0.9)
#: One-sided reach of the local terms.
LOCAL_PX = 10
#: Lithology -> weakness; other codes 0.
WEAKNESS = {
    geology.DEBRIS: 0.9,
    geology.DOLOMITE: -0.7,
    geology.CLAY: 1.2,
    geology.GRANITE: -1.1,
    geology.LIMESTONE: -0.6,
    geology.CLAYSTONE: 0.8,
    geology.SANDSTONE: 0.1,
    geology.BASALT: -0.5,
}
#: Land cover -> openness; other codes 0.
OPENNESS = {
    geology.AGRICULTURE: 0.8,
    geology.ARTIFICIAL: 0.5,
    geology.FOREST: -0.8,
    geology.WATER: -0.6,
}
#: Weakness above which rock counts as weak, openness above which land counts as open.
WEAK_FROM, OPEN_FROM = 0.5, 0.0
_W, _C, _S, _E = range(4)


def log_odds(config: SyntheticSource, window: Window) -> NDArray[np.float64]:
    """Log odds of a landslide without the constant that sets the base rate.

    Args:
        config: The region.
        window: Pixels inside the raster.

    Returns:
        Shape (height, width).

    Raises:
        ConfigError: The pixel size does not tell the looking distances apart.
    """
    radii_px = ring_radii(LOOKING_DISTANCES_M, config.pixel_m)
    # Slope at the farthest ring pixel needs one pixel more.
    reach_px = max(*radii_px, LOCAL_PX) + 1
    outer = window.expand(reach_px).clip((config.height, config.width))
    inner = window.relative_to(outer)
    ground = elevation(config.seed, config.pixel_m, outer)
    features = _features(config, ground, outer)
    total = np.empty(window.shape)
    _own(features, inner.y0, inner.x0, total)
    for radius_px, weight in zip(radii_px, RING_WEIGHTS, strict=True):
        index = uphill_index(ground, radius_px)[inner.slices]
        run_m = radius_px * config.pixel_m
        offsets = ring_offsets(radius_px)
        _add_uphill(features, ground, index, offsets, run_m, weight, inner.y0, inner.x0, total)
    _add_local(config, features, ground, inner, total)
    return total


def _features(
    config: SyntheticSource, ground: NDArray[np.float32], window: Window
) -> NDArray[np.float32]:
    """Weakness, openness, steepness and height, shape (4, height, width)."""
    features = np.empty((4, *window.shape), dtype=np.float32)
    features[_W] = _by_code(WEAKNESS)[geology.lithology(config.seed, window)]
    features[_C] = _by_code(OPENNESS)[geology.land_cover(config.seed, window)]
    steepness_deg = np.minimum(slope(ground, config.pixel_m), np.float32(50))
    features[_S] = np.nan_to_num((steepness_deg - np.float32(22)) / np.float32(12))
    features[_E] = (ground / np.float32(config.pixel_m) - np.float32(135)) / np.float32(22)
    return features


def _by_code(effects: Mapping[int, float]) -> NDArray[np.float32]:
    table = np.zeros(256, dtype=np.float32)
    table[list(effects)] = list(effects.values())
    return table


@njit(nogil=True, cache=True)
def _own(features: NDArray[np.float32], y0: int, x0: int, total: NDArray[np.float64]) -> None:
    for y in range(total.shape[0]):
        for x in range(total.shape[1]):
            w, c, s, e = features[:, y0 + y, x0 + x]
            total[y, x] = (
                0.45 * w + 0.4 * s + 0.32 * c - 0.27 * e - 0.36 * s * s - 1.2 * w * s + 0.63 * w * c
            )


@njit(nogil=True, cache=True)
def _add_uphill(
    features: NDArray[np.float32],
    ground: NDArray[np.float32],
    index: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    run_m: float,
    weight: float,
    y0: int,
    x0: int,
    total: NDArray[np.float64],
) -> None:
    for y in range(total.shape[0]):
        for x in range(total.shape[1]):
            position = index[y, x]
            if position >= len(offsets):  # "none"
                continue
            row, column = y0 + y + offsets[position, 0], x0 + x + offsets[position, 1]
            w, c, s = features[0, row, column], features[1, row, column], features[2, row, column]
            d = ((ground[row, column] - ground[y0 + y, x0 + x]) / run_m - 0.35) / 0.2
            own_s = features[2, y0 + y, x0 + x]
            total[y, x] += weight * (
                0.63 * w + 0.5 * c + 0.4 * s + 0.27 * d + 0.22 * w * (s + c + own_s)
            )


def _add_local(
    config: SyntheticSource,
    features: NDArray[np.float32],
    ground: NDArray[np.float32],
    inner: Window,
    total: NDArray[np.float64],
) -> None:
    """Terms of the square of 21 x 21 pixels around each; its part beyond the raster is left out."""
    weak = _box_share(features[_W] > WEAK_FROM)[inner.slices]
    open_ = _box_share(features[_C] > OPEN_FROM)[inner.slices]
    size = 2 * LOCAL_PX + 1
    # At the edge "nearest" repeats pixels of the square, which changes neither extreme.
    top = ndimage.maximum_filter(ground, size, mode="nearest")[inner.slices]
    bottom = ndimage.minimum_filter(ground, size, mode="nearest")[inner.slices]
    relief = ((top - bottom) / np.float32(config.pixel_m) - np.float32(10)) / np.float32(5)
    weak, open_ = (weak - 0.43) / 0.25, (open_ - 0.5) / 0.25
    total += 1.12 * weak + 0.9 * open_ + (0.45 + 0.27 * weak) * relief


@njit(nogil=True, cache=True)
def _box_share(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of true pixels in the square around each; from counts, so exact whatever the window."""
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1), np.int32)
    for y in range(height):
        for x in range(width):
            sums[y + 1, x + 1] = mask[y, x] + sums[y, x + 1] + sums[y + 1, x] - sums[y, x]
    out = np.empty((height, width))
    for y in range(height):
        above, below = max(0, y - LOCAL_PX), min(height, y + LOCAL_PX + 1)
        for x in range(width):
            left, right = max(0, x - LOCAL_PX), min(width, x + LOCAL_PX + 1)
            count = sums[below, right] - sums[above, right] - sums[below, left] + sums[above, left]
            out[y, x] = count / ((below - above) * (right - left))
    return out
