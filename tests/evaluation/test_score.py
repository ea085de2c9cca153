import numpy as np
import pytest
from sklearn import metrics

from landslide_dist import schema
from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.errors import DataError
from landslide_dist.evaluation.score import BEST_REACHABLE, score_predictions, to_metrics
from landslide_dist.kernels.scores import bin_centres, bin_index
from landslide_dist.schema import Variable

CONFIG = EvaluateConfig(bootstrap_draws=30, bootstrap_block_px=16)


def scored(run, config=CONFIG):
    return score_predictions(run.cube, run.split, run.predictions, run.parts, config)


def test_scores_are_sklearns(make_run):
    run = make_run()
    found = to_metrics(scored(run))["models"]
    probabilities = {**run.probability, BEST_REACHABLE: run.truth.astype(np.float32)}
    assert list(found) == list(probabilities)
    for name, probability in probabilities.items():
        for part, value in (("train", 0), ("validation", 1), ("test", 2)):
            mine = run.values == value
            target, predicted = run.landslide[mine], probability[mine].astype(np.float64)
            part_scores = found[name][part]
            assert part_scores["num_pixels"] == mine.sum()
            assert part_scores["num_landslide"] == target.sum()
            assert part_scores["nll"] == pytest.approx(metrics.log_loss(target, predicted))
            assert part_scores["brier"] == pytest.approx(
                metrics.brier_score_loss(target, predicted)
            )
            assert part_scores["auc"] == pytest.approx(
                metrics.roc_auc_score(target, predicted), abs=1e-4
            )
            rounded = bin_centres()[bin_index(predicted)]
            assert part_scores["auc"] == pytest.approx(
                metrics.roc_auc_score(target, rounded), abs=1e-9
            )
            assert part_scores["ap"] == pytest.approx(
                metrics.average_precision_score(target, rounded), abs=1e-9
            )
            # A step of recall is 1 / 1,000 here: a tie that rounding makes weighs that much.
            assert part_scores["ap"] == pytest.approx(
                metrics.average_precision_score(target, predicted), abs=5e-4
            )


def test_threshold_is_chosen_on_validation(make_run):
    run = make_run()
    best = to_metrics(scored(run))["models"]["good"]["test"]["at_best"]
    assert best["chosen_on"] == "validation"
    called = run.probability["good"] >= best["threshold"]
    validation, test = run.values == 1, run.values == 2
    mcc = metrics.matthews_corrcoef(run.landslide[test], called[test])
    assert best["mcc"] == pytest.approx(mcc, abs=1e-3)
    chosen = metrics.matthews_corrcoef(run.landslide[validation], called[validation])
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        other = run.probability["good"][validation] >= threshold
        assert chosen >= metrics.matthews_corrcoef(run.landslide[validation], other) - 1e-9


def test_intervals_hold_the_score(make_run):
    test = to_metrics(scored(make_run()))["models"]["good"]["test"]
    for name in ("nll", "auc", "ap", "brier"):
        low, high = test["intervals"][name]
        assert low < test[name] < high


def test_shards_do_not_matter(make_run):
    small, large = scored(make_run(16, "small")), scored(make_run(128, "large"))
    for name, model in small.items():
        for part, counts in model.counts.items():
            other = large[name].counts[part]
            np.testing.assert_array_equal(counts.positive, other.positive)
            np.testing.assert_array_equal(counts.negative, other.negative)
            assert counts.nll_sum == pytest.approx(other.nll_sum, rel=1e-12)


def test_a_gap_at_a_labelled_pixel_is_an_error(make_run, write_variable):
    run = make_run()
    values = run.probability["good"].copy()
    values[50, 120:123] = np.nan
    write_variable(run.predictions["good"], [(schema.PROBABILITY, values)], run.storage)
    with pytest.raises(DataError, match="'good'.* no value at 3 labelled pixels"):
        scored(run)


def test_predictions_scaled_for_viewing_are_refused(make_run, write_variable):
    run = make_run()
    viewing = Variable("probability", "uint8", 255, "1", "scaled")
    write_variable(
        run.predictions["good"], [(viewing, run.probability["naive"] * 255)], run.storage
    )
    with pytest.raises(DataError, match="uint8, scaled for viewing"):
        scored(run)


def test_logits_are_refused(make_run, write_variable):
    run = make_run()
    write_variable(
        run.predictions["good"], [(schema.PROBABILITY, run.probability["naive"] * 10)], run.storage
    )
    with pytest.raises(DataError, match=r"not in \[0, 1\]"):
        scored(run)
