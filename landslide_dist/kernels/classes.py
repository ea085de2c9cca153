"""Susceptibility classes of a map: where to cut its probabilities, and what lies in each class.

All works on counts in the bins of :mod:`landslide_dist.kernels.scores`, so on maps of any size. A
cut is a bin: classes are exact for the probabilities themselves, since bins are never parted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.kernels.scores import MAX_LOGIT, NUM_BINS, bin_centres

#: Bins that natural breaks never part, so that 1,024 groups remain: 1/32 of a logit each.
GROUP_BINS = 64


@dataclass(frozen=True)
class SusceptibilityClass:
    """What lies between two probabilities of a map.

    Attributes:
        low: Lowest probability of the class.
        high: Where the next class begins; 1 for the last.
        num_pixels: Mapped pixels.
        area_share: Share of all mapped pixels.
        num_landslide: Landslide pixels.
        landslide_share: Share of all landslide pixels; NaN without any.
        frequency_ratio: ``landslide_share / area_share``: how much denser landslides lie here than
            on average (Lee and Talib 2005, Environmental Geology 47, 982-990).
    """

    low: float
    high: float
    num_pixels: int
    area_share: float
    num_landslide: int
    landslide_share: float
    frequency_ratio: float


def equal_shares(weight: NDArray[Any], num_classes: int) -> list[int]:
    """Cuts between classes that hold nearly equal shares of a weight.

    Of mapped pixels: classes of equal area; of landslide pixels: classes with as many landslides.

    Args:
        weight: Of each bin, shape (65536,).
        num_classes: Classes wanted; fewer where many pixels share a probability.

    Returns:
        First bin of every class but the lowest, ascending.
    """
    below = np.concatenate([[0], np.cumsum(weight, dtype=np.int64)])
    total = int(below[-1])
    cuts = []
    for number in range(1, num_classes):
        target = total * number / num_classes
        cut = int(np.searchsorted(below, target))
        if cut and target - below[cut - 1] < below[cut] - target:
            # Bins without any weight are no place to choose from: the first with this sum is taken.
            cut = int(np.searchsorted(below, below[cut - 1]))
        cuts.append(cut)
    return [cut for cut in sorted(set(cuts)) if 0 < below[cut] < total]


def natural_breaks(num_pixels: NDArray[Any], num_classes: int) -> list[int]:
    """Cuts that make the squared deviations of probabilities from their class means smallest.

    The optimum of Fisher (1958, JASA 53, 789-798), which Jenks made known for maps, of all pixels
    rather than of a sample: by dynamic programming on groups of bins 1/32 of a logit wide.

    Args:
        num_pixels: Of each bin, shape (65536,).
        num_classes: Classes wanted; fewer where there are fewer groups.

    Returns:
        First bin of every class but the lowest, ascending.
    """
    weight = num_pixels.reshape(-1, GROUP_BINS).sum(axis=1).astype(np.float64)
    there = np.flatnonzero(weight)
    if not len(there):
        return []
    sums = (num_pixels * bin_centres()).reshape(-1, GROUP_BINS).sum(axis=1)[there]
    weight = weight[there]
    starts = _best_starts(sums / weight, weight, min(num_classes, len(there)))
    return [int(there[start]) * GROUP_BINS for start in starts]


def _best_starts(
    value: NDArray[np.float64], weight: NDArray[np.float64], num_classes: int
) -> list[int]:
    """Where the classes of ascending weighted values begin, but for the first."""
    cost = _class_costs(value, weight)
    num = len(value)
    # least[j]: of the values before j in the classes so far; start[k][j]: of the last class.
    least = np.concatenate([[0.0], cost[0, 1:]])
    start = np.zeros((num_classes, num + 1), dtype=np.int64)
    for number in range(1, num_classes):
        total = least[:-1, None] + cost
        total[:number] = np.inf  # a class holds at least one value
        start[number] = np.argmin(total, axis=0)
        least = np.take_along_axis(total, start[number][None], axis=0)[0]
    starts, end = [], num
    for number in range(num_classes - 1, 0, -1):
        end = int(start[number, end])
        starts.append(end)
    return starts[::-1]


def _class_costs(value: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared deviations of the values ``i`` to ``j - 1`` as one class, ``(n, n + 1)``."""
    centred = value - np.average(value, weights=weight)
    zero, first, second = (
        np.concatenate([[0.0], np.cumsum(weight * centred**power)]) for power in (0, 1, 2)
    )
    num = len(value)
    i, j = np.arange(num)[:, None], np.arange(num + 1)[None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        cost = (second[j] - second[i]) - (first[j] - first[i]) ** 2 / (zero[j] - zero[i])
    return np.where(j > i, np.maximum(cost, 0.0), np.inf)


def describe_classes(
    cuts: Sequence[int], num_pixels: NDArray[Any], num_landslide: NDArray[Any]
) -> list[SusceptibilityClass]:
    """What lies in each class, from the least susceptible on.

    Args:
        cuts: First bin of every class but the lowest.
        num_pixels: Mapped pixels of each bin, shape (65536,).
        num_landslide: Landslide pixels of each bin.
    """
    edges = [0, *cuts, NUM_BINS]
    all_pixels, all_landslides = int(num_pixels.sum()), int(num_landslide.sum())
    rows = []
    for start, stop in pairwise(edges):
        pixels = int(num_pixels[start:stop].sum())
        landslides = int(num_landslide[start:stop].sum())
        area_share = pixels / all_pixels if all_pixels else float("nan")
        share = landslides / all_landslides if all_landslides else float("nan")
        ratio = share / area_share if area_share else float("nan")
        rows.append(
            SusceptibilityClass(
                edge_probability(start), edge_probability(stop),
                pixels, area_share, landslides, share, ratio,
            )
        )  # fmt: skip
    return rows


def edge_probability(cut: int) -> float:
    """The probability at the lower edge of a bin; 0 and 1 at the ends, where bins are clipped."""
    if cut in (0, NUM_BINS):
        return 0.0 if cut == 0 else 1.0
    return float(1 / (1 + np.exp(MAX_LOGIT - cut * 2 * MAX_LOGIT / NUM_BINS)))
