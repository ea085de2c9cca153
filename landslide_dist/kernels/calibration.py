"""Temperature scaling (Guo et al. 2017, Proceedings of Machine Learning Research 70, 1321-1330)."""

import numpy as np
from scipy.optimize import minimize_scalar

from landslide_dist.errors import DataError
from landslide_dist.kernels.scores import (
    MAX_LOGIT,
    MIN_PROBABILITY,
    NUM_BINS,
    Array,
    ScoreCounts,
    bin_index,
)

#: Bounds of the natural logarithm of a temperature.
_LOG_BOUNDS = (-4.0, 4.0)


def fit_temperature(counts: ScoreCounts) -> float:
    """The temperature with the lowest negative log-likelihood of logits divided by it.

    Logits are those of the bins' centres; the likelihood has one optimum.

    Args:
        counts: Of pixels that did not train the model.

    Raises:
        DataError: There are no landslides among them, or nothing else.
    """
    if not counts.num_positive or not counts.num_negative:
        raise DataError(
            f"a temperature is fitted to pixels with and without landslides; validation has "
            f"{counts.num_positive} and {counts.num_negative}: change split, or set "
            "predict.calibrated to false"
        )
    logits = _logits()
    there = np.flatnonzero(counts.positive + counts.negative)
    at, positive, negative = logits[there], counts.positive[there], counts.negative[there]

    def mean_nll(log_temperature: float) -> float:
        scaled = at / np.exp(log_temperature)
        total = positive * np.logaddexp(0, -scaled) + negative * np.logaddexp(0, scaled)
        return float(total.sum()) / counts.num_labelled

    found = minimize_scalar(mean_nll, bounds=_LOG_BOUNDS, method="bounded", options={"xatol": 1e-7})
    return float(np.exp(found.x))


def at_temperature(counts: ScoreCounts, temperature: float) -> ScoreCounts:
    """The counts that predictions with scaled logits would have, pixels at their bins' centres."""
    probability = 1 / (1 + np.exp(-_logits() / temperature))
    bins = bin_index(probability)
    clipped = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    positive, negative = (
        np.bincount(bins, weights=of_bin, minlength=NUM_BINS).astype(np.int64)
        for of_bin in (counts.positive, counts.negative)
    )
    nll = -(counts.positive * np.log(clipped) + counts.negative * np.log1p(-clipped)).sum()
    brier = (counts.positive * (1 - probability) ** 2 + counts.negative * probability**2).sum()
    return ScoreCounts(positive, negative, float(nll), float(brier))


def _logits() -> Array:
    return np.asarray((np.arange(NUM_BINS) + 0.5) * (2 * MAX_LOGIT / NUM_BINS) - MAX_LOGIT)
