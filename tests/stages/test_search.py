"""The search on a small region: what it may see, what it writes, how it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from landslide_dist.config import load
from landslide_dist.config.load import validate
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.models import checkpoint
from landslide_dist.schema import UNLABELLED
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.search import search
from landslide_dist.stages.search_folds import SearchFolds
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

SEARCH = {"folds": 3, "learning_rates": [0.05, 0.002], "optimizers": ["adam"]}
MODELS = {
    "naive": {"kind": "naive"},
    "llr": {"kind": "llr", "epochs": 2, "learning_rate": 0.01},
    "lann": {"kind": "lann", "epochs": 3, "hidden": [8], "aligned": {"min_weight": 0.01}},
}


@pytest.fixture
def settings(tmp_path, smoke):
    """Settings of a small run."""
    smoke["run_dir"] = str(tmp_path / "run")
    smoke["cube"]["location"] = str(tmp_path / "cube.zarr")
    smoke["models"] = MODELS
    smoke["search"] = SEARCH
    smoke["predict"]["tile_px"] = 32
    return smoke


def prepared(settings):
    """The run, with its cube and split."""
    config = validate(settings, "test")
    ingest(config)
    derive(config)
    split(config)
    return config


def labels_of(config):
    """The stored array of labels."""
    return cube.array(open_group(config.cube.location, "r+"), "landslide")


def split_of(context):
    return cube.array(open_group(context.split_location), "split")[...]


def found(config):
    return json.loads(Path(config.run_dir, "search.json").read_text())["models"]


def files(config, pattern):
    return {path: path.stat().st_mtime_ns for path in Path(config.run_dir).rglob(pattern)}


def test_held_out_losses_best_values_and_a_run_that_takes_them(settings):
    settings["search"] = {
        **SEARCH,
        "looking_distances_m": [[30, 300], [100]],
        "grids": {"llr": {"learning_rates": [1e-4, 0.2, 1e38], "optimizers": ["sgd"]}},
    }
    config = prepared(settings)
    tuned = search(config)
    models = found(config)
    assert list(models) == ["llr", "lann"]
    assert [p["learning_rate"] for p in models["llr"]["points"]] == [1e-4, 0.2, 1e38]
    assert [(p["looking_distances_m"], p["learning_rate"]) for p in models["lann"]["points"]] == [
        ([30, 300], 0.05),
        ([30, 300], 0.002),
        ([100], 0.05),
        ([100], 0.002),
    ]

    parts = split_of(RunContext(config))
    num_seen = np.count_nonzero((parts == 0) | (parts == 1))
    folds = split_of(SearchFolds(RunContext(config), config.search).run(0, config.models))
    assert set(np.unique(folds[(parts == 0) | (parts == 1)])) == {0, 1, 2}
    assert (folds[(parts == 2) | (parts == UNLABELLED)] == UNLABELLED).all()
    for model in models.values():
        finite = [point for point in model["points"] if point["nll"] is not None]
        for point in finite:
            counts = [fold["count"] for fold in point["folds"]]
            assert counts == [np.count_nonzero(folds == fold) for fold in range(3)]
            assert sum(counts) == num_seen
            mean = sum(fold["loss_sum"] for fold in point["folds"]) / num_seen
            assert point["nll"] == pytest.approx(mean, rel=1e-12)
        assert model["best"]["nll"] == min(point["nll"] for point in finite)
    diverged = models["llr"]["points"][2]
    assert diverged["nll"] is None
    assert all("lower learning_rate" in fold["diverged"] for fold in diverged["folds"])

    again = load(Path(config.run_dir, "tuned.yaml"))
    assert again == tuned
    for name, model in models.items():
        chosen = again.models[name]
        assert chosen.learning_rate == model["best"]["learning_rate"]
        assert chosen.optimizer == model["best"]["optimizer"]
        assert chosen.epochs == config.models[name].epochs
    best = models["lann"]["best"]["looking_distances_m"]
    assert list(again.models["lann"].aligned.looking_distances_m) == best
    assert again.models["lann"].aligned.llr == "llr"
    assert again.models["naive"] == config.models["naive"]

    before = files(config, "best.ckpt") | files(config, "held_out.json")
    search(config)
    assert files(config, "best.ckpt") | files(config, "held_out.json") == before
    assert found(config) == models


@pytest.mark.slow
def test_the_test_part_and_the_held_out_fold_are_not_seen(settings, tmp_path):
    settings["search"] = {**SEARCH, "learning_rates": [0.05]}
    config = prepared(settings)
    search(config)
    context = RunContext(config)
    folds = SearchFolds(context, config.search)
    fold_of = split_of(folds.run(0, config.models))
    first = found(config)
    fits = {path.parent.name: checkpoint.load(path)[0] for path in files(config, "best.ckpt")}

    stored = labels_of(config)
    labels = stored[...]
    stored[...] = np.where(split_of(context) == 2, 1 - labels, labels)
    Path(folds.run_dir).rename(tmp_path / "before")
    search(config)
    assert found(config) == first

    # Of fold 0, only how the fits on the others do there may change.
    stored[...] = np.where(fold_of == 0, 1 - labels, labels)
    Path(folds.run_dir).rename(tmp_path / "before that")
    search(config)
    names = [name for name in fits if name.endswith("_fold0")]
    assert len(names) == 3  # llr as it is tried, llr as the run trains it, lann
    for name in names:
        again = checkpoint.load(Path(folds.run_dir, "models", name, "best.ckpt"))[0]
        assert again.recipe == fits[name].recipe
        weights = again.state_dict()
        assert all(weights[key].equal(value) for key, value in fits[name].state_dict().items())
    assert found(config)["llr"]["points"][0]["folds"][0] != first["llr"]["points"][0]["folds"][0]


def test_blocks_with_the_buffer_of_what_is_tried(settings):
    settings["split"] = {"kind": "block", "block_px": 32, "seed": 2}
    settings["models"] = {
        "lann": {"kind": "lann", "epochs": 1, "hidden": [8]},
        "naive": {"kind": "naive"},
    }
    settings["models"]["lann"]["aligned"] = {"features": ["slope"], "looking_distances_m": [30]}
    settings["search"] = {
        "folds": 2,
        "optimizers": ["sgd"],
        "learning_rates": [0.01],
        "looking_distances_m": [[30], [100]],
    }
    config = prepared(settings)
    context = RunContext(config)
    assert context.buffer_px == 3
    tuned = search(config)
    folds = SearchFolds(context, config.search)
    assert folds.run(0, config.models).buffer_px == 10
    values = split_of(folds.run(0, config.models))
    for y, x in np.argwhere(values == 0):
        near = values[max(0, y - 10) : y + 11, max(0, x - 10) : x + 11]
        assert not (near == 1).any()
    assert RunContext(tuned).buffer_px >= 3

    # A search for shorter looks leaves the run's split where it is.
    settings["models"]["lann"]["aligned"]["looking_distances_m"] = [100]
    settings["search"]["looking_distances_m"] = [[30]]
    config = validate(settings, "test")
    split(config)
    tuned = search(config)
    assert tuned.models["lann"].aligned.looking_distances_m == (30,)
    assert tuned.split.buffer_px == 10
    assert RunContext(tuned).split_location == RunContext(config).split_location


def test_without_a_search_a_split_or_a_finite_loss(settings):
    with pytest.raises(ConfigError, match=r"no search: give search\.learning_rates"):
        search(validate({**settings, "search": None}, "test"))
    settings["models"] = {"nn": {"kind": "nn", "epochs": 1}}
    settings["search"] = {"folds": 2, "learning_rates": [1e38], "optimizers": ["sgd"]}
    config = prepared(settings)
    with pytest.raises(DataError, match=r"all 1 settings of 'nn' diverged, the first: training of"):
        search(config)
    settings["search"]["folds"] = 60
    with pytest.raises(ConfigError, match=r"search\.folds 60: split 'random' .* fold"):
        search(validate(settings, "test"))


def test_a_search_needs_a_derived_cube_and_a_split(settings):
    config = validate(settings, "test")
    with pytest.raises(StoreError, match="there is no store at"):
        search(config)
    ingest(config)
    with pytest.raises(StoreError, match="run derive"):
        search(config)
    derive(config)
    with pytest.raises(StoreError, match="run split"):
        search(config)


@pytest.mark.slow
def test_a_killed_search_goes_on_and_ends_the_same(settings, command_line):
    config = prepared(settings)
    folder = Path(config.run_dir)
    run = command_line.write(settings)
    program = [Path(sys.executable).with_name("landslide-dist"), "search", run]
    process = subprocess.Popen(program, cwd=command_line.folder, env=command_line.environment)
    deadline = time.monotonic() + 60
    while len(files(config, "held_out.json")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = files(config, "held_out.json")
    assert 3 <= len(kept) < 12
    assert not (folder / "tuned.yaml").exists()
    assert "llr" in found(config)

    tuned = search(config)
    assert kept.items() <= files(config, "held_out.json").items()
    models = found(config)
    (folder / "search").rename(folder / "before")
    assert search(config) == tuned
    for name, model in found(config).items():
        for again, before in zip(model["points"], models[name]["points"], strict=True):
            assert again["nll"] == pytest.approx(before["nll"], rel=1e-4)
    train(load(folder / "tuned.yaml"), ["llr"])


@pytest.mark.slow
def test_shares_of_a_search_end_as_one(settings, command_line):
    config = prepared(settings)
    expected = search(config)
    whole = found(config)
    folder = Path(config.run_dir)
    shutil.rmtree(folder / "search")
    (folder / "tuned.yaml").unlink()
    run = command_line.write(settings)
    command_line("search", run, "--prepare")
    first = command_line("search", run, "--part", "0/2")
    # What looks uphill builds on the best LLR, half of whose fits are missing.
    assert "lann waits for other shares' LLR" in first.stderr
    assert len(files(config, "held_out.json")) == 3
    second = command_line("search", run, "--part", "1/2")
    assert "waits" not in second.stderr
    assert len(files(config, "held_out.json")) == 6 + 3
    command_line("search", run, "--part", "0/2")
    kept = files(config, "held_out.json")
    assert len(kept) == 12
    assert not (folder / "tuned.yaml").exists()
    assert search(config) == expected
    assert files(config, "held_out.json") == kept
    for name, model in found(config).items():
        for again, before in zip(model["points"], whole[name]["points"], strict=True):
            assert again["nll"] == pytest.approx(before["nll"], rel=1e-4)


@pytest.mark.slow
def test_shares_at_the_same_time_do_not_hinder_each_other(settings, command_line):
    """Settings that look uphill need the LLR of their fold, which one of the shares trains."""
    # Long enough for all shares to want it while it is trained.
    settings["models"] = MODELS | {"llr": MODELS["llr"] | {"epochs": 30}}
    config = prepared(settings)
    run = command_line.write(settings)
    command_line("search", run, "--prepare")
    program = Path(sys.executable).with_name("landslide-dist")
    for turn in ("search", "uphill"):
        if turn == "uphill":
            # Whoever was last in the first turn has gone on: back to where all begin it.
            for held_out in files(config, "lann_*/held_out.json"):
                shutil.rmtree(held_out.parent)
            for of_fold in files(config, "llr_*/best.ckpt"):
                if not (of_fold.parent / "held_out.json").exists():
                    shutil.rmtree(of_fold.parent)
        shares = [
            subprocess.Popen(
                [program, "search", run, "--part", f"{k}/2"],
                cwd=command_line.folder,
                env=command_line.environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            for k in range(2)
        ]
        for share in shares:
            _, messages = share.communicate(timeout=280)
            assert share.returncode == 0, messages
    kept = files(config, "held_out.json")
    assert len(kept) == 12
    search(config)
    assert files(config, "held_out.json") == kept


def test_another_test_fold_is_another_search(settings):
    """Its labels were those of training before."""
    settings["split"] = {"kind": "random", "folds": 3, "test_fold": 0}
    config = prepared(settings)
    other = config.model_copy(update={"split": config.split.model_copy(update={"test_fold": 1})})
    first, second = (SearchFolds(RunContext(run), config.search) for run in (config, other))
    assert first.context.split_location == second.context.split_location
    assert first.run_dir != second.run_dir
    for folds in (first, second):
        folds.write_split()
    held_out, seen = (
        split_of(folds.run(0, folds.context.config.models)) for folds in (first, second)
    )
    assert not np.array_equal(held_out, seen)
