"""What catalogues list is of the model and the map as they are now; older files are left out."""

import json

import pytest

from landslide_dist.config.load import validate
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console
from landslide_dist.stages.derive import derive
from landslide_dist.stages.evaluate import evaluate
from landslide_dist.stages.export import export
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.predict import predict
from landslide_dist.stages.report import report
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train
from landslide_dist.store import cube

ALL_OF_MODEL = {"checkpoint", "torch", "onnx"}
ALL_OF_MAP = {"zarr", "probability", "metrics", "report"}


@pytest.fixture
def settings(smoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    llr = smoke["models"]["llr"] | {"epochs": 1}
    return smoke | {"models": {"naive": {"kind": "naive"}, "llr": llr}}


def run(settings, *stages, learning_rate=0.05, **of_predict):
    """The run of some settings, once some stages are through."""
    llr = settings["models"]["llr"] | {"learning_rate": learning_rate}
    models = settings["models"] | {"llr": llr}
    changed = {"models": models, "predict": settings["predict"] | of_predict}
    config = validate(settings | changed, "test")
    for stage in stages:
        stage(config)
    return config


def listed(config, *formats):
    """Names of the assets of the model and of the map, and what is said of others."""
    with console.capture() as captured:
        folder = export(config, "llr", (*formats, "stac"))
    items = [json.loads((folder / name).read_text()) for name in ("model.json", "prediction.json")]
    for item in items:
        assert all((folder / asset["href"]).exists() for asset in item["assets"].values())
    told = [line for line in captured.get().splitlines() if "left out" in line]
    return *(set(item["assets"]) for item in items), told


# Tracing a model and three trainings take many seconds.
@pytest.mark.slow
def test_files_of_an_older_model_or_map_are_left_out(settings):
    before = run(settings, ingest, derive, split, train, predict, evaluate, report, cog=True)
    assert listed(before, "torch", "onnx") == (ALL_OF_MODEL, ALL_OF_MAP, [])

    after = run(settings, train, predict, learning_rate=0.01, cog=False)
    folder = after.run_dir
    assert listed(after) == (
        {"checkpoint"},
        {"zarr"},
        [
            f"export: {folder}/{line}"
            for line in (
                "export/llr/model.pt2 is of an older model: left out; run export --format torch",
                "export/llr/model.onnx is of an older model: left out; run export --format onnx",
                "predictions/llr.tif is of an older map: left out; run predict with predict.cog",
                "metrics.json is of older maps or settings: left out; run evaluate",
                "report.html is without scores of the present maps: left out; run evaluate and "
                "report",
            )
        ],
    )

    evaluate(after)
    files, results, (*_, told) = listed(after)
    assert (files, results) == ({"checkpoint"}, {"zarr", "metrics"})
    assert told == f"export: {folder}/report.html is older than the scores: left out; run report"
    report(after)
    published = run(settings, predict, learning_rate=0.01, cog=True)
    assert listed(published, "torch", "onnx") == (ALL_OF_MODEL, ALL_OF_MAP, [])

    # The same weights, but what their logits are divided by is another.
    calibrated = run(settings, predict, learning_rate=0.01, cog=True, calibrated=True)
    assert listed(calibrated)[:2] == ({"checkpoint"}, {"zarr", "probability"})


def test_a_map_of_an_event_is_named_and_dated_by_its_images(tmp_path):
    folder = tmp_path / "event"
    settings = {
        "name": "event",
        "task": "event_mapping",
        "run_dir": str(folder),
        "cube": {
            "location": str(folder / "cube.zarr"),
            "storage": {"chunk_px": 64, "shard_px": 128},
        },
        "sources": {
            "synthetic": {
                "seed": 3, "height": 160, "width": 192, "base_rate": 0.08,
                "event": {"num_pairs": 2, "cloud": 0.1, "bands": ["red", "nir"]},
            }
        },
        "split": {"kind": "block", "block_px": 64, "fractions": [0.5, 0.25, 0.25]},
        "patches": {"core_px": 32, "stride_px": 16, "context_px": 0, "oversample": 1},
        "models": {"ndvi": {"kind": "ndvi_difference", "epochs": 1}},
        "evaluate": {"bootstrap_draws": 0},
        "predict": {"cog": False, "tile_px": 64},
    }  # fmt: skip
    config = validate(settings, "test")
    for stage in (ingest, derive, split, train, predict):
        stage(config)
    item = _item_of_event(config)
    properties = item["properties"]
    assert item["id"] == "event-ndvi-event"
    assert properties["description"] == "Landslides of an event, predicted by the model 'ndvi'"
    days = [str(day) for day in cube.open_cube(config.cube.location)["time"].values[:2]]
    assert days[0] < days[1]
    assert properties["start_datetime"] == f"{days[0]}T00:00:00Z"
    assert properties["end_datetime"] == f"{days[1]}T23:59:59Z"

    day = {"publish": {"start": "2001-02-03"}}
    stated = _item_of_event(validate(settings | day, "test"))["properties"]
    assert stated["start_datetime"] == "2001-02-03T00:00:00Z"
    assert stated["end_datetime"] == f"{days[1]}T23:59:59Z"
    with pytest.raises(ConfigError, match="give both publish.start and publish.end"):
        _item_of_event(validate(settings | {"publish": {"start": "2101-02-03"}}, "test"))


def _item_of_event(config):
    folder = export(config, "ndvi", ("stac",))
    return json.loads((folder / "prediction.json").read_text())
