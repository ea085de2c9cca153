"""Scores from mergeable counts: any division of the pixels into blocks gives the same result.

Probabilities fall into 65,536 bins uniform in logit between -16 and 16. Rankings and thresholds
are exact for probabilities rounded to their bin's centre; NLL and Brier score are sums of the raw
probabilities, float64, added in block order. What is undefined (no landslides, no labels) is NaN.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landslide_dist.errors import DataError

NUM_BINS = 65536
#: Logits beyond are clipped: p below 1.1e-7 or above 1 - 1.1e-7.
MAX_LOGIT = 16.0
#: NLL clips probabilities to [1e-7, 1 - 1e-7].
MIN_PROBABILITY = 1e-7

Array = NDArray[np.float64]


def bin_index(probability: NDArray[Any]) -> NDArray[np.uint16]:
    """Bin of each probability, uint16 of the same shape.

    Raises:
        DataError: A value is NaN or not in [0, 1]: any bin would make it a plausible probability.
    """
    p = probability.astype(np.float64)
    num_refused = np.count_nonzero(~((p >= 0) & (p <= 1)))
    if num_refused:
        raise DataError(
            f"{num_refused} of {p.size} probabilities are missing or not in [0, 1]; "
            "mask them, and give probabilities, not logits or percentages"
        )
    with np.errstate(divide="ignore"):
        logit = np.log(p) - np.log1p(-p)
    position = np.floor((logit + MAX_LOGIT) * (NUM_BINS / (2 * MAX_LOGIT)))
    return np.clip(position, 0, NUM_BINS - 1).astype(np.uint16)


@cache
def bin_centres() -> Array:
    """The probability that each bin stands for, ascending, shape (65536,); not to be changed."""
    logit = (np.arange(NUM_BINS) + 0.5) * (2 * MAX_LOGIT / NUM_BINS) - MAX_LOGIT
    centres = np.asarray(1 / (1 + np.exp(-logit)))
    centres.flags.writeable = False
    return centres


def losses(probability: NDArray[Any], landslide: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Negative log-likelihood (nats) and squared error of each pixel, float64."""
    p = probability.astype(np.float64)
    clipped = np.clip(p, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return -np.log(np.where(landslide, clipped, 1 - clipped)), np.square(p - landslide)


@dataclass(frozen=True)
class ScoreCounts:
    """What a set of labelled pixels contributes to every score.

    Attributes:
        positive: Landslide pixels in each bin, int64.
        negative: Other labelled pixels in each bin, int64.
        nll_sum: Sum of the negative log-likelihoods, nats.
        brier_sum: Sum of the squared errors.
    """

    positive: NDArray[np.int64]
    negative: NDArray[np.int64]
    nll_sum: float
    brier_sum: float

    @classmethod
    def zero(cls) -> "ScoreCounts":
        """No pixels at all."""
        empty = np.zeros(NUM_BINS, dtype=np.int64)
        return cls(empty, empty, 0.0, 0.0)

    @classmethod
    def from_block(cls, probability: NDArray[Any], target: NDArray[Any]) -> "ScoreCounts":
        """Count one block.

        Args:
            probability: Predicted probabilities of the labelled pixels, in [0, 1], any shape.
            target: Their labels, 1 or 0, same shape.
        """
        bins = bin_index(probability.ravel())
        landslide = target.ravel() == 1
        nll, squared_error = losses(probability.ravel(), landslide)
        return cls(
            np.bincount(bins[landslide], minlength=NUM_BINS),
            np.bincount(bins[~landslide], minlength=NUM_BINS),
            float(nll.sum()),
            float(squared_error.sum()),
        )

    def __add__(self, other: "ScoreCounts") -> "ScoreCounts":
        return ScoreCounts(
            self.positive + other.positive,
            self.negative + other.negative,
            self.nll_sum + other.nll_sum,
            self.brier_sum + other.brier_sum,
        )

    @property
    def num_positive(self) -> int:
        """Landslide pixels."""
        return int(self.positive.sum())

    @property
    def num_negative(self) -> int:
        """Other labelled pixels."""
        return int(self.negative.sum())

    @property
    def num_labelled(self) -> int:
        """Labelled pixels."""
        return self.num_positive + self.num_negative


class Curve(NamedTuple):
    """Points of a curve, from the highest threshold to the lowest."""

    x: Array
    y: Array
    threshold: Array


class Confusion(NamedTuple):
    """Counts at one threshold; a pixel is called a landslide where p >= threshold."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int


def nll(counts: ScoreCounts) -> float:
    """Mean negative log-likelihood, nats."""
    return _ratio(counts.nll_sum, counts.num_labelled)


def brier(counts: ScoreCounts) -> float:
    """Mean squared error of the probability (Brier 1950)."""
    return _ratio(counts.brier_sum, counts.num_labelled)


def roc_curve(counts: ScoreCounts) -> Curve:
    """False against true positive rate, one point for each probability that occurs."""
    true_positive, false_positive, threshold = _cumulative(counts)
    return Curve(
        _share(false_positive, counts.num_negative),
        _share(true_positive, counts.num_positive),
        threshold,
    )


def precision_recall_curve(counts: ScoreCounts) -> Curve:
    """Recall against precision, one point for each probability that occurs."""
    true_positive, false_positive, threshold = _cumulative(counts)
    called = true_positive + false_positive
    precision = true_positive[1:] / called[1:]
    return Curve(_share(true_positive, counts.num_positive)[1:], precision, threshold[1:])


def auc(counts: ScoreCounts) -> float:
    """Area under the ROC curve: chance that a landslide ranks above another pixel, ties half."""
    if not counts.num_positive or not counts.num_negative:
        return float("nan")
    curve = roc_curve(counts)
    return float(np.trapezoid(curve.y, curve.x))


def average_precision(counts: ScoreCounts) -> float:
    """Precision averaged over the steps of recall, without interpolation."""
    if not counts.num_positive:
        return float("nan")
    curve = precision_recall_curve(counts)
    return float(np.sum(np.diff(curve.x, prepend=0.0) * curve.y))


class Reliability(NamedTuple):
    """Equal-count bins: mean predicted probability, observed share, number of pixels."""

    predicted: Array
    observed: Array
    num_pixels: NDArray[np.int64]


def reliability(counts: ScoreCounts, num_bins: int = 15) -> Reliability:
    """Predicted against observed, in bins of nearly equal numbers of pixels, ascending.

    Pixels of one probability are never parted: they go where the middle of them falls.
    """
    total = counts.positive + counts.negative
    before = np.cumsum(total) - total
    place = (before + total / 2) * num_bins / max(1, counts.num_labelled)
    group = np.minimum(place.astype(np.int64), num_bins - 1)
    count = np.bincount(group, weights=total, minlength=num_bins)
    predicted = np.bincount(group, weights=total * bin_centres(), minlength=num_bins)
    observed = np.bincount(group, weights=counts.positive, minlength=num_bins)
    there = count > 0
    return Reliability(
        predicted[there] / count[there],
        observed[there] / count[there],
        count[there].astype(np.int64),
    )


def expected_calibration_error(counts: ScoreCounts, num_bins: int = 15) -> float:
    """Mean distance of predicted and observed over equal-count bins, weighted by pixels."""
    bins = reliability(counts, num_bins)
    gap = np.abs(bins.predicted - bins.observed)
    return _ratio(float(np.sum(gap * bins.num_pixels)), counts.num_labelled)


def confusion_at(counts: ScoreCounts, threshold: float) -> Confusion:
    """Counts where a pixel is called a landslide if its (rounded) probability >= threshold."""
    called = bin_centres() >= threshold
    true_positive = int(counts.positive[called].sum())
    false_positive = int(counts.negative[called].sum())
    return Confusion(
        true_positive,
        false_positive,
        counts.num_negative - false_positive,
        counts.num_positive - true_positive,
    )


def precision_recall_f1_mcc(confusion: Confusion) -> dict[str, float]:
    """Precision, recall, F1 and Matthews' correlation coefficient; NaN where undefined."""
    tp, fp, tn, fn = (float(c) for c in confusion)
    return {
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "mcc": _ratio(
            tp * tn - fp * fn,
            float(np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        ),
    }


def best_threshold(counts: ScoreCounts) -> float:
    """The lowest of the thresholds with the highest MCC; NaN if one class is missing."""
    true_positive, false_positive, threshold = _cumulative(counts)
    positive, negative = float(counts.num_positive), float(counts.num_negative)
    if not positive or not negative:
        return float("nan")
    tp, fp = true_positive[1:].astype(np.float64), false_positive[1:].astype(np.float64)
    product = (tp + fp) * positive * negative * (positive + negative - tp - fp)
    with np.errstate(invalid="ignore", divide="ignore"):
        mcc = np.where(
            product > 0, (tp * (negative - fp) - fp * (positive - tp)) / np.sqrt(product), 0.0
        )
    best = np.flatnonzero(mcc == mcc.max())[-1]
    return float(threshold[1:][best])


def _cumulative(
    counts: ScoreCounts,
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Positives and negatives at or above each probability that occurs, highest first.

    Begins with the point at which nothing is called a landslide.
    """
    there = np.flatnonzero(counts.positive + counts.negative)[::-1]
    zero = np.zeros(1, dtype=np.int64)
    return (
        np.concatenate([zero, np.cumsum(counts.positive[there])]),
        np.concatenate([zero, np.cumsum(counts.negative[there])]),
        np.concatenate([[np.inf], bin_centres()[there]]),
    )


def _share(part: NDArray[np.int64], whole: int) -> Array:
    return part / whole if whole else np.full(len(part), np.nan)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
