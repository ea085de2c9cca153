"""Bias factor: counts by hand, exact Poisson intervals, block bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from landslide_dist.errors import DataError
from landslide_dist.kernels.bias import (
    bias_factor,
    bootstrap_interval,
    detections,
    poisson_interval,
)

NAN = np.nan
RASTER = np.array(
    [
        [0.9, 0.1, 0.8, NAN, 0.9],
        [0.1, 0.9, NAN, NAN, 0.1],
        [0.2, 0.1, 0.3, 0.1, 0.99],
        [1.0, 0.9, 0.0, 0.1, 0.1],
    ],
    dtype=np.float32,
)


def scattered(seed, shape=(60, 50), share=0.03):
    """A raster with so many cells detected at 0.5, a tenth of it not classified."""
    random = np.random.default_rng(seed)
    raster = np.where(random.random(shape) < share, 0.9, 0.1).astype(np.float32)
    raster[random.random(shape) < 0.1] = np.nan
    return raster


def bootstrap(one, other, recorded=(38, 189), **changes):
    settings = {"threshold": 0.5, "block_cells": 5, "draws": 400, "seed": 1, "level": 0.95}
    return bootstrap_interval(one, other, *recorded, **settings | changes)


class TestDetections:
    def test_cells(self):
        found = detections(RASTER, [0, 0.3, 0.8, 0.9, 0.99, 1])
        np.testing.assert_array_equal(found, [17, 8, 7, 6, 2, 1])
        assert found.dtype == np.int64

    def test_groups_of_cells(self):
        # Corners join. At 0.8: three upper left, one upper right, one right, two lower left; at
        # 0.3 the cell in the middle joins the first to the last.
        found = detections(RASTER, [0.3, 0.8, 0.9, 0.95], merged=True)
        np.testing.assert_array_equal(found, [3, 4, 4, 2])
        assert found.dtype == np.int64

    def test_nothing_classified(self):
        nothing = np.full((3, 3), NAN, np.float32)
        for merged in (False, True):
            np.testing.assert_array_equal(detections(nothing, [0, 0.5], merged), [0, 0])

    @given(st.integers(0, 1000), st.lists(st.floats(0, 1), max_size=5))
    @settings(max_examples=50, deadline=None)
    def test_groups_are_no_more_than_cells(self, seed, thresholds):
        random = np.random.default_rng(seed)
        raster = random.choice([0, 0.25, 0.5, 1, NAN], (7, 9)).astype(np.float32)
        cells, groups = (detections(raster, thresholds, merged) for merged in (False, True))
        with np.errstate(invalid="ignore"):
            expected = [(raster >= np.float32(threshold)).sum() for threshold in thresholds]
        np.testing.assert_array_equal(cells, expected)
        assert np.all(groups <= cells)
        assert np.all((groups == 0) == (cells == 0))

    def test_refused(self):
        with pytest.raises(DataError, match=r"threshold is 1.5; give"):
            detections(RASTER, [0.5, 1.5])
        with pytest.raises(DataError, match="threshold is nan"):
            detections(RASTER, [NAN], merged=True)
        with pytest.raises(DataError, match=r"shape \(5,\); give a raster"):
            detections(RASTER[0], [0.5])


class TestBiasFactor:
    def test_by_hand(self):
        assert bias_factor(300, 100, 38, 189) == pytest.approx(3 * 189 / 38)
        assert bias_factor(100, 300, 189, 38) == pytest.approx(38 / 3 / 189)

    @pytest.mark.parametrize("wrong", range(4))
    @pytest.mark.parametrize("value", [0, -3, NAN])
    def test_each_number_is_needed(self, wrong, value):
        counts = [5, 6, 7, 8]
        counts[wrong] = value
        what = ["detected in region 1", "detected in region 2",
                "recorded in region 1", "recorded in region 2"][wrong]  # fmt: skip
        with pytest.raises(DataError, match=f"{what} is {value}; the bias factor needs"):
            bias_factor(*counts)


class TestPoissonInterval:
    @pytest.mark.parametrize("level", [0.9, 0.99])
    @pytest.mark.parametrize(
        "table",
        [
            [(300, 100), (38, 189)],
            [(60, 20), (4, 19)],
            [(3, 5), (300, 189)],
            [(1, 1), (1, 1)],
            [(300, 100), (0, 189)],
            [(300, 0), (38, 189)],
            [(0, 7), (38, 189)],
            [(300, 2), (38, 0)],
        ],
    )
    def test_it_is_the_exact_one_of_the_odds_ratio(self, table, level):
        expected = stats.contingency.odds_ratio(np.array(table)).confidence_interval(level)
        assert poisson_interval(*table, level) == pytest.approx(tuple(expected), rel=1e-5)

    def test_many_detections_leave_the_records_alone(self):
        """By hand: then the records of region 2 are a binomial share of all (Clopper, Pearson)."""
        share = stats.binomtest(40, 50).proportion_ci(0.95, "exact")
        expected = share.low / (1 - share.low), share.high / (1 - share.high)
        assert poisson_interval((10**12, 10**12), (10, 40)) == pytest.approx(expected, rel=1e-7)
        # None of 40 in region 1: its share is at most 1 - tail^(1/40).
        expected = 0.025 ** (1 / 40) / (1 - 0.025 ** (1 / 40))
        low, high = poisson_interval((10**12, 10**12), (0, 40))
        assert (low, high) == (pytest.approx(expected, rel=1e-7), np.inf)

    def test_exchanged_regions_invert_it(self):
        low, high = poisson_interval((300, 100), (38, 189))
        assert poisson_interval((100, 300), (189, 38)) == pytest.approx((1 / high, 1 / low))

    def test_numbers_of_zero_leave_an_end_open(self):
        low, high = poisson_interval((300, 100), (0, 189))
        assert 0 < low < high == np.inf
        low, high = poisson_interval((300, 100), (38, 0))
        assert 0 == low < high < np.inf
        for detected, recorded in [((5, 6), (0, 0)), ((0, 0), (5, 6)), ((0, 6), (0, 7))]:
            assert poisson_interval(detected, recorded) == (0, np.inf)

    @given(*[st.integers(1, 400)] * 4, st.floats(0.5, 0.99))
    @settings(max_examples=60, deadline=None)
    def test_it_holds_the_factor_and_grows_with_the_level(self, d1, d2, r1, r2, level):
        low, high = poisson_interval((d1, d2), (r1, r2), level)
        assert 0 < low < bias_factor(d1, d2, r1, r2) < high < np.inf
        wider = poisson_interval((d1, d2), (r1, r2), (1 + level) / 2)
        assert wider[0] < low < high < wider[1]

    @pytest.mark.parametrize("factor", [0.2, 1, 3, 14])
    def test_it_covers_as_often_as_it_says(self, factor):
        """Every table of 64 and 39 landslides in two regions, 23 of them recorded."""
        covered = 0.0
        for found in range(24):
            low, high = poisson_interval((64 - 23 + found, 39 - found), (23 - found, found), 0.9)
            if low <= factor <= high:
                covered += stats.nchypergeom_fisher.pmf(found, 103, 39, 23, factor)
        assert 0.9 <= covered < 0.98

    def test_refused(self):
        with pytest.raises(DataError, match="recorded in region 2 is -1; give 0 or more"):
            poisson_interval((3, 4), (5, -1))
        with pytest.raises(DataError, match="detected in region 1 is nan; give"):
            poisson_interval((NAN, 4), (5, 6))
        for level in (0, 1, 95, NAN):
            with pytest.raises(DataError, match=f"level is {level}; give a coverage"):
                poisson_interval((3, 4), (5, 6), level)


class TestBootstrapInterval:
    def test_the_seed_decides(self):
        one, other = scattered(0), scattered(1, (40, 70))
        first = bootstrap(one, other)
        assert bootstrap(one, other) == first
        assert bootstrap(one, other, seed=2) != first
        factor = bias_factor(*[detections(r, [0.5])[0] for r in (one, other)], 38, 189)
        assert first[0] < factor < first[1]

    def test_equal_blocks_leave_the_records_alone(self):
        """Blocks that do not differ draw one number only: what varies is Jeffreys' posterior."""
        even = np.zeros((60, 60), np.float32)
        even[::5, ::5] = 1
        drawn = bootstrap(even, even, draws=40_000)
        # Records' ratio is beta prime distributed.
        expected = stats.betaprime.ppf([0.025, 0.975], 189.5, 38.5)
        assert drawn == pytest.approx(expected, rel=0.02)

    def test_drawn_totals_spread_as_sums_of_blocks_do(self):
        """By hand: two of six blocks hold a cell, so a draw has binomial(6, 1 / 3) cells."""
        one, even = np.zeros((10, 15), np.float32), np.ones((10, 15), np.float32)
        one[::5, ::15] = 1
        low, high = bootstrap(one, even, (10**12, 10**12), draws=20_000)
        counts = stats.binom(6, 1 / 3).ppf([0.025, 0.975])
        assert (low * 150, high * 150) == pytest.approx(counts, abs=0.01)

    def test_scattered_cells_vary_as_poisson_numbers(self):
        one, other = scattered(3, (300, 300)), scattered(4, (300, 300))
        many = 10**12
        drawn = np.log(bootstrap(one, other, (many, many), draws=4000))
        counts = [int(detections(raster, [0.5])[0]) for raster in (one, other)]
        expected = 2 * 1.96 * np.sqrt(sum(1 / count for count in counts))
        assert drawn[1] - drawn[0] == pytest.approx(expected, rel=0.1)

    def test_near_by_cells_do_not_count_as_many(self):
        one = scattered(3)
        clumped = np.full((60, 50), 0.1, np.float32)
        clumped[20:29, 20:30] = 0.9
        widths = [np.diff(np.log(bootstrap(raster, one)))[0] for raster in (one, clumped)]
        assert widths[1] > 1.5 * widths[0]

    def test_blocks_without_classified_cells_are_not_drawn(self):
        one, other = scattered(5), scattered(6)
        framed = np.full((100, 100), NAN, np.float32)
        framed[:60, :50] = one
        assert bootstrap(framed, other) == bootstrap(one, other)

    def test_a_group_counts_in_the_block_of_its_first_cell(self):
        """A group over both blocks is a group of the first, as a single cell there is."""
        across, alone = np.zeros((2, 5, 10), np.float32)
        across[2, 3:8] = across[0, 9] = alone[2, 3] = alone[0, 9] = 1
        even = np.eye(10, dtype=np.float32)
        assert bootstrap(across, even, merged=True) == bootstrap(alone, even, merged=True)
        assert bootstrap(across, even) != bootstrap(alone, even)

    def test_nothing_recorded_leaves_an_end_open(self):
        one, other = scattered(0), scattered(1)
        low, high = bootstrap(one, other, (0, 189))
        assert 0 < low < high == np.inf
        low, high = bootstrap(one, other, (38, 0))
        assert 0 == low < high < np.inf
        assert bootstrap(one, other, (0, 0)) == (0, np.inf)

    def test_draws_without_detections_widen_the_interval(self):
        """Of 12 blocks one holds all detections: a third of the draws has none in that region."""
        one = np.zeros((15, 20), np.float32)
        one[0, 0] = 1
        assert bootstrap(one, scattered(0))[0] == 0
        assert bootstrap(scattered(0), one)[1] == np.inf
        # 12 % of the draws have none in both regions, and 23 % none in one alone.
        assert bootstrap(one, one, level=0.4) == (0, np.inf)

    def test_refused(self):
        one = scattered(0)
        with pytest.raises(DataError, match=r"no cell of region 2 reaches the threshold 0.95; "):
            bootstrap(np.ones((10, 10), np.float32), one, threshold=0.95)
        with pytest.raises(DataError, match="region 1 has 1 blocks of 60 x 60 cells"):
            bootstrap(one, one, block_cells=60)
        with pytest.raises(DataError, match="recorded in region 1 is -1"):
            bootstrap(one, one, (-1, 3))
        with pytest.raises(DataError, match="block_cells is 0; give at least 1"):
            bootstrap(one, one, block_cells=0)
        with pytest.raises(DataError, match="draws is 0; give at least 1"):
            bootstrap(one, one, draws=0)
        with pytest.raises(DataError, match="threshold is 2; give"):
            bootstrap(one, one, threshold=2)
        with pytest.raises(DataError, match="level is 1; give"):
            bootstrap(one, one, level=1)
        with pytest.raises(DataError, match=r"probability of region 2 has shape \(50,\)"):
            bootstrap(one, one[0])
