"""Event mapping from images to map and inventory, in one process on small made-up events."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from landslide_dist.config.load import load_any, validate
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.models import checkpoint
from landslide_dist.patches.pair import find_pairs
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.evaluate import evaluate
from landslide_dist.stages.events.experiment import experiment_on_events
from landslide_dist.stages.events.map_event import map_event
from landslide_dist.stages.events.train import EventTrainer
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.predict import predict
from landslide_dist.stages.report import report
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train, trainer_of
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

MODEL = {
    "kind": "resunet",
    "widths": [4, 8],
    "epochs": 2,
    "learning_rate": 0.01,
    "batch_size": 8,
}


def settings(folder, name="event", seed=3, bands=("red", "green", "blue", "nir"), **changes):
    return {
        "name": name,
        "task": "event_mapping",
        "run_dir": f"{folder}/{name}",
        "cube": {
            "location": f"{folder}/{name}/cube.zarr",
            "storage": {"chunk_px": 64, "shard_px": 128},
        },
        "sources": {
            "synthetic": {
                "seed": seed,
                "height": 160,
                "width": 192,
                "base_rate": 0.08,
                "event": {"num_pairs": 2, "cloud": 0.1, "bands": list(bands)},
            }
        },
        "split": {"kind": "block", "block_px": 64, "fractions": [0.5, 0.25, 0.25]},
        "patches": {"core_px": 32, "stride_px": 16, "context_px": 0, "oversample": 1},
        "models": {"resunet": MODEL, "ndvi": {"kind": "ndvi_difference", "epochs": 2}},
        "evaluate": {"bootstrap_draws": 0},
        "predict": {"cog": False, "tile_px": 64},
        **changes,
    }


def prepared(tree):
    config = validate(tree, "test")
    for stage in (ingest, derive, split):
        stage(config)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = prepared(settings(tmp_path_factory.mktemp("events")))
    train(config)
    predict(config)
    return config


def planes_of(config, *names):
    group = open_group(config.cube.location)
    return [cube.array(group, name)[:] for name in names]


def test_a_masked_pixel_never_reaches_labels_loss_score_or_map(run):
    context = RunContext(run)
    valid, landslide = planes_of(run, "valid", "landslide")
    pair = find_pairs(run.cube.location)[0]
    clear = (valid[pair.pre] == 1) & (valid[pair.post] == 1)
    assert 0.02 < 1 - clear.mean() < 0.5
    parts = cube.array(open_group(context.split_location), "split")[:]
    assert (parts[~clear] == 255).all()
    assert (parts[clear] != 255).any()
    probability = cube.array(open_group(context.paths.prediction("resunet")), "probability")[:]
    assert np.isnan(probability[~clear]).all()
    assert np.isfinite(probability[clear]).all()
    scored = evaluate(run)["resunet"].counts
    assert sum(part.num_labelled for part in scored.values()) == (parts != 255).sum()
    trainer = trainer_of(context)
    for piece in trainer.mosaic.pieces:
        read = piece.reader.read(piece.place.relative_to(piece.place), ("landslide", "pre_red"))
        assert (read["landslide"] == 255).sum() == (read["pre_red"] == 0).sum()
    assert (landslide != 255).all()


def test_the_map_in_tiles_equals_the_whole_image_and_a_small_context_does_not(run):
    context = RunContext(run)
    model = checkpoint.load(context.paths.checkpoint("resunet"))[0]
    group = open_group(context.paths.prediction("resunet"))
    probability = cube.array(group, "probability")[:]
    whole = Window(0, 0, *context.grid.shape)
    reader = context.reader(("elevation",), split=False)

    def mapped(**changes):
        settings = run.predict.model_copy(update={"tile_px": 256, **changes})
        return TiledPredictor.of_model(model, reader, settings).probability(whole)

    assert model.exact_context_px > 9
    np.testing.assert_allclose(probability, mapped(), atol=1e-5)
    cropped = mapped(tile_px=64, context_px=4)
    assert np.array_equal(np.isnan(cropped), np.isnan(probability))
    assert np.nanmax(np.abs(cropped - probability)) > 1e-4


def test_every_pair_is_trained_on_with_overlapping_tiles(run):
    trainer = trainer_of(RunContext(run))
    assert isinstance(trainer, EventTrainer)
    assert [piece.name for piece in trainer.mosaic.pieces] == ["event, pair 0", "event, pair 1"]
    model = checkpoint.load(RunContext(run).paths.checkpoint("resunet"))[0]
    data = trainer.datamodule(model, 8, 0)
    training, testing = (data.cutters[part].patches for part in ("train", "test"))
    assert (training.core_px, training.stride_px) == (32, 16)
    assert (testing.core_px, testing.stride_px) == (32, 32)
    assert (training.origins % 32).any()
    assert not (testing.origins % 32).any()
    batch = next(iter(data.train_dataloader()))
    assert batch.planes["pre_red"].shape[1:] == (34, 34)


def test_the_map_can_be_of_another_pair(run):
    other = run.model_copy(update={"predict": run.predict.model_copy(update={"pair": 1})})
    valid = planes_of(run, "valid")[0]
    context = RunContext(other)
    assert context.pair.number == 1
    clear = (valid[context.pair.pre] == 1) & (valid[context.pair.post] == 1)
    window = cube.shard_windows(run.cube.location)[0]
    read = context.reader(("landslide", "elevation"), split=False).read(window, ("landslide",))
    assert np.array_equal(read["landslide"] == 255, ~clear[window.slices])
    missing = run.model_copy(update={"predict": run.predict.model_copy(update={"pair": 7})})
    with pytest.raises(ConfigError, match=r"predict\.pair 7 is not in the cube, which has 0, 1"):
        RunContext(missing).pair  # noqa: B018


def test_a_new_event_is_mapped_without_labels(run, tmp_path):
    tree = settings(tmp_path, "new", seed=9)
    path = RunContext(run).paths.checkpoint("resunet")
    # Not used, nor in the way of the map's name.
    tree["models"] = {"event": {"kind": "resunet"}}
    config = validate(tree, "test")
    map_event(config, path)
    for name in ("event.html", "inventory/event.gpkg", "inventory/event.geojson"):
        assert (tmp_path / "new" / name).stat().st_size > 90
    page = (tmp_path / "new" / "event.html").read_text()
    assert "trained on event" in page
    other = settings(tmp_path, "rgb", bands=("red", "green", "blue"))
    with pytest.raises(DataError, match="trained on reflectance of red, green, blue, nir"):
        map_event(validate(other, "test"), path)


@pytest.mark.slow
def test_the_report_shows_the_images_and_what_was_found(run):
    report(run)
    page = Path(RunContext(run).paths.report).read_text()
    for name in ("resunet", "ndvi"):
        assert f"Before, after, and what {name} found" in page


def test_models_belong_to_their_task(tmp_path):
    with pytest.raises(ConfigError, match="llr is not a model of event_mapping"):
        validate(settings(tmp_path, models={"llr": {"kind": "llr"}}), "test")
    tree = settings(tmp_path)
    tree["sources"] = {"elevation": {"path": "dem.tif"}}
    tree["cube"]["grid"] = {"like": "dem.tif"}
    with pytest.raises(ConfigError, match="needs images: give sources.reflectance"):
        validate(tree, "test")


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiments")
    one = settings(folder)
    common = {key: one[key] for key in ("split", "patches", "predict")}
    common["cube"] = {"storage": one["cube"]["storage"]}
    common["patches"] = one["patches"] | {"core_px": 64, "stride_px": 32}
    common["models"] = {"resunet": MODEL}
    event = {"num_pairs": 1, "cloud": 0.02}
    synthetic = one["sources"]["synthetic"] | {"base_rate": 0.12, "event": event}
    common["sources"] = {"synthetic": synthetic}
    events = {
        n: {"sources": {"synthetic": {"seed": s}}}
        for n, s in zip("ABCD", (3, 4, 6, 8), strict=True)
    }
    tree = {
        "name": "experiments",
        "run_dir": str(folder / "out"),
        "common": common,
        "events": events,
        "unseen": ["D"],
        "pixel_sizes_m": [10, 80],
        "ablations": {"without augmentation": {"models": {"resunet": {"augment": None}}}},
    }
    path = folder / "events.yaml"
    path.write_text(yaml.safe_dump(tree))
    return load_any(path)


@pytest.mark.slow
def test_all_experiments_on_several_events(experiments):
    outcomes = experiment_on_events(experiments)
    trained = {(o.trained.training, o.trained.ablation) for o in outcomes if not o.skipped}
    jackknife = {(f"ALL-{event}", "") for event in "ABC"}
    singles = {(event, "") for event in "ABC"}
    assert trained == {("ALL", ""), ("ALL", "without augmentation")} | singles | jackknife
    tested = [o for o in outcomes if not o.skipped]
    assert len(tested) == 8 * 4
    for one in tested:
        assert one.is_seen == (one.event in one.trained.events)
    too_small = [o.plain() for o in outcomes if o.skipped and o.event == "D"]
    assert too_small
    for row in too_small:
        assert (row["training"], row["events"], row["seen"]) == ("", [], False)
        assert 0 < one.num_positive < one.num_labelled
    whole = [o.num_labelled for o in tested if o.event == "D"]
    parts = [o.num_labelled for o in tested if o.event == "A"]
    assert min(whole) > 2 * max(parts)
    skipped = {o.event: o.skipped for o in outcomes if o.skipped}
    assert skipped.keys() == set("ABCD")
    assert "32 x 32 px are less than one tile of 64 px" in skipped["A"]
    folder = Path(experiments.run_dir)
    rows = json.loads((folder / "events.json").read_text())["rows"]
    assert len(rows) == len(outcomes)
    page = (folder / "events.html").read_text()
    assert "less than one tile" in page
    again = experiment_on_events(experiments)
    assert [o.plain() for o in again] == [o.plain() for o in outcomes]


def test_events_smaller_than_a_tile_are_one_clear_error(experiments):
    coarse = experiments.model_copy(update={"pixel_sizes_m": (80.0,)})
    with pytest.raises(ConfigError, match="no event that trains is as large as one tile"):
        experiment_on_events(coarse)


def test_an_unseen_event_is_tested_whole_where_others_have_folds(experiments):
    split = {"kind": "block", "block_px": 64, "folds": 4}
    common = experiments.common | {"split": split}
    folds = experiments.model_copy(update={"common": common})
    assert folds.run("A", 10).split.folds == 4
    assert folds.run("D", 10).split.parts()["test"] == frozenset({2})


def test_a_single_event_and_all_of_them_have_the_papers_names(experiments):
    assert experiments.trainings() == {
        "A": ("A",),
        "B": ("B",),
        "C": ("C",),
        "ALL": ("A", "B", "C"),
        "ALL-A": ("B", "C"),
        "ALL-B": ("A", "C"),
        "ALL-C": ("A", "B"),
    }
    run = experiments.run("D", 80, seed=5)
    assert run.split.fractions == (0, 0, 1)
    assert (run.sources.synthetic.height, run.sources.synthetic.pixel_m) == (32, 80)
    assert run.training.seed == 5
    assert run.cube.matching.reference.path.endswith("events/reference_80m_{role}.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unseen": ["Z"]}, "unseen ['Z'] are not among the events (A, B, C, D)"),
        ({"unseen": list("ABCD")}, "leave some to train on"),
        ({"unseen": ["C", "D"]}, "needs three or more to train on"),
        ({"ablations": {"x": {"models": {"resunet": {"depth": 3}}}}}, "depth"),
        ({"ablations": {"x": {"sources": {"synthetic": {"seed": 1}}}}}, "'x' changes sources"),
        ({"ablations": {"x": {"cube": {"storage": {"chunk_px": 32}}}}}, "'x' changes cube"),
    ],
)
def test_experiments_that_make_no_sense(experiments, tmp_path, changes, message):
    path = tmp_path / "events.yaml"
    path.write_text(yaml.safe_dump(experiments.model_dump(mode="json") | changes))
    with pytest.raises(ConfigError) as error:
        load_any(path)
    assert message in str(error.value)
