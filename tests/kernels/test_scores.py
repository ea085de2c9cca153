from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from landslide_dist.errors import DataError
from landslide_dist.kernels import scores
from landslide_dist.kernels.scores import ScoreCounts, bin_centres, bin_index


def draw(num=4000, seed=0):
    random = np.random.default_rng(seed)
    logit = random.normal(-3, 1.5, num)
    probability = 1 / (1 + np.exp(-logit))
    return probability.astype(np.float32), (random.random(num) < probability).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn():
    probability, target = draw()
    return probability, target, ScoreCounts.from_block(probability, target)


def test_bins_hold_their_centres():
    assert (bin_index(bin_centres()) == np.arange(scores.NUM_BINS)).all()
    assert bin_index(np.array([0.0, 1.0])).tolist() == [0, scores.NUM_BINS - 1]


def test_ranking_scores_are_sklearns(drawn):
    probability, target, counts = drawn
    rounded = bin_centres()[bin_index(probability)]
    for ours, theirs in [
        (scores.auc, metrics.roc_auc_score),
        (scores.average_precision, metrics.average_precision_score),
    ]:
        assert ours(counts) == pytest.approx(theirs(target, rounded), abs=1e-9)
        assert ours(counts) == pytest.approx(theirs(target, probability), abs=1e-4)


def test_ties_count_half():
    counts = ScoreCounts.from_block(np.full(10, 0.3), np.arange(10) % 2)
    assert scores.auc(counts) == 0.5


def test_nll_and_brier_are_sklearns(drawn):
    probability, target, counts = drawn
    exact = probability.astype(np.float64)
    assert scores.nll(counts) == pytest.approx(metrics.log_loss(target, exact), abs=1e-9)
    assert scores.brier(counts) == pytest.approx(metrics.brier_score_loss(target, exact), abs=1e-12)


def test_certain_mistakes_cost_what_the_clip_allows():
    counts = ScoreCounts.from_block(np.array([0.0]), np.array([1]))
    assert scores.nll(counts) == pytest.approx(-np.log(1e-7))


@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.5])
def test_thresholded_scores_are_sklearns(drawn, threshold):
    probability, target, counts = drawn
    called = bin_centres()[bin_index(probability)] >= threshold
    ours = scores.precision_recall_f1_mcc(scores.confusion_at(counts, threshold))
    assert ours == pytest.approx({
        "precision": metrics.precision_score(target, called),
        "recall": metrics.recall_score(target, called),
        "f1": metrics.f1_score(target, called),
        "mcc": metrics.matthews_corrcoef(target, called),
    }, abs=1e-9)  # fmt: skip


def test_curves_are_sklearns(drawn):
    probability, target, counts = drawn
    rounded = bin_centres()[bin_index(probability)]
    x, y, _ = metrics.roc_curve(target, rounded, drop_intermediate=False)
    curve = scores.roc_curve(counts)
    np.testing.assert_allclose(curve.x, x)
    np.testing.assert_allclose(curve.y, y)
    precision, recall, _ = metrics.precision_recall_curve(target, rounded)
    curve = scores.precision_recall_curve(counts)
    np.testing.assert_allclose(curve.x, recall[:-1][::-1])
    np.testing.assert_allclose(curve.y, precision[:-1][::-1])


def test_best_threshold_is_the_best_of_all(drawn):
    probability, target, counts = drawn
    best = scores.best_threshold(counts)
    rounded = bin_centres()[bin_index(probability)]
    at = {t: metrics.matthews_corrcoef(target, rounded >= t) for t in np.unique(rounded)[::7]}
    found = metrics.matthews_corrcoef(target, rounded >= best)
    assert found >= max(at.values()) - 1e-12


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=5))
def test_any_division_into_blocks_counts_the_same(cuts):
    probability, target = draw()
    whole = ScoreCounts.from_block(probability, target)
    edges = [0, *sorted(cuts), len(target)]
    merged = ScoreCounts.zero()
    for start, stop in pairwise(edges):
        merged += ScoreCounts.from_block(probability[start:stop], target[start:stop])
    np.testing.assert_array_equal(merged.positive, whole.positive)
    np.testing.assert_array_equal(merged.negative, whole.negative)
    assert merged.nll_sum == pytest.approx(whole.nll_sum, rel=1e-12)


def test_calibration_of_true_probabilities_and_of_doubled_ones(drawn):
    probability, target, counts = drawn
    assert scores.expected_calibration_error(counts) < 0.02
    doubled = ScoreCounts.from_block(np.minimum(2 * probability, 1), target)
    assert scores.expected_calibration_error(doubled) > 0.05
    bins = scores.reliability(counts, 10)
    assert bins.num_pixels.sum() == len(target)
    assert bins.num_pixels.min() > 300
    assert (np.diff(bins.predicted) > 0).all()


def test_without_landslides_nothing_is_plausible():
    counts = ScoreCounts.from_block(np.array([0.1, 0.2]), np.array([0, 0]))
    for score in (scores.auc, scores.average_precision, scores.best_threshold):
        assert np.isnan(score(counts))
    assert np.isnan(scores.precision_recall_f1_mcc(scores.confusion_at(counts, 0.9))["precision"])
    assert np.isnan(scores.nll(ScoreCounts.zero()))


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.5, np.inf])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(DataError, match="1 of 3 probabilities are missing or not in"):
        ScoreCounts.from_block(np.array([0.1, wrong, 0.9]), np.array([0, 0, 1]))
