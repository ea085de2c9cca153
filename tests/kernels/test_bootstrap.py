import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landslide_dist.kernels import scores
from landslide_dist.kernels.bootstrap import (
    BlockCounts,
    Draws,
    draw_weights,
    intervals,
    paired_difference,
)
from landslide_dist.kernels.scores import ScoreCounts, bin_index, losses


def draw(num, seed=0):
    random = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-random.normal(-3, 1.5, num)))
    return probability.astype(np.float32), (random.random(num) < probability).astype(np.uint8)


def count(probability, target, block):
    landslide = target == 1
    return BlockCounts.from_bins(
        bin_index(probability), landslide, *losses(probability, landslide), block
    )


def draws_of(probability, target, block, num_draws=60, seed=0):
    draws = Draws(num_draws, seed)
    draws.add(count(probability, target, block))
    return draws


def blocks_of(num_blocks, size=500, **options):
    return draws_of(*draw(num_blocks * size), np.repeat(np.arange(num_blocks), size), **options)


def test_a_draw_is_its_blocks_as_often_as_it_takes_them():
    probability, target = draw(5000)
    block = np.repeat(np.arange(10) + 7, 500)
    draws = draws_of(probability, target, block, 20)
    weights = draw_weights(np.arange(10) + 7, 20, 0)
    for number in (0, 11, 19):
        times = np.repeat(weights[:, number], 500)
        expected = ScoreCounts.from_block(np.repeat(probability, times), np.repeat(target, times))
        drawn = draws.counts(number)
        assert (drawn.num_positive, drawn.num_negative) == (
            expected.num_positive,
            expected.num_negative,
        )
        assert drawn.nll_sum == pytest.approx(expected.nll_sum, rel=1e-12)
        assert drawn.brier_sum == pytest.approx(expected.brier_sum, rel=1e-12)
        # Bins of the draws are wider.
        assert scores.auc(drawn) == pytest.approx(scores.auc(expected), abs=1e-3)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=40), st.integers(0, 3))
def test_blocks_in_pieces_are_drawn_as_whole_blocks(cuts, seed):
    probability, target = draw(1000)
    block = np.arange(1000) // 90
    whole = draws_of(probability, target, block, 15, seed)
    pieces = Draws(15, seed)
    edges = sorted({0, *cuts, 1000})
    for start, stop in itertools.pairwise(edges):
        pieces.add(count(*(a[start:stop] for a in (probability, target, block))))
    for number in range(15):
        one, other = whole.counts(number), pieces.counts(number)
        np.testing.assert_array_equal(one.positive, other.positive)
        np.testing.assert_array_equal(one.negative, other.negative)
        assert one.nll_sum == pytest.approx(other.nll_sum, rel=1e-12)


def test_weights_are_poisson_and_of_a_block_always_the_same():
    weights = draw_weights(np.arange(3000), 50, seed=3)
    assert weights.mean() == pytest.approx(1, abs=0.02)
    assert weights.var() == pytest.approx(1, abs=0.03)
    assert abs(np.corrcoef(weights[0::2].ravel(), weights[1::2].ravel())[0, 1]) < 0.02
    np.testing.assert_array_equal(draw_weights(np.array([2000, 5]), 50, 3), weights[[2000, 5]])
    assert (draw_weights(np.arange(3000), 50, seed=4) != weights).any()


def test_intervals_hold_the_score_and_narrow_with_blocks():
    def width(num_blocks):
        probability, target = draw(num_blocks * 500)
        found = blocks_of(num_blocks).scores({"auc": scores.auc})
        low, high = intervals(found)["auc"]
        assert low < scores.auc(ScoreCounts.from_block(probability, target)) < high
        return high - low

    assert width(40) < width(5)


def test_interval_of_a_mean_is_that_of_the_textbook():
    num_blocks = 200
    drawn = blocks_of(num_blocks, num_draws=400, seed=1).scores({"nll": scores.nll})
    low, high = intervals(drawn)["nll"]
    probability, target = draw(num_blocks * 500)
    means = losses(probability, target == 1)[0].reshape(num_blocks, 500).mean(axis=1)
    expected = 2 * 1.96 * means.std() / np.sqrt(num_blocks)
    assert high - low == pytest.approx(expected, rel=0.15)


def test_without_landslides_the_interval_is_undefined():
    draws = draws_of(np.array([0.1, 0.2]), np.array([0, 0]), np.array([0, 1]), 5)
    low, high = intervals(draws.scores({"auc": scores.auc}))["auc"]
    assert np.isnan(low)
    assert np.isnan(high)


def test_identical_models_differ_by_exactly_nothing():
    one, other = (blocks_of(12).scores({"auc": scores.auc, "nll": scores.nll}) for _ in range(2))
    for name in one:
        assert paired_difference(one[name], other[name]) == ((0.0, 0.0), 0.0, 0.0)


def test_pairs_tell_apart_what_single_intervals_do_not():
    """The same draws for both: what moves both alike leaves their difference alone."""
    probability, target = draw(20_000, seed=5)
    block = np.repeat(np.arange(40), 500)
    # A little worse everywhere.
    worse = 1 / (1 + np.exp(-(np.log(probability / (1 - probability)) * 0.8)))
    drawn = [
        draws_of(p, target, block, 100).scores({"nll": scores.nll})["nll"]
        for p in (probability, worse)
    ]
    difference = paired_difference(drawn[1], drawn[0])
    assert difference.interval[0] > 0
    assert difference.share_higher == 1
    assert difference.share_lower == 0
    single = [intervals({"nll": values})["nll"] for values in drawn]
    assert single[1][0] < single[0][1]  # they overlap


def test_draws_without_a_score_are_left_out_of_a_comparison():
    one = np.array([1.0, np.nan, 3.0, 2.0])
    found = paired_difference(one, np.array([0.5, 1.0, np.nan, 3.0]))
    assert found.share_higher == 0.5
    assert np.isnan(paired_difference(one * np.nan, one).share_higher)
