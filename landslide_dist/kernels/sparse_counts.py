"""Counts for scores of many small sets of pixels: only the bins that hold any.

A region has a set for every part, stratum and model. Most of the 65,536 bins of a set are empty, so
it is kept, sent and merged sparse, and made whole when it is scored.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.kernels.scores import NUM_BINS, ScoreCounts

#: Fewer are sorted.
FEW_PIXELS = 2048


@dataclass(frozen=True)
class SparseCounts:
    """What :class:`~landslide_dist.kernels.scores.ScoreCounts` holds, without its empty bins.

    Attributes:
        bins: Bins that hold pixels, ascending, uint16 ``(n,)``.
        positive: Landslide pixels of each, unsigned ``(n,)``.
        negative: Other pixels of each, unsigned ``(n,)``.
        nll_sum: Sum of the negative log-likelihoods, nats.
        brier_sum: Sum of the squared errors.
    """

    bins: NDArray[np.uint16]
    positive: NDArray[Any]
    negative: NDArray[Any]
    nll_sum: float = 0.0
    brier_sum: float = 0.0

    @classmethod
    def zero(cls) -> "SparseCounts":
        """No pixels at all."""
        none = np.zeros(0, dtype=np.uint32)
        return cls(none.astype(np.uint16), none, none)

    @classmethod
    def from_bins(
        cls,
        bins: NDArray[np.uint16],
        landslide: NDArray[np.bool_],
        nll: NDArray[np.float64] | None = None,
        squared_error: NDArray[np.float64] | None = None,
    ) -> "SparseCounts":
        """Count pixels.

        Args:
            bins: Bin of each pixel's probability, shape (pixels,).
            landslide: Whether it is a landslide.
            nll: Its negative log-likelihood; None where no loss is needed.
            squared_error: Its squared error; None where no loss is needed.
        """
        found, place = _found(bins)
        positive = np.bincount(place[landslide], minlength=len(found))
        negative = np.bincount(place, minlength=len(found)) - positive
        return cls(
            found.astype(np.uint16),
            _narrow(positive),
            _narrow(negative),
            0.0 if nll is None else float(nll.sum()),
            0.0 if squared_error is None else float(squared_error.sum()),
        )

    def __add__(self, other: "SparseCounts") -> "SparseCounts":
        if not len(other.bins) or not len(self.bins):
            return self if len(self.bins) else other
        found, place = _found(np.concatenate([self.bins, other.bins]))
        positive, negative = np.zeros((2, len(found)), dtype=np.int64)
        for counts, at in ((self, place[: len(self.bins)]), (other, place[len(self.bins) :])):
            positive[at] += counts.positive.astype(np.int64)
            negative[at] += counts.negative.astype(np.int64)
        return SparseCounts(
            found.astype(np.uint16),
            _narrow(positive),
            _narrow(negative),
            self.nll_sum + other.nll_sum,
            self.brier_sum + other.brier_sum,
        )

    def dense(self) -> ScoreCounts:
        """The same counts in all bins."""
        return ScoreCounts(*self._whole(), self.nll_sum, self.brier_sum)

    @property
    def num_pixels(self) -> int:
        """All pixels."""
        return int(self.positive.sum()) + int(self.negative.sum())

    def _whole(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        positive, negative = np.zeros((2, NUM_BINS), dtype=np.int64)
        positive[self.bins], negative[self.bins] = self.positive, self.negative
        return positive, negative


def _found(bins: NDArray[np.uint16]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Bins that occur, ascending, and which of them each is; a table of all serves many pixels."""
    if len(bins) < FEW_PIXELS:
        found, place = np.unique(bins, return_inverse=True)
        return found.astype(np.intp), place
    seen = np.zeros(NUM_BINS, dtype=bool)
    seen[bins] = True
    return np.flatnonzero(seen), (np.cumsum(seen, dtype=np.int32) - 1)[bins]


def _narrow(counts: NDArray[np.int64]) -> NDArray[Any]:
    """Half the memory, except where a single bin holds more than 4 thousand million pixels."""
    fits = counts.max(initial=0) <= np.iinfo(np.uint32).max
    return counts.astype(np.uint32 if fits else np.uint64)
