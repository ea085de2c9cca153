import numpy as np
import pytest

from landslide_dist.kernels import scores
from landslide_dist.kernels.bootstrap import BlockCounts, bootstrap_intervals
from landslide_dist.kernels.scores import ScoreCounts


def draw(num, seed=0):
    random = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-random.normal(-3, 1.5, num)))
    return probability.astype(np.float32), (random.random(num) < probability).astype(np.uint8)


def blocks_of(num_blocks, size=500):
    probability, target = draw(num_blocks * size)
    return BlockCounts.from_pixels(probability, target, np.repeat(np.arange(num_blocks), size))


def test_each_block_once_is_the_whole():
    probability, target = draw(5000)
    whole = ScoreCounts.from_block(probability, target)
    drawn = blocks_of(10).drawn(np.ones(10, dtype=np.int64))
    assert (drawn.num_positive, drawn.num_negative) == (whole.num_positive, whole.num_negative)
    assert drawn.nll_sum == pytest.approx(whole.nll_sum, rel=1e-12)
    assert drawn.brier_sum == pytest.approx(whole.brier_sum, rel=1e-12)
    assert scores.auc(drawn) == pytest.approx(scores.auc(whole), abs=1e-3)


def test_pieces_of_blocks_merge_to_the_blocks():
    probability, target = draw(5000)
    block = np.repeat(np.arange(10), 500)
    pieces = [
        BlockCounts.from_pixels(probability[k::3], target[k::3], block[k::3]) for k in (2, 0, 1)
    ]
    merged, whole = BlockCounts.merge(pieces), blocks_of(10)
    np.testing.assert_array_equal(merged.block, whole.block)
    np.testing.assert_array_equal(merged.counts.toarray(), whole.counts.toarray())
    np.testing.assert_allclose(merged.loss_sums, whole.loss_sums, rtol=1e-12)


def test_intervals_hold_the_score_and_narrow_with_blocks():
    def width(num_blocks):
        blocks = blocks_of(num_blocks)
        low, high = bootstrap_intervals(blocks, {"auc": scores.auc}, 60, seed=0)["auc"]
        assert low < scores.auc(blocks.drawn(np.ones(num_blocks, dtype=np.int64))) < high
        return high - low

    assert width(40) < width(5)


def test_interval_of_a_mean_is_that_of_the_textbook():
    num_blocks = 200
    blocks = blocks_of(num_blocks)
    low, high = bootstrap_intervals(blocks, {"nll": scores.nll}, 400, seed=1)["nll"]
    means = blocks.loss_sums[:, 0] / 500
    expected = 2 * 1.96 * means.std() / np.sqrt(num_blocks)
    assert high - low == pytest.approx(expected, rel=0.15)


def test_without_landslides_the_interval_is_undefined():
    blocks = BlockCounts.from_pixels(np.array([0.1, 0.2]), np.array([0, 0]), np.array([0, 1]))
    low, high = bootstrap_intervals(blocks, {"auc": scores.auc}, 5, seed=0)["auc"]
    assert np.isnan(low)
    assert np.isnan(high)
