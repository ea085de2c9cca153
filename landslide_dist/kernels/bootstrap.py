"""Block-bootstrap intervals of scores: near-by pixels are alike, so whole blocks are drawn.

In one pass and in memory that does not grow with the region: every draw takes each block a number
of times that is Poisson distributed with mean 1, from a random stream of its own (the Poisson
bootstrap: Hanley and MacGibbon 2006, Computer Methods and Programs in Biomedicine 83, 57-62;
Chamandy et al. 2012, Estimating uncertainty for massive data streams). A block that lies in several
pieces is weighted alike in all of them, and so is the same block of another model: draws of several
models are paired. Counts of a draw are kept in bins 16 times as wide as those of the scores; an
interval moves by far less than its width.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from landslide_dist.kernels.scores import NUM_BINS, ScoreCounts

#: Bins of the scores that fall into one of the bootstrap's.
BINS_TOGETHER = 16
#: Wide bins of each label.
WIDTH = NUM_BINS // BINS_TOGETHER
#: Coverage of the intervals.
LEVEL = 0.95

#: Score -> its value on each draw; NaN where a draw lacks what the score needs.
DrawnScores = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class BlockCounts:
    """What each of some blocks of pixels contributes to every score.

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
    def from_bins(
        cls,
        bins: NDArray[np.uint16],
        landslide: NDArray[np.bool_],
        nll: NDArray[np.float64],
        squared_error: NDArray[np.float64],
        block: NDArray[np.int64],
    ) -> "BlockCounts":
        """Count pixels.

        Args:
            bins: Bin of each pixel's probability, shape (pixels,).
            landslide: Whether it is a landslide.
            nll: Its negative log-likelihood.
            squared_error: Its squared error.
            block: Number of the block it lies in.
        """
        numbers, row = np.unique(block, return_inverse=True)
        column = bins.astype(np.int64) // BINS_TOGETHER + WIDTH * landslide
        ones = np.ones(len(row), dtype=np.int64)
        # Pixels of one block and bin are summed when the matrix is compressed.
        counts = sparse.csr_matrix((ones, (row, column)), shape=(len(numbers), 2 * WIDTH))
        sums = [
            np.bincount(row, weights=loss, minlength=len(numbers)) for loss in (nll, squared_error)
        ]
        return cls(numbers, counts, np.stack(sums, axis=1))


class Draws:
    """Counts of every draw of one model, piece after piece.

    Args:
        num_draws: Bootstrap draws.
        seed: Seed of the draws.
    """

    def __init__(self, num_draws: int, seed: int):
        self.num_draws = num_draws
        self.num_blocks = 0
        self._seed = seed
        self._counts = np.zeros((2 * WIDTH, num_draws), dtype=np.int64)
        self._loss_sums = np.zeros((2, num_draws))

    def add(self, piece: BlockCounts) -> None:
        """Draw the blocks of a piece. Sums of losses depend on the order of the pieces' last bits.

        Args:
            piece: Counts of blocks; parts of one block may come in several pieces.
        """
        weights = draw_weights(piece.block, self.num_draws, self._seed)
        self._counts += piece.counts.T @ weights
        self._loss_sums += piece.loss_sums.T @ weights
        self.num_blocks += len(piece.block)

    def scores(self, statistics: Mapping[str, Callable[[ScoreCounts], float]]) -> DrawnScores:
        """Every score of every draw, shape (draws,) each."""
        values = np.empty((self.num_draws, len(statistics)))
        for draw in range(self.num_draws):
            counts = self.counts(draw)
            values[draw] = [statistic(counts) for statistic in statistics.values()]
        return dict(zip(statistics, values.T, strict=True))

    def counts(self, draw: int) -> ScoreCounts:
        """Counts of one draw, in the middle of the wide bins."""
        spread = np.zeros((2, NUM_BINS), dtype=np.int64)
        spread[:, BINS_TOGETHER // 2 :: BINS_TOGETHER] = self._counts[:, draw].reshape(2, WIDTH)
        nll_sum, brier_sum = self._loss_sums[:, draw]
        return ScoreCounts(spread[1], spread[0], float(nll_sum), float(brier_sum))


def draw_weights(block: NDArray[np.int64], num_draws: int, seed: int) -> NDArray[np.int64]:
    """How often each draw takes each block, ``(blocks, draws)``; of a block always the same."""
    weights = np.empty((len(block), num_draws), dtype=np.int64)
    for row, number in zip(weights, block.tolist(), strict=True):
        key = np.array([seed % 2**64, number], dtype=np.uint64)
        row[:] = np.random.Generator(np.random.Philox(key=key)).poisson(1.0, num_draws)
    return weights


def intervals(drawn: DrawnScores) -> dict[str, tuple[float, float]]:
    """Score -> 95 % percentile interval; NaN where no draw holds what the score needs."""
    return {name: _interval(values) for name, values in drawn.items()}


class Difference(NamedTuple):
    """One model's score less another's, on the same draws.

    Attributes:
        interval: 95 % percentile interval of the difference.
        share_higher: Share of the draws in which it is above 0; NaN without any.
        share_lower: Share of the draws in which it is below 0.
    """

    interval: tuple[float, float]
    share_higher: float
    share_lower: float


def paired_difference(one: NDArray[Any], other: NDArray[Any]) -> Difference:
    """Compare a score of two models draw by draw.

    Args:
        one: Its value on each draw.
        other: That of the other model, of the same draws.
    """
    difference = one - other
    known = difference[np.isfinite(difference)]
    if not len(known):
        return Difference((float("nan"), float("nan")), float("nan"), float("nan"))
    return Difference(_interval(known), float(np.mean(known > 0)), float(np.mean(known < 0)))


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
