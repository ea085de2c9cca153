"""The comparison of two regions' reports: numbers by hand, their table, pictures and page."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from landslide_dist.errors import DataError
from landslide_dist.evaluation.bias import compare_reporting
from landslide_dist.evaluation.bias_blocks import (
    Blocks,
    Shown,
    blocks_figure,
    map_figure,
    sheet_figure,
    shown_probability,
)
from landslide_dist.evaluation.bias_figures import counts_figure, histogram_figure, ratio_figure
from landslide_dist.evaluation.bias_page import interval, render_bias
from landslide_dist.evaluation.report import Picture
from landslide_dist.kernels.bias import bootstrap_interval, poisson_interval

from .bias_regions import PERIODS, TEXTS, config, pair


def test_blocks_of_a_region_add_up():
    one, _ = compare_reporting(pair(), config()).regions
    assert (one.num_blocks, one.num_masked, one.num_unclear) == (36 * 30, 2 * 30, 1)
    assert one.num_classified == 36 * 30 - 61
    counted = pair()[0].probability[:, 6:]
    assert one.blocks == tuple(int((counted >= np.float32(t)).sum()) for t in (0.5, 0.9, 0.99))
    assert all(0 < g <= b for g, b in zip(one.groups, one.blocks, strict=True))
    assert one.groups[0] < one.blocks[0]


@pytest.mark.parametrize("merged", [False, True])
def test_every_factor_is_that_of_its_four_numbers(merged):
    settings, regions = config(merged=merged), pair()
    result = compare_reporting(regions, settings)
    assert [(f.period, f.threshold) for f in result.factors] == [
        (period, threshold) for period in PERIODS for threshold in settings.thresholds
    ]
    for factor in result.factors:
        at = settings.thresholds.index(factor.threshold)
        d1, d2 = ((r.groups if merged else r.blocks)[at] for r in result.regions)
        r1, r2 = (r.recorded[factor.period] for r in regions)
        assert (factor.detected, factor.recorded) == ((d1, d2), (r1, r2))
        assert factor.factor == pytest.approx(d1 * r2 / (d2 * r1))
        assert factor.poisson == poisson_interval((d1, d2), (r1, r2), 0.95)
        rasters = [r.counted for r in regions]
        assert factor.bootstrap == bootstrap_interval(
            *rasters, r1, r2, factor.threshold, 5, 200, 0, 0.95, merged
        )
        low, high = factor.bootstrap
        assert low < factor.factor < high
        assert (factor.reason, factor.bootstrap_reason) == ("", "")
    for found in result.detected:
        assert found.ratio == found.numbers[0] / found.numbers[1]
        for number, (low, high) in zip(found.numbers, found.intervals, strict=True):
            assert low < number < high
        assert found.ratio_interval[0] < found.ratio < found.ratio_interval[1]


def test_what_there_is_none_of_is_said_in_words():
    days = ("2010-01-01", "2010-12-31")
    settings = config(periods={"full": days, "all": days, "early": days})
    regions = [
        replace(one, recorded=dict(zip(settings.periods, recorded, strict=True)))
        for one, recorded in zip(pair(), ((38, 38, 0), (189, 0, 60)), strict=True)
    ]
    result = compare_reporting((regions[0], regions[1]), settings)
    assert [f.factor is None for f in result.factors] == [False] * 3 + [True] * 6
    without = result.of_period("all")[0]
    assert without.reason == "nothing is recorded in oregon in the period all"
    assert without.poisson[0] == 0
    assert np.isfinite(without.poisson[1])
    early = result.of_period("early")[0]
    assert early.reason == "nothing is recorded in rwenzori in the period early"
    assert early.poisson[1] == np.inf
    assert result.recorded_ratios == {"full": 38 / 189, "all": None, "early": 0.0}


@pytest.fixture
def partly():
    """No block of the second region reaches the highest threshold."""
    one, other = pair()
    other.probability[other.probability >= 0.95] = 0.95
    return compare_reporting((one, other), config())


def test_a_threshold_without_detections_leaves_the_others(partly):
    found = partly.of_period("all")
    assert [f.factor is None for f in found] == [False, False, True]
    assert found[2].reason == "no block of oregon reaches 0.99"
    assert found[2].bootstrap is None
    assert found[2].bootstrap_reason == ""
    assert partly.detected[2].ratio is None
    assert partly.detected[2].intervals[1] is None


def test_a_region_of_one_block_of_the_bootstrap_has_no_such_interval():
    found = compare_reporting(pair(), config(block_cells=100)).factors[0]
    assert found.factor is not None
    assert found.bootstrap is None
    assert "a block bootstrap needs two" in found.bootstrap_reason


def test_without_any_factor_the_run_is_refused():
    with pytest.raises(DataError, match=r"no bias factor at any threshold in any period: nothing"):
        compare_reporting(pair(((0, 0), (189, 60))), config())
    one, other = pair()
    other.masked[:] = True
    with pytest.raises(DataError, match=r"'oregon' has no block to count: of 1080 inside 1080 are"):
        compare_reporting((one, other), config())


def test_json_holds_no_infinity_and_csv_holds_every_row(partly):
    result = compare_reporting(pair(((38, 0), (189, 60))), config())
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    early = plain["factors"][3]
    assert early["factor"] is None
    assert early["poisson"][1] is None
    assert plain["regions"][0]["blocks"] == list(result.regions[0].blocks)
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [row["note"] != "" for row in rows] == [False] * 3 + [True] * 3
    assert rows[3]["poisson_high"] == "inf"
    first = result.factors[0]
    assert float(rows[0]["bias_factor"]) == pytest.approx(first.factor, rel=1e-5)
    assert int(rows[0]["detected_rwenzori"]) == first.detected[0]
    assert int(rows[0]["recorded_oregon"]) == 189
    assert float(rows[0]["detected_ratio"]) == pytest.approx(result.detected[0].ratio, rel=1e-5)
    assert list(csv.DictReader(io.StringIO(partly.to_csv())))[2]["bias_factor"] == ""


def test_pictures_of_every_kind_can_be_drawn(partly):
    random = np.random.default_rng(0)
    images = random.random((7, 18, 18, 3), dtype=np.float32)
    images[0, :5] = np.nan
    blocks = Blocks(
        "7 of 7 with p > 0.99", images, random.random(7, dtype=np.float32), list("abcdefg")
    )
    one = pair()[0]
    shown = Shown(
        random.random((60, 80, 3), dtype=np.float32), one.probability, one.inside, one.masked, 180
    )
    counts = random.integers(0, 9, (3, 256))
    nothing = Blocks("0 of 0 with p < 0.01", images[:0], np.empty(0, np.float32))
    for picture in (
        counts_figure(partly),
        ratio_figure(partly),
        blocks_figure("rwenzori", [blocks, nothing]),
        sheet_figure("rwenzori", blocks, 6),
        map_figure("rwenzori", shown),
        histogram_figure("rwenzori", {"chips": counts, "scene": np.zeros((3, 256), np.int64)}),
    ):
        image = Image.open(io.BytesIO(picture))
        assert min(image.size) > 200
        assert np.asarray(image).std() > 5


def test_probabilities_near_the_ends_are_not_rounded_to_them():
    shown = [shown_probability(p) for p in (1, 0.99996, 0.9951, 0.25, 0.0002, 0)]
    assert shown == ["1.000", "> 0.999", "0.995", "0.250", "< 0.001", "0.000"]


def test_the_page_is_whole_and_says_what_it_cannot_know(partly):
    picture = Picture("a picture", "what it shows", counts_figure(partly))
    pictures = {kind: [picture] for kind in ("curves", "blocks", "maps", "histograms")}
    html = render_bias("run", partly, config(), TEXTS, (180, 180), pictures, "name: run")
    HTMLParser().feed(html)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", html)
    assert html.count("data:image/webp;base64,") == 4
    words = re.sub(r"\s+", " ", re.sub('base64,[^"]*', "", html))
    for text in (
        "dirt roads, bare fields", "counted once for each block", "a block of 180 m",
        "12.3% lie outside", "land_cover 5", "2007-01-01 to 2009-12-31", "catalog.csv",
        "no block of oregon reaches 0.99", "bias_detections_oregon.csv",
        "image of 2019-01-28", "viewport",
    ):  # fmt: skip
        assert text in words
    first = partly.factors[0]
    assert f"{first.factor:.3g}" in words
    assert interval(first.poisson) in words
    assert str(date(2007, 1, 1)) in words


def test_an_interval_without_an_upper_bound_is_said_so():
    assert interval((1.2345, float("inf"))) == "from 1.23"
    assert interval((0.0, 12345.6)) == "0 to 12,346"
    assert interval(None) == "–"
