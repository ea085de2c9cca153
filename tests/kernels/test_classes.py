from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.kernels.classes import (
    GROUP_BINS,
    describe_classes,
    edge_probability,
    equal_shares,
    natural_breaks,
)
from landslide_dist.kernels.scores import NUM_BINS, bin_centres, bin_index


def weights(**at):
    found = np.zeros(NUM_BINS, dtype=np.int64)
    for place, weight in at.items():
        found[int(place[1:])] = weight
    return found


def histogram(probability):
    return np.bincount(bin_index(probability), minlength=NUM_BINS)


def test_equal_shares_are_quantiles():
    probability = np.random.default_rng(0).beta(0.5, 4, 100_000)
    cuts = equal_shares(histogram(probability), 5)
    bounds = [edge_probability(cut) for cut in cuts]
    np.testing.assert_allclose(bounds, np.quantile(probability, [0.2, 0.4, 0.6, 0.8]), rtol=2e-3)
    index = np.digitize(probability, bounds)
    np.testing.assert_allclose(np.bincount(index) / len(probability), 0.2, atol=1e-3)


@given(
    st.dictionaries(st.integers(0, NUM_BINS - 1), st.integers(1, 50), max_size=12),
    st.integers(2, 7),
)
def test_cuts_are_the_nearest_that_part_no_bin(occupied, num_classes):
    weight = np.zeros(NUM_BINS, dtype=np.int64)
    weight[list(occupied)] = list(occupied.values())
    cuts = equal_shares(weight, num_classes)
    assert cuts == sorted(set(cuts))
    assert len(cuts) < num_classes
    parts = [weight[a:b].sum() for a, b in pairwise([0, *cuts, NUM_BINS])]
    assert all(part > 0 for part in parts) or not occupied
    below = np.cumsum([weight[b] for b in sorted(occupied)])
    for number in range(1, num_classes):
        target = weight.sum() * number / num_classes
        nearest = min([abs(b - target) for b in (0, *below)], default=0)
        reached = [0, *np.cumsum(parts)]
        assert min(abs(r - target) for r in reached) == pytest.approx(nearest)


def deviation(value, weight, starts):
    edges = [0, *starts, len(value)]
    total = 0.0
    for a, b in pairwise(edges):
        mean = np.average(value[a:b], weights=weight[a:b])
        total += np.sum(weight[a:b] * (value[a:b] - mean) ** 2)
    return total


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(
        st.integers(0, NUM_BINS // GROUP_BINS - 1), st.integers(1, 99), min_size=1, max_size=9
    ),
    st.integers(2, 5),
)
def test_natural_breaks_are_the_best_of_all(occupied, num_classes):
    groups = np.array(sorted(occupied))
    bins = groups * GROUP_BINS + 7
    weight = np.array([occupied[g] for g in groups.tolist()])
    counts = np.zeros(NUM_BINS, dtype=np.int64)
    counts[bins] = weight
    cuts = natural_breaks(counts, num_classes)
    wanted = min(num_classes, len(groups))
    assert len(cuts) == wanted - 1
    value = bin_centres()[bins]
    best = min(
        deviation(value, weight, starts) for starts in combinations(range(1, len(bins)), wanted - 1)
    )
    found = deviation(value, weight, np.searchsorted(bins, cuts))
    assert found == pytest.approx(best, rel=1e-6, abs=1e-9)


def test_natural_breaks_find_clusters_of_millions_of_pixels():
    random = np.random.default_rng(1)
    clusters = [random.normal(m, 0.02, n) for m, n in ((0.1, 300_000), (0.5, 20_000), (0.9, 3_000))]
    bounds = [
        edge_probability(cut)
        for cut in natural_breaks(histogram(np.clip(np.concatenate(clusters), 0, 1)), 3)
    ]
    assert 0.2 < bounds[0] < 0.45
    assert 0.6 < bounds[1] < 0.86


def test_a_constant_map_has_one_class_and_an_empty_one_too():
    for counts in (weights(_30000=500), weights()):
        for cuts in (equal_shares(counts, 5), natural_breaks(counts, 5)):
            assert cuts == []
            (row,) = describe_classes(cuts, counts, counts * 0)
            assert (row.low, row.high, row.num_pixels) == (0, 1, counts.sum())
            assert np.isnan(row.landslide_share)


def test_rows_say_what_lies_between_the_bounds():
    random = np.random.default_rng(2)
    probability = random.beta(1, 5, 5000).astype(np.float32)
    landslide = random.random(5000) < probability
    area, slides = histogram(probability), histogram(probability[landslide])
    rows = describe_classes(equal_shares(area, 4), area, slides)
    assert (rows[0].low, rows[-1].high) == (0, 1)
    for row, after in pairwise(rows):
        assert row.high == after.low
    for row in rows:
        mine = (probability >= row.low) & (probability < row.high)
        assert row.num_pixels == mine.sum()
        assert row.num_landslide == landslide[mine].sum()
        assert row.area_share == pytest.approx(mine.mean())
        assert row.frequency_ratio == pytest.approx(landslide[mine].mean() / landslide.mean())
    assert sum(row.landslide_share for row in rows) == pytest.approx(1)
    ratios = [row.frequency_ratio for row in rows]
    assert ratios == sorted(ratios)
