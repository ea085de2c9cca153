import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from landslide_dist.kernels import scores
from landslide_dist.kernels.rates import area_under, found_within, rate_curve
from landslide_dist.kernels.scores import NUM_BINS, ScoreCounts


def draw(num, seed=0):
    random = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-random.normal(-2, 1.5, num)))
    return probability, (random.random(num) < probability).astype(np.uint8)


def curve_of(counts):
    return rate_curve(counts.positive, counts.positive + counts.negative)


def test_it_is_the_share_found_in_the_most_susceptible_area():
    probability, target = draw(10_000)
    curve = curve_of(ScoreCounts.from_block(probability, target))
    for area in (0.05, 0.2, 0.7):
        order = np.argsort(-probability, kind="stable")[: int(area * len(target))]
        assert found_within(curve, area) == pytest.approx(
            target[order].sum() / target.sum(), abs=0.002
        )
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)


@given(st.integers(5, 300), st.integers(0, 20))
def test_area_follows_from_the_auc(num, seed):
    """Area = share / 2 + (1 - share) AUC: the curve counts landslides among the area, too."""
    probability, target = draw(num, seed)
    target[:2] = 0, 1
    counts = ScoreCounts.from_block(probability, target)
    share = target.mean()
    expected = share / 2 + (1 - share) * scores.auc(counts)
    assert area_under(curve_of(counts)) == pytest.approx(expected, abs=1e-12)
    curve = curve_of(counts)
    assert area_under(curve) == pytest.approx(metrics.auc(curve.x, curve.y), abs=1e-12)


def test_the_area_may_be_a_larger_one():
    landslides, pixels = np.zeros((2, NUM_BINS), dtype=np.int64)
    landslides[60_000], pixels[60_000], pixels[100] = 3, 10, 90
    curve = rate_curve(landslides, pixels)
    np.testing.assert_allclose(curve.x, [0, 0.1, 1])
    np.testing.assert_allclose(curve.y, [0, 1, 1])
    assert area_under(curve) == pytest.approx(0.95)


def test_without_landslides_it_is_undefined():
    curve = curve_of(ScoreCounts.from_block(np.array([0.1, 0.2]), np.array([0, 0])))
    assert np.isnan(area_under(curve))
