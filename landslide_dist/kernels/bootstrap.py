"""Block-bootstrap intervals of scores: near-by pixels are alike, so whole blocks are drawn.

Counts of a block are kept sparse and in bins 16 times as wide as those of the scores: a region of
any size then fits memory, and an interval moves by far less than its width.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from landslide_dist.kernels.scores import NUM_BINS, ScoreCounts, bin_index, losses

#: Bins of the scores that fall into one of the bootstrap's.
BINS_TOGETHER = 16


@dataclass(frozen=True)
class BlockCounts:
    """What each of many blocks of pixels contributes to every score.

    Attributes:
        block: Number of each block, ascending, shape (n,).
        counts: Pixels of each block in each wide bin, negatives then positives, sparse
            ``(n, 2 * 4096)`` int64.
        loss_sums: Sums of NLL and squared error, ``(n, 2)``.
    """

    block: NDArray[np.int64]
    counts: sparse.csr_matrix
    loss_sums: NDArray[np.float64]

    @classmethod
    def from_pixels(
        cls, probability: NDArray[Any], target: NDArray[Any], block: NDArray[np.int64]
    ) -> "BlockCounts":
        """Count pixels.

        Args:
            probability: Predicted probabilities, in [0, 1], shape (pixels,).
            target: Their labels, 1 or 0.
            block: Number of the block each lies in.
        """
        numbers, row = np.unique(block, return_inverse=True)
        landslide = target == 1
        width = NUM_BINS // BINS_TOGETHER
        column = bin_index(probability).astype(np.int64) // BINS_TOGETHER + width * landslide
        ones = np.ones(len(row), dtype=np.int64)
        # Pixels of one block and bin are summed when the matrix is compressed.
        counts = sparse.csr_matrix((ones, (row, column)), shape=(len(numbers), 2 * width))
        sums = [
            np.bincount(row, weights=loss, minlength=len(numbers))
            for loss in losses(probability, landslide)
        ]
        return cls(numbers, counts, np.stack(sums, axis=1))

    @classmethod
    def merge(cls, pieces: "Sequence[BlockCounts]") -> "BlockCounts":
        """Join pieces; the parts of one block in several of them are added."""
        numbers, row = np.unique(np.concatenate([p.block for p in pieces]), return_inverse=True)
        ones = np.ones(len(row), dtype=np.int64)
        member = sparse.csr_matrix(
            (ones, (row, np.arange(len(row)))), shape=(len(numbers), len(row))
        )
        stacked = sparse.vstack([p.counts for p in pieces], format="csr")
        return cls(
            numbers, member @ stacked, member @ np.concatenate([p.loss_sums for p in pieces])
        )

    def drawn(self, times: NDArray[np.int64]) -> ScoreCounts:
        """The counts of each block taken ``times`` times, in the middle of the wide bins."""
        width = NUM_BINS // BINS_TOGETHER
        summed = np.zeros((2, NUM_BINS), dtype=np.int64)
        summed[:, BINS_TOGETHER // 2 :: BINS_TOGETHER] = (times @ self.counts).reshape(2, width)
        nll_sum, brier_sum = times @ self.loss_sums
        return ScoreCounts(summed[1], summed[0], float(nll_sum), float(brier_sum))


def bootstrap_intervals(
    blocks: BlockCounts,
    statistics: Mapping[str, Callable[[ScoreCounts], float]],
    num_draws: int,
    seed: int,
    level: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals from drawing whole blocks with replacement (Künsch 1989).

    The same seed draws the same blocks, so intervals of several models stem from the same regions.

    Args:
        blocks: Counts of disjoint blocks of pixels.
        statistics: Name -> score.
        num_draws: Bootstrap draws.
        seed: Seed of the draws.
        level: Coverage.

    Returns:
        Name -> (low, high); NaN where no draw holds what the score needs.
    """
    random = np.random.default_rng(seed)
    num = len(blocks.block)
    values = np.empty((num_draws, len(statistics)))
    for draw in range(num_draws):
        counts = blocks.drawn(np.bincount(random.integers(num, size=num), minlength=num))
        values[draw] = [statistic(counts) for statistic in statistics.values()]
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {
        name: _quantiles(column[np.isfinite(column)], tails)
        for name, column in zip(statistics, values.T, strict=True)
    }


def _quantiles(values: NDArray[np.float64], tails: list[float]) -> tuple[float, float]:
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, tails)
    return float(low), float(high)
