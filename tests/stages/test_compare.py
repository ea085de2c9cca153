"""Scores and pages of one run and of several, through the real command line."""

import json
import re

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def predicted(command_line, smoke):
    """Two runs on one cube, one of them with an ensemble, whose maps are there."""
    command_line.environment["OMP_NUM_THREADS"] = "1"
    llr = smoke["models"]["llr"]
    smoke["models"] = {"naive": smoke["models"]["naive"], "llr": llr}
    smoke["predict"]["cog"] = False
    paths = []
    for name, learning_rate in (("first", 0.05), ("second", 0.01)):
        smoke |= {"name": name, "run_dir": f"runs/{name}"}
        smoke["models"]["llr"] = {**llr, "learning_rate": learning_rate}
        if name == "second":
            smoke["predict"]["ensembles"] = {"both": ["naive", "llr"]}
        paths.append(command_line.write(smoke, f"{name}.yaml"))
    for stage in ("ingest", "derive"):
        command_line(stage, paths[0])
    for path in paths:
        for stage in ("split", "train", "predict"):
            command_line(stage, path)
    return paths


def test_scores_and_pages_of_one_run_and_of_two(predicted, command_line):
    first, second = predicted
    folder = command_line.folder
    metrics = folder / "runs/first/metrics.json"
    said = command_line("evaluate", first).stdout
    assert "less llr" in said
    alone = metrics.read_text()
    found = json.loads(alone)
    assert set(found) == {"run", "models", "comparison", "strata", "curves", "classes"}
    assert {"slope", "lithology"} <= set(found["strata"])

    (folder / "cluster.yaml").write_text("{kind: local, workers: 2, memory_gib: 2}")
    command_line("evaluate", first, "--cluster", "cluster.yaml")
    assert metrics.read_text() == alone

    command_line("report", first)
    page = (folder / "runs/first/report.html").read_text()
    assert len(page) < 5_000_000
    assert "Susceptibility classes" in page

    assert "run evaluate" in command_line("report", first, second, status=2).stderr
    command_line("evaluate", second)
    command_line("report", first, second)
    page = (folder / "runs/first/comparison.html").read_text()
    words = re.sub('base64,[^"]*', "", page)
    assert "on the same pixels" in words
    for text in ("models.llr.learning_rate", "0.05", "0.01", "both"):
        assert text in words
    command_line("report", first, second, "--output", "side_by_side.html")
    assert (folder / "side_by_side.html").read_text() == page

    failed = command_line("report", first, first, status=2)
    assert "given twice" in failed.stderr
    other = ("--set", "evaluate.bootstrap_draws=5")
    assert "evaluate again" in command_line("report", first, second, *other, status=2).stderr
