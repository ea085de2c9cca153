"""Success-rate and prediction-rate curves (Chung and Fabbri 2003, Natural Hazards 30, 451-472).

The share of the landslides inside the most susceptible share of an area. With the landslides that a
model was trained on it is the success-rate curve, with held-out ones the prediction-rate curve.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.kernels.scores import Curve, bin_centres


def rate_curve(num_landslide: NDArray[Any], num_pixels: NDArray[Any]) -> Curve:
    """Share of the area, most susceptible first, against the share of landslides in it.

    Args:
        num_landslide: Landslide pixels in each bin, shape (65536,).
        num_pixels: All pixels of the area in each bin, those of the landslides among them.

    Returns:
        From (0, 0) to (1, 1), one point for each probability that occurs; NaN without landslides.
    """
    there = np.flatnonzero(num_pixels)[::-1]
    found = np.concatenate([[0], np.cumsum(num_landslide[there], dtype=np.int64)])
    taken = np.concatenate([[0], np.cumsum(num_pixels[there], dtype=np.int64)])
    threshold = np.concatenate([[np.inf], bin_centres()[there]])
    return Curve(_share(taken), _share(found), threshold)


def area_under(curve: Curve) -> float:
    """Area under a curve, by trapezoids: pixels of one probability count half."""
    return float(np.trapezoid(curve.y, curve.x))


def found_within(curve: Curve, area_share: float) -> float:
    """Share of the landslides in the most susceptible share of the area."""
    return float(np.interp(area_share, curve.x, curve.y))


def _share(cumulative: NDArray[np.int64]) -> NDArray[np.float64]:
    total = cumulative[-1]
    return cumulative / total if total else np.full(len(cumulative), np.nan)
