import json
import re
from html.parser import HTMLParser

import pytest

from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.runs_page import Run, render_runs, settings_that_differ
from landslide_dist.evaluation.score import score_predictions

CONFIG = EvaluateConfig(bootstrap_draws=10, bootstrap_block_px=32)


def run_of(run, name, predictions, pixels="abc", **settings):
    scores = score_predictions(run.cube, run.split, predictions, run.parts, CONFIG)
    made_of = {"run": {"made_of": {"cube": "1", "split": pixels, "parts": {"test": [2]}}}}
    metrics = json.loads(json.dumps(made_of | to_metrics(scores)))
    settings = {"name": name, "run_dir": f"runs/{name}", **settings}
    return Run(name, metrics, run.cube, predictions, settings)


@pytest.fixture
def runs(make_run):
    run = make_run()
    return [
        run_of(run, "first", run.predictions, split={"kind": "block"}, seed=1),
        run_of(run, "second", {"naive": run.predictions["naive"]}, "def", seed=2),
    ]


def test_the_page_is_whole_and_self_contained(runs):
    page = render_runs(runs)
    HTMLParser().feed(page)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert page.count("data:image/webp;base64,") == 4
    assert len(page) < 5_000_000
    for text in ("first", "second", "good", "naive", "seed", "split.kind", "viewport"):
        assert text in page
    words = re.sub('base64,[^"]*', "", page)
    for run in runs:
        for parts in run.metrics["models"].values():
            low, high = parts["test"]["intervals"]["nll"]
            assert f"{parts['test']['nll']:.3f}" in words
            assert f"{low:.3f} – {high:.3f}" in words


def test_runs_on_other_pixels_are_said_to_be(runs, make_run):
    assert "different pixels" in render_runs(runs)
    run = make_run(name="same")
    same = [run_of(run, name, run.predictions) for name in ("one", "two")]
    page = render_runs(same)
    assert "on the same pixels" in page
    assert "different pixels" not in page
    assert "Nothing but name and folder" in page


def test_only_what_differs_is_listed(runs):
    found = settings_that_differ(runs)
    assert found == [
        {"key": "split.kind", "values": ["block", "–"]},
        {"key": "seed", "values": ["1", "2"]},
    ]


def test_the_best_model_of_a_run_is_a_trained_one(runs):
    assert [run.best for run in runs] == ["good", "naive"]
