"""Detections that people looked at: precisions, what they make of the factor, what is said."""

import json
import re

import numpy as np
import pytest
from scipy import stats

from landslide_dist.evaluation.bias import compare_reporting
from landslide_dist.evaluation.bias_checked import (
    check_detections,
    checked_interval,
    precision_interval,
)
from landslide_dist.evaluation.bias_page import render_bias
from landslide_dist.kernels.bias import poisson_interval

from .bias_regions import TEXTS, config, pair

UNKNOWN = [None] * 50


def seen(right, wrong, unknown=0):
    return [True] * right + [False] * wrong + [None] * unknown


@pytest.fixture(scope="module")
def result():
    return compare_reporting(pair(), config())


def words(result, checked, **changes):
    pictures = {kind: [] for kind in ("curves", "blocks", "maps", "histograms")}
    html = render_bias(
        "run", result, config(**changes), TEXTS, (180, 180), pictures, "name: run", checked
    )
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize(("right", "judged"), [(0, 7), (7, 7), (1, 1), (31, 50), (1, 50)])
def test_the_interval_of_a_precision_is_the_exact_one(right, judged, level):
    low, high = precision_interval(right, judged, level)
    tail = pytest.approx((1 - level) / 2, abs=1e-9)
    # At either bound, what was seen or more of it is as rare as the level allows.
    assert stats.binom.sf(right - 1, judged, low) == tail if right else low == 0
    assert stats.binom.cdf(right, judged, high) == tail if right < judged else high == 1


class TestCheckedInterval:
    def test_distances_of_the_parts_add_up_as_squares(self):
        """By hand: 0.3 and 0.4 down make 0.5, 0.5 and 1.2 up make 1.3, as logarithms."""
        bounds = 2 * np.exp(-0.3), 2 * np.exp(0.5)
        first = 0.4 * np.exp(-0.4), 0.4
        second = 0.8 * np.exp(-1.2), 0.8
        low, high = checked_interval(2, bounds, (0.4, 0.8), (first, second))
        assert (low, high) == pytest.approx((np.exp(-0.5), np.exp(1.3)))

    def test_known_precisions_leave_the_interval_of_the_factor(self):
        known = checked_interval(1.5, (0.6, 3.5), (0.3, 0.6), ((0.3, 0.3), (0.6, 0.6)))
        assert known == pytest.approx((0.3, 1.75))

    def test_exchanged_regions_invert_it(self):
        one, other = (0.2, (0.1, 0.34)), (0.9, (0.78, 0.97))
        low, high = checked_interval(2, (0.7, 7), *zip(one, other, strict=True))
        turned = checked_interval(1 / 2, (1 / 7, 1 / 0.7), *zip(other, one, strict=True))
        assert turned == pytest.approx((1 / high, 1 / low))

    @pytest.mark.parametrize(
        ("detected", "recorded", "precisions", "judged"),
        [
            ((40, 60), (6, 149), (0.5, 0.9), 50),
            ((5000, 3000), (6000, 14900), (0.2, 0.95), 20),
            ((20, 20), (600, 600), (0.5, 0.5), 50),
        ],
    )
    def test_it_covers_at_least_as_often_as_it_says(self, detected, recorded, precisions, judged):
        """Numbers drawn as they are made; with few detections all of them are judged."""
        random = np.random.default_rng(0)
        shares = np.array(precisions)
        truth = detected[0] / detected[1] * shares[0] / shares[1] * recorded[1] / recorded[0]
        covered = []
        for _ in range(600):
            d, r = random.poisson(detected), random.poisson(recorded)
            right = random.binomial(d, shares)
            drawn = np.minimum(d, judged)
            found = random.hypergeometric(right, d - right, drawn)
            if min(*r, *found) > 0:
                low, high = checked_interval(
                    d[0] / d[1] * r[1] / r[0],
                    poisson_interval((int(d[0]), int(d[1])), (int(r[0]), int(r[1])), 0.9),
                    found / drawn,
                    [
                        precision_interval(*numbers, 0.9)
                        for numbers in zip(found, drawn, strict=True)
                    ],
                )
                covered.append(low <= truth <= high)
        assert 0.9 <= np.mean(covered) < 0.99


def test_the_factor_of_the_lowest_threshold_is_that_of_what_is_right(result):
    checked = check_detections(result, (seen(30, 10, 10), seen(20, 30)))
    assert [(r.region, r.num_drawn, r.num_judged, r.num_right) for r in checked.regions] == [
        ("rwenzori", 50, 40, 30),
        ("oregon", 50, 50, 20),
    ]
    assert [r.precision for r in checked.regions] == [0.75, 0.4]
    assert checked.regions[0].interval == precision_interval(30, 40, 0.95)
    assert checked.threshold == 0.5
    assert [factor.period for factor in checked.factors] == ["all", "early"]
    for factor in checked.factors:
        whole = result.of_period(factor.period)[0]
        (d1, d2), (r1, r2) = whole.detected, whole.recorded
        assert factor.factor == pytest.approx((d1 * 0.75 / (d2 * 0.4)) / (r1 / r2))
        assert factor.interval == checked_interval(
            whole.factor, whole.poisson, (0.75, 0.4), [r.interval for r in checked.regions]
        )
        assert factor.interval[0] < factor.factor < factor.interval[1]
        assert factor.reason == ""
    plain = json.loads(json.dumps(checked.to_dict(), allow_nan=False))
    assert plain["regions"][1]["precision"] == 0.4
    assert plain["factors"][0]["factor"] == checked.factors[0].factor


def test_the_level_is_that_of_the_run():
    half = compare_reporting(pair(), config(level=0.5))
    checked = check_detections(half, (seen(3, 1), seen(2, 3)))
    assert checked.regions[0].interval == precision_interval(3, 4, 0.5)


def test_nothing_is_made_of_sheets_that_nobody_judged(result):
    assert check_detections(result, (UNKNOWN, UNKNOWN)) is None
    text = words(result, None)
    assert "Checked by eye" not in text
    assert "Write yes or no into the column landslide" in text


@pytest.mark.parametrize(
    ("judgements", "reason"),
    [
        ((seen(3, 4), UNKNOWN), "no detection of oregon is judged"),
        ((UNKNOWN, seen(3, 4)), "no detection of rwenzori is judged"),
        ((seen(3, 4), seen(0, 9)), "no detection of oregon that was judged is a landslide"),
        ((seen(0, 9), seen(3, 4)), "no detection of rwenzori that was judged is a landslide"),
    ],
)
def test_where_there_is_no_such_factor_it_is_said_why(result, judgements, reason):
    checked = check_detections(result, judgements)
    assert checked.reasons == [reason]
    assert {(f.factor, f.interval) for f in checked.factors} == {(None, None)}
    text = words(result, checked)
    assert "Checked by eye" in text
    assert f"There is no bias factor checked by eye: {reason}." in text
    assert "If only what is right counts" not in text


def test_a_period_without_records_has_no_such_factor_either():
    result = compare_reporting(pair(((38, 5), (189, 0))), config())
    checked = check_detections(result, (seen(3, 4), seen(5, 1)))
    assert [f.factor is None for f in checked.factors] == [False, True]
    assert checked.reasons == ["nothing is recorded in oregon in the period early"]


def test_blocks_do_not_speak_for_groups_of_them():
    result = compare_reporting(pair(), config(merged=True))
    checked = check_detections(result, (seen(30, 10), seen(20, 30)))
    assert checked.regions[0].precision == 0.75
    assert checked.factors[0].factor is None
    assert checked.reasons == [
        "single blocks are judged, but groups of blocks that touch are counted"
    ]
    assert f"rwenzori {result.regions[0].blocks[0]:,} 40 40 30 0.75" in words(
        result, checked, merged=True
    )


def test_the_page_holds_precisions_and_what_they_make_of_the_factor(result):
    checked = check_detections(result, (seen(30, 10, 10), seen(20, 30)))
    text = words(result, checked)
    assert "Checked by eye region blocks from 0.5 drawn judged right precision" in text
    blocks = result.regions[1].blocks[0]
    assert f"oregon {blocks:,} 50 50 20 0.4 0.264 to 0.548" in text
    factor = checked.factors[1]
    low, high = factor.interval
    shown = f"{factor.factor:.3g} ({low:.3g} to {high:.3g}) in the period early"
    assert shown in text
