"""The paper's experiment through the real command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from landslide_dist.config import load
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Window
from landslide_dist.inference.predict import TiledPredictor
from landslide_dist.kernels.scores import bin_centres, bin_index
from landslide_dist.models import checkpoint
from landslide_dist.patches.reader import ZarrReader
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.division import Division, Fold
from landslide_dist.stages.experiment import experiment
from landslide_dist.stages.ingest import ingest

MODELS = ["naive", "llr", "cnn"]


@pytest.fixture
def settings(smoke):
    smoke["models"] = {name: smoke["models"][name] for name in MODELS}
    smoke["split"] = {"block_px": 64}
    smoke["experiment"] = {"window_px": 64}
    return smoke


@pytest.fixture
def cube(command_line, settings, monkeypatch):
    """Name of a config whose cube is derived, in the folder where we are."""
    run = command_line.write(settings)
    monkeypatch.chdir(command_line.folder)
    ingest(load(run))
    derive(load(run))
    return run


def modified(folder):
    kept = [*folder.rglob("*.ckpt"), *folder.rglob("*.npz"), *folder.rglob("history.json")]
    return {path: path.stat().st_mtime_ns for path in kept}


def kill_once_there(command_line, run, path):
    """Start an experiment and kill it, all its threads at once, when a file has appeared."""
    program = Path(sys.executable).with_name("landslide-dist")
    with subprocess.Popen(
        [program, "experiment", run],
        cwd=command_line.folder,
        env=command_line.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        until = time.monotonic() + 120
        while not path.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert path.exists()


@pytest.mark.long
def test_the_papers_table_from_a_killed_experiment(command_line, cube):
    folder = command_line.folder / "runs" / "smoke"
    divisions = folder / "experiment"
    kill_once_there(command_line, cube, divisions / "random-0-0" / "models" / "llr" / "scores.npz")
    assert not (folder / "experiment.json").exists()
    before = modified(divisions)
    shown = command_line("experiment", cube).stdout
    after = modified(divisions)
    assert {path: after[path] for path in before} == before
    assert len(after) > len(before)
    for text in ("best reachable", "cnn", "train err", "AUC"):
        assert text in shown

    found = json.loads((folder / "experiment.json").read_text())
    names = load(cube).training_order()
    assert [row["model"] for row in found["rows"]] == [*names, "best reachable"] * 2
    check_against_whole_maps(cube, found["summary"])
    for kind in ("random", "block"):
        best = found["summary"][kind]["best reachable"]["test_nll"][0]
        assert best < min(found["summary"][kind][name]["test_nll"][0] for name in MODELS)
    assert found["difference"]["llr"]["test_auc"] == pytest.approx(
        found["summary"]["block"]["llr"]["test_auc"][0]
        - found["summary"]["random"]["llr"]["test_auc"][0]
    )
    check_page(folder)

    # Nothing is left to do but what depends on the window.
    text = (folder / "experiment.json").read_text()
    experiment(load(cube, ["experiment.window_px=48"]))
    assert (folder / "experiment.json").read_text() == text
    changed = {path.name for path, at in modified(divisions).items() if after[path] != at}
    assert changed == {"window.npz"}


def check_against_whole_maps(run, summary):
    """Scores of patches are those of a map of the whole region, by scikit-learn."""
    config = load(run)
    for kind in ("random", "block"):
        context = RunContext(Fold(kind, 0, 0).config(config))
        location = config.cube.location
        for name in ("llr", "cnn"):
            model = checkpoint.load(context.paths.checkpoint(name))[0]
            names = (*model.inputs, "elevation", "landslide")
            reader = ZarrReader(dict.fromkeys(names, location) | {"split": context.split_location})
            whole = Window(0, 0, *context.grid.shape)
            labels = reader.read(whole, ("landslide", "split"))
            predictor = TiledPredictor.of_model(model, reader, config.predict)
            probability = predictor.probability(whole).astype(np.float64)
            for part, value in (("test", 2), ("train", 0)):
                mine = labels["split"] == value
                target, predicted = labels["landslide"][mine], probability[mine]
                scores = summary[kind][name]
                loss = metrics.log_loss(target, predicted)
                assert scores[f"{part}_nll"][0] == pytest.approx(loss, rel=1e-5)
                # A hardly trained CNN tells pixels apart by less than a bin.
                rounded = bin_centres()[bin_index(predicted)]
                auc = metrics.roc_auc_score(target, rounded)
                assert scores[f"{part}_auc"][0] == pytest.approx(auc, abs=1e-9)


def check_page(folder):
    page = (folder / "experiment.html").read_text()
    HTMLParser().feed(page)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    figures = {path.stem for path in (folder / "experiment").glob("*.png")}
    assert figures == {
        f"{figure}-{kind}"
        for figure in ("roc", "window", "division", "losses")
        for kind in ("random", "block")
    }
    assert page.count("data:image/webp;base64,") == len(figures)
    lines = (folder / "table2.md").read_text().splitlines()
    assert len(lines) == 2 + len(MODELS) + 1
    assert lines[0].startswith("| method | random split: test err | random split: train err |")
    assert len((folder / "table2.csv").read_text().splitlines()) == 1 + len(MODELS) + 1


def test_shares_train_every_division_once_and_are_then_put_together(command_line, cube):
    folder = command_line.folder / "runs" / "smoke"
    changes = ("--set", "models={naive: {kind: naive}, llr: {kind: llr, epochs: 1}}")
    command_line("experiment", cube, "--prepare", *changes)
    assert {path.parent.name for path in modified(folder / "experiment")} == {"splits"}
    command_line("experiment", cube, "--part", "1/2", *changes)
    trained = (path.parents[2].name for path in (folder / "experiment").rglob("best.ckpt"))
    assert set(trained) == {"block-0-0"}
    command_line("experiment", cube, "--part", "0/2", *changes)
    assert not (folder / "experiment.json").exists()
    before = modified(folder / "experiment")
    command_line("experiment", cube, *changes)
    after = modified(folder / "experiment")
    assert {path: after[path] for path in before} == before
    assert {path.name for path in set(after) - set(before)} == {"window.npz"}
    assert (folder / "table2.md").exists()
    for part in ("2/2", "1", "-1/2"):
        refused = command_line("experiment", cube, "--part", part, status=2)
        assert f"--part {part!r} is not of the form K/N" in refused.stderr


def test_scores_of_other_tiles_are_taken_again(cube):
    papers = Fold("random", 0, 0)

    def score(*changes):
        """When the scores were written."""
        division = Division.of(papers, load(cube, ["models={naive: {kind: naive}}", *changes]))
        division.outcomes()
        return Path(division.context.paths.part_scores("naive")).stat().st_mtime_ns

    exact = score()
    assert score("predict.batch_tiles=2", "predict.cog=false") == exact
    narrow = score("predict.context_px=8")
    assert narrow > exact
    assert score("predict.context_px=8") == narrow
    assert score("predict.context_px=9") > narrow


def test_mistakes_are_refused_before_anything_is_trained(command_line, cube):
    with pytest.raises(ConfigError, match=r"window_centre \(0.0, 0.0\) is outside the region"):
        experiment(load(cube, ["experiment.window_centre=[0, 0]"]))
    assert not (command_line.folder / "runs" / "smoke" / "experiment").exists()
    config = load(cube, ["experiment=null"])
    with pytest.raises(ConfigError, match="the run has no experiment"):
        experiment(config)
    with pytest.raises(ConfigError, match=r"experiment: kmeans_labels needs folds"):
        load(cube, ["experiment.splits=[kmeans_labels]"])


def test_divisions_are_the_papers_or_folds_of_every_partition(cube):
    papers = Fold("random", 3, 0).config(load(cube))
    assert papers.split.folds is None
    assert papers.split.seed == 3
    assert papers.split.parts()["test"] == frozenset({2})
    config = load(cube, ["experiment.folds=4"])
    folds = [Fold("block", 0, fold).config(config) for fold in range(4)]
    assert [run.split.parts()["test"] for run in folds] == [frozenset({i}) for i in range(4)]
    assert len({run.run_dir for run in folds}) == 4
    # A model that sees farther widens everybody's buffer, so the others are other models, too.
    wider = load(cube, ["models.lann={kind: lann}"])
    narrow, wide = (RunContext(Fold("block", 0, 0).config(run)) for run in (config, wider))
    assert narrow.buffer_px < wide.buffer_px
    assert narrow.model_hash("llr") != wide.model_hash("llr")
