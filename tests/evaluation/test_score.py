import json

import numpy as np
import pytest
from distributed import Client, LocalCluster
from sklearn import metrics

from landslide_dist import schema
from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.errors import DataError
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.score import BEST_REACHABLE, score_predictions
from landslide_dist.kernels.scores import bin_centres, bin_index
from landslide_dist.schema import Variable

CONFIG = EvaluateConfig(bootstrap_draws=30, bootstrap_block_px=16)


def scored(run, config=CONFIG, **options):
    return score_predictions(run.cube, run.split, run.predictions, run.parts, config, **options)


def text_of(scores):
    return json.dumps(to_metrics(scores), indent=1)


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
    config = CONFIG.model_copy(update={"bootstrap_draws": 0, "strata": ()})
    small, large = (scored(make_run(px, f"shards of {px}"), config) for px in (16, 128))
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


def test_any_number_of_threads_and_workers_gives_the_same_file(make_run):
    run = make_run(48)
    config = CONFIG.model_copy(update={"bootstrap_draws": 8, "strata": ("slope",)})
    expected = text_of(scored(run, config, threads=1))
    assert text_of(scored(run, config, threads=4)) == expected
    for workers, processes in ((1, False), (2, True), (7, False)):
        with (
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=processes,
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            Client(cluster) as client,
        ):
            assert text_of(scored(run, config, client=client)) == expected, workers


def test_classes_are_of_all_mapped_pixels(make_run):
    run = make_run()
    probability = run.probability["good"]
    mapped = np.isfinite(probability)
    found = to_metrics(scored(run))["classes"]
    assert list(found) == ["equal_area", "quantiles", "natural_breaks"]
    train, test = run.values == 0, run.values == 2
    for method, models in found.items():
        rows = models["good"]
        assert len(rows) == 5
        for row in rows:
            inside = (probability >= row["low"]) & (probability < row["high"])
            slides = inside & (run.landslide == 1)
            assert row["num_pixels"] == inside.sum()
            assert row["area_km2"] == pytest.approx(inside.sum() * 1e-4)
            assert row["num_landslide"] == slides.sum()
            assert row["density_per_km2"] == pytest.approx(slides.sum() / row["area_km2"])
            assert row["test"]["num_pixels"] == (inside & test).sum()
            assert row["test"]["num_landslide"] == (slides & test).sum()
        inside = [(probability >= r["low"]) & (probability < r["high"]) for r in rows]
        if method == "equal_area":
            for mine in inside:
                assert mine.sum() / mapped.sum() == pytest.approx(0.2, abs=0.002)
        if method == "quantiles":
            taught = train & (run.landslide == 1)
            for mine in inside:
                assert (mine & taught).sum() / taught.sum() == pytest.approx(0.2, abs=0.002)
    assert len(found["equal_area"]["naive"]) == 1


def test_without_classes_unlabelled_pixels_are_not_read(make_run, write_variable):
    run = make_run()
    values = run.probability["good"].copy()
    values[:, :5] = 7  # no probability, where there are no labels
    write_variable(run.predictions["good"], [(schema.PROBABILITY, values)], run.storage)
    with pytest.raises(DataError, match=r"not in \[0, 1\] at 600 pixels"):
        scored(run)
    found = to_metrics(scored(make_run(name="other"), CONFIG.model_copy(
        update={"class_methods": ()}
    )))  # fmt: skip
    assert found["classes"] == {}
    assert found["models"]["good"]["test"]["auc"] > 0.5


def test_rate_curves_are_of_the_part_or_of_the_map(make_run):
    run = make_run()
    test = run.values == 2
    target, predicted = run.landslide[test], run.probability["good"][test]
    for area_of, area in (
        ("part", predicted),
        ("map", run.probability["good"][np.isfinite(run.probability["good"])]),
    ):
        config = CONFIG.model_copy(update={"rate_area": area_of})
        curves = to_metrics(scored(run, config))["curves"]["good"]
        rate = curves["prediction_rate"]
        assert (rate["area_of"], rate["part"]) == (area_of, "test")
        for share in (0.1, 0.3, 0.8):
            at = rate["area_share"].index(share)
            threshold = np.quantile(area, 1 - share)
            expected = (predicted[target == 1] >= threshold).mean()
            assert rate["landslide_share"][at] == pytest.approx(expected, abs=0.003)
        # Their mean rank from the top, in the area.
        ranks = np.searchsorted(np.sort(area), predicted[target == 1]) / area.size
        assert rate["area_under"] == pytest.approx(ranks.mean(), abs=0.002)
        assert curves["success_rate"]["part"] == "train"
        assert curves["roc"]["area_under"] == pytest.approx(
            metrics.roc_auc_score(target, predicted), abs=1e-4
        )


def test_float16_predictions_are_scored(make_run, write_variable):
    run = make_run()
    half = Variable("probability", "float16", np.nan, "1", "probability")
    values = run.probability["good"].astype(np.float16)
    write_variable(run.predictions["good"], [(half, values)], run.storage)
    test = run.values == 2
    assert to_metrics(scored(run))["models"]["good"]["test"]["auc"] == pytest.approx(
        metrics.roc_auc_score(run.landslide[test], values[test]), abs=2e-4
    )
