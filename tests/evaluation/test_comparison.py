import numpy as np
import pytest
from sklearn import metrics

from landslide_dist import schema
from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.evaluation.comparison import compare_models, compare_pair
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.score import BEST_REACHABLE, best_model, score_predictions

CONFIG = EvaluateConfig(bootstrap_draws=60, bootstrap_block_px=16, strata=())


@pytest.fixture
def run(make_run, write_variable, tmp_path):
    """With a copy of the good model and a noisy one."""
    run = make_run()
    good = run.probability["good"]
    logit = np.log(good / (1 - good)) + np.random.default_rng(3).normal(size=good.shape)
    further = {"twin": good, "noisy": (1 / (1 + np.exp(-logit))).astype(np.float32)}
    for name, values in further.items():
        run.predictions[name] = str(tmp_path / f"{name}.zarr")
        run.probability[name] = values
        write_variable(run.predictions[name], [(schema.PROBABILITY, values)], run.storage)
    return run


def scored(run, config=CONFIG):
    return score_predictions(run.cube, run.split, run.predictions, run.parts, config)


def test_every_model_is_set_against_the_best(run):
    scores = scored(run)
    assert best_model(scores) == "good"
    found = to_metrics(scores)["comparison"]
    assert (found["reference"], found["part"], found["draws"]) == ("good", "test", 60)
    assert list(found["models"]) == ["naive", "twin", "noisy", BEST_REACHABLE]
    test = run.values == 2
    target = run.landslide[test]
    auc = {name: metrics.roc_auc_score(target, p[test]) for name, p in run.probability.items()}
    for name in ("naive", "noisy"):
        one = found["models"][name]["auc"]
        assert one["difference"] == pytest.approx(auc[name] - auc["good"], abs=2e-4)
        assert one["interval"][0] <= one["difference"] <= one["interval"][1] < 0
        assert one["share_better"] == 0
    assert found["models"]["noisy"]["nll"]["interval"][0] > 0
    assert found["models"][BEST_REACHABLE]["nll"]["share_better"] > 0.9


def test_identical_models_differ_by_exactly_nothing(run):
    for one in compare_models(scored(run)).models["twin"].values():
        assert one.difference == 0
        assert one.interval == (0, 0)
        assert one.share_better == 0
        assert not one.is_clear


def test_a_pair_is_antisymmetric(run):
    scores = scored(run)
    one, other = (
        compare_pair(scores[a], scores[b]) for a, b in (("noisy", "naive"), ("naive", "noisy"))
    )
    for name in one:
        assert one[name].difference == -other[name].difference
        assert one[name].interval == pytest.approx([-x for x in other[name].interval[::-1]])
        assert one[name].share_better == pytest.approx(1 - other[name].share_better)


def test_without_draws_nothing_is_compared(run):
    scores = scored(run, CONFIG.model_copy(update={"bootstrap_draws": 0}))
    assert compare_models(scores) is None
    assert scores["good"].intervals == {}


def test_the_best_is_one_that_tells_pixels_apart(run):
    scores = scored(run)
    swapped = {**scores, "naive": scores["good"], "good": scores["noisy"], "twin": scores["noisy"]}
    assert best_model(swapped) == "good"
    assert best_model({"naive": scores["naive"], BEST_REACHABLE: scores[BEST_REACHABLE]}) == "naive"
