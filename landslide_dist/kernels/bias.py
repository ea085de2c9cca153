"""Reporting bias: detected landslides of two regions against recorded ones (the bias factor).

A model finds ``d1`` and ``d2`` landslides, a catalog records ``r1`` and ``r2``; the bias factor
``(d1 / d2) / (r1 / r2)`` is above 1 where region 1 is the more under-reported one (Wang and Wei,
Reducing sampling bias of landslides by identifying unrecorded events from satellite images,
section 4.6).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize, special

from landslide_dist.errors import DataError

#: Cells that touch at a side or a corner belong together.
_EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=np.int64)


def detections(
    probability: NDArray[np.float32], thresholds: Sequence[float], merged: bool = False
) -> NDArray[np.int64]:
    """Number of detected landslides at each threshold (section 5.4, figure 8A).

    Args:
        probability: Landslide probability of each cell, ``(y, x)``; NaN: not classified.
        thresholds: Probabilities from which on a cell is detected, each in 0..1.
        merged: Count 8-connected groups of detected cells instead of cells: a landslide larger than
            a cell is otherwise counted once for each cell it covers (section 6).

    Returns:
        Cells, or groups of cells, shape (thresholds,).

    Raises:
        DataError: The probabilities are no raster, or a threshold lies outside 0..1.
    """
    _check_raster(probability, "probability")
    for threshold in thresholds:
        _check_threshold(threshold)
    if merged:
        found = [len(_detected_cells(probability, t, merged)) for t in thresholds]
        return np.array(found, dtype=np.int64)
    ranked = np.sort(probability[~np.isnan(probability)])
    # In the raster's precision, where 0.9 is a little less than in that of the threshold.
    below = np.searchsorted(ranked, np.asarray(thresholds, dtype=probability.dtype))
    return (len(ranked) - below).astype(np.int64)


def bias_factor(detected1: int, detected2: int, recorded1: int, recorded2: int) -> float:
    """Bias factor: how many times more under-reported region 1 is than region 2 (section 4.6).

    Args:
        detected1: Landslides detected in region 1.
        detected2: Landslides detected in region 2.
        recorded1: Landslides recorded in region 1.
        recorded2: Landslides recorded in region 2.

    Raises:
        DataError: A number is not above 0.
    """
    counts = {
        "detected in region 1": detected1,
        "detected in region 2": detected2,
        "recorded in region 1": recorded1,
        "recorded in region 2": recorded2,
    }
    for name, count in counts.items():
        if not count > 0:
            raise DataError(
                f"number of landslides {name} is {count}; the bias factor needs all four above 0, "
                "choose a lower threshold, a longer time or a larger region"
            )
    return (detected1 / detected2) / (recorded1 / recorded2)


def poisson_interval(
    detected: tuple[int, int], recorded: tuple[int, int], level: float = 0.95
) -> tuple[float, float]:
    """Exact interval of the bias factor if all four numbers are independent Poisson numbers.

    The factor of four Poisson means is the odds ratio of the table of the four numbers. Given its
    row and column sums, one number follows Fisher's noncentral hypergeometric distribution, that
    of the odds ratio alone; the limits are the ratios at which what was found, or more (less),
    keeps half of the tail (Cornfield 1956, Third Berkeley Symposium 4, 135-148). It covers at least
    as often as it says, with small numbers too.

    Args:
        detected: Landslides detected in region 1 and 2.
        recorded: Landslides recorded in region 1 and 2.
        level: Coverage.

    Returns:
        Lower and upper bound. Nothing recorded in region 1, or detected in region 2, leaves the
        upper bound infinite; nothing recorded in region 2, or detected in region 1, the lower one
        0.

    Raises:
        DataError: A number is negative, or the level not between 0 and 1.
    """
    _check_level(level)
    _check_counts(detected, "detected")
    _check_counts(recorded, "recorded")
    first, log_weights = _given_sums(detected, recorded)
    found = recorded[1] - first
    log_tail = np.log((1 - level) / 2)
    low, high = 0.0, float("inf")
    if found > 0:
        low = _factor_with(log_weights, slice(found, None), log_tail)
    if found + 1 < len(log_weights):
        high = _factor_with(log_weights, slice(found + 1), log_tail)
    return low, high


def bootstrap_interval(
    probability1: NDArray[np.float32],
    probability2: NDArray[np.float32],
    recorded1: int,
    recorded2: int,
    threshold: float,
    block_cells: int,
    draws: int,
    seed: int,
    level: float,
    merged: bool = False,
) -> tuple[float, float]:
    """Percentile interval of the bias factor; near-by cells are alike, so whole blocks are drawn.

    Blocks of a region that hold a classified cell are drawn with replacement, as many as there are
    (Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 8.6); a group of cells
    counts in the block of its first cell in raster order. It knows of what varies within a region
    and in its records, not of a model that errs differently in the two regions.

    Args:
        probability1: Landslide probability in region 1, ``(y, x)``; NaN: not classified.
        probability2: The same of region 2; its shape may differ.
        recorded1: Landslides recorded in region 1.
        recorded2: Landslides recorded in region 2.
        threshold: Probability from which on a cell is detected.
        block_cells: Side of the square blocks, cells; those at the lower and right edge may be cut.
        draws: Bootstrap draws.
        seed: Seed of the draws, not negative.
        level: Coverage.
        merged: Count 8-connected groups of cells instead of cells.

    Returns:
        Lower and upper bound, with the bounds that :func:`poisson_interval` gives where nothing is
        recorded.

    Raises:
        DataError: A region has no detections or less than two blocks, or a setting is out of range.
    """
    _check_level(level)
    _check_threshold(threshold)
    for name, value in {"block_cells": block_cells, "draws": draws}.items():
        if value < 1:
            raise DataError(f"{name} is {value}; give at least 1")
    _check_counts((recorded1, recorded2), "recorded")
    random = np.random.Generator(np.random.Philox(seed))
    detected = [
        drawn_detections(raster, threshold, block_cells, draws, random, merged, name)
        for raster, name in ((probability1, "region 1"), (probability2, "region 2"))
    ]
    # Means, not numbers: with Jeffreys' prior a Poisson mean is gamma distributed after r events
    # (shape r + 1/2) and never 0, as redrawn small numbers would be.
    means = [random.gamma(count + 0.5, size=draws) for count in (recorded1, recorded2)]
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = (detected[0] / detected[1]) / (means[0] / means[1])
    low, high = percentile_interval(drawn, level)
    # Here the prior alone would bound the mean.
    return (low if recorded2 else 0.0, high if recorded1 else float("inf"))


def drawn_detections(
    probability: NDArray[np.float32], threshold: float, block_cells: int, draws: int,
    random: np.random.Generator, merged: bool, name: str,
) -> NDArray[np.int64]:  # fmt: skip
    """Detections in blocks drawn as :func:`bootstrap_interval` has it, shape (draws,)."""
    counts = _block_counts(probability, threshold, block_cells, merged, name)
    return _drawn_totals(counts, draws, random)


def percentile_interval(drawn: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Bounds that hold this share of draws; NaN, a draw that says nothing, widens both ends."""
    unknown = np.isnan(drawn)
    low = np.quantile(np.where(unknown, 0, drawn), (1 - level) / 2, method="inverted_cdf")
    high = np.quantile(np.where(unknown, np.inf, drawn), (1 + level) / 2, method="inverted_cdf")
    return float(low), float(high)


def _detected_cells(
    probability: NDArray[np.float32], threshold: float, merged: bool
) -> NDArray[np.int64]:
    """Detected cells, or the first of each group, as row * width + column."""
    # In the raster's precision, as in detections.
    hit = probability >= probability.dtype.type(threshold)
    if not merged:
        return np.flatnonzero(hit)
    groups = ndimage.label(hit, _EIGHT_NEIGHBOURS)[0].ravel()
    cells = np.flatnonzero(groups)
    first: NDArray[np.int64] = cells[np.unique(groups[cells], return_index=True)[1]]
    return first


def _block_counts(
    probability: NDArray[np.float32], threshold: float, block_cells: int, merged: bool, name: str
) -> NDArray[np.int64]:
    """Detections in each block that holds a classified cell, shape (blocks,)."""
    _check_raster(probability, f"probability of {name}")
    width = probability.shape[1]
    across = -(-width // block_cells)
    num_blocks = across * -(-probability.shape[0] // block_cells)

    def count(cells: NDArray[np.int64]) -> NDArray[np.int64]:
        rows, columns = np.divmod(cells, width)
        block = rows // block_cells * across + columns // block_cells
        return np.bincount(block, minlength=num_blocks)

    classified = count(np.flatnonzero(~np.isnan(probability))) > 0
    if classified.sum() < 2:
        raise DataError(
            f"{name} has {classified.sum()} blocks of {block_cells} x {block_cells} cells with "
            "classified cells; a block bootstrap needs two, choose smaller blocks"
        )
    counts = count(_detected_cells(probability, threshold, merged))[classified]
    if not counts.any():
        raise DataError(
            f"no cell of {name} reaches the threshold {threshold}; draws of no detections say "
            "nothing, choose a lower threshold"
        )
    return counts


def _drawn_totals(
    counts: NDArray[np.int64], draws: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Detections in as many blocks as there are, drawn with replacement, shape (draws,)."""
    # Blocks of one count are interchangeable: the few counts are drawn, not the many blocks.
    values, num_blocks = np.unique(counts, return_counts=True)
    taken = random.multinomial(len(counts), num_blocks / len(counts), size=draws)
    totals: NDArray[np.int64] = taken @ values
    return totals


def _given_sums(
    detected: tuple[int, int], recorded: tuple[int, int]
) -> tuple[int, NDArray[np.float64]]:
    """Numbers that may be recorded in region 2, given the sums of each region and of each kind.

    Returns:
        The least, and the logarithm of the weight of each at bias factor 1, up to a constant.
    """
    all1, all2, all_recorded = detected[0] + recorded[0], detected[1] + recorded[1], sum(recorded)
    first = max(0, all_recorded - all1)
    number = np.arange(first, min(all_recorded, all2), dtype=np.float64)
    # From one number to the next; sums of factorials would lose the digits of large counts.
    log_ratio = np.log((all_recorded - number) / (number + 1))
    log_ratio += np.log((all2 - number) / (all1 - all_recorded + number + 1))
    return first, np.concatenate([[0.0], np.cumsum(log_ratio)])


def _factor_with(log_weights: NDArray[np.float64], part: slice, log_share: float) -> float:
    """The bias factor at which a part of the numbers has this share of the probability."""
    steps = np.arange(len(log_weights))

    def excess(log_factor: float) -> float:
        terms = log_weights + log_factor * steps
        return float(special.logsumexp(terms[part]) - special.logsumexp(terms)) - log_share

    # The share rises or falls with the factor all along, from 0 to 1.
    width = 1.0
    while excess(-width) * excess(width) > 0:
        width *= 2
    return float(np.exp(optimize.brentq(excess, -width, width, xtol=1e-10)))


def _check_raster(probability: NDArray[np.float32], name: str) -> None:
    if probability.ndim != 2:
        raise DataError(f"{name} has shape {probability.shape}; give a raster (y, x)")


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise DataError(f"threshold is {threshold}; give a probability from 0 to 1")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise DataError(f"level is {level}; give a coverage between 0 and 1, such as 0.95")


def _check_counts(counts: tuple[int, int], name: str) -> None:
    for region, count in enumerate(counts, 1):
        if not count >= 0:
            raise DataError(
                f"number of landslides {name} in region {region} is {count}; give 0 or more"
            )
