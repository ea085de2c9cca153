import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from landslide_dist.kernels.scores import NUM_BINS, ScoreCounts, bin_index, losses
from landslide_dist.kernels.sparse_counts import SparseCounts


def draw(num, seed=0):
    random = np.random.default_rng(seed)
    probability = random.random(num) ** 3
    return probability, random.random(num) < probability


def count(probability, landslide):
    return SparseCounts.from_bins(
        bin_index(probability), landslide, *losses(probability, landslide)
    )


def assert_same(one, other):
    np.testing.assert_array_equal(one.positive, other.positive)
    np.testing.assert_array_equal(one.negative, other.negative)
    np.testing.assert_allclose(
        [one.nll_sum, one.brier_sum], [other.nll_sum, other.brier_sum], rtol=1e-12
    )


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 5))
def test_sums_are_those_of_all_bins(num, other, seed):
    probability, landslide = draw(num + other, seed)
    merged = count(probability[:num], landslide[:num]) + count(probability[num:], landslide[num:])
    assert_same(merged.dense(), ScoreCounts.from_block(probability, landslide))
    assert merged.num_pixels == num + other
    assert len(merged.bins) == len(set(bin_index(probability).tolist()))
    assert len(merged.positive) == len(merged.negative) == len(merged.bins)


def test_without_losses_there_are_counts_alone():
    probability, landslide = draw(50)
    counts = SparseCounts.from_bins(bin_index(probability), landslide)
    assert counts.num_pixels == 50
    assert (counts.nll_sum, counts.brier_sum) == (0, 0)
    assert SparseCounts.zero().num_pixels == 0


def test_bins_that_hold_thousands_of_millions_do_not_overflow():
    many = np.array([3_000_000_000], dtype=np.uint32)
    one = SparseCounts(np.array([NUM_BINS - 1], np.uint16), many, many)
    doubled = one + one
    assert doubled.positive.tolist() == [6_000_000_000]
    assert doubled.dense().num_labelled == 12_000_000_000
