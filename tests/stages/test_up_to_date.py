"""What counts as up to date: files that were replaced, maps that are unfinished or of old settings.

A cube without pixels and checkpoints that were never trained will do: all that is compared are
fingerprints.
"""

import json
import os
from pathlib import Path

import pytest
import shapely
import torch

from landslide_dist.config.categories import inspire
from landslide_dist.config.channels import Channels
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.fingerprint import derive_hash
from landslide_dist.config.load import validate
from landslide_dist.config.model import NaiveConfig
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.grid import Grid
from landslide_dist.models import checkpoint
from landslide_dist.models.build import assemble
from landslide_dist.models.recipe import Recipe
from landslide_dist.schema import SPLIT
from landslide_dist.stages import calibrate as calibration
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.evaluate import found_maps
from landslide_dist.stages.inventory import make_inventories
from landslide_dist.stages.predict import MapToDraw
from landslide_dist.stages.split import COMPLETE, check_split, is_complete, split_hash
from landslide_dist.stages.view import _predictions as shown
from landslide_dist.store import cube
from landslide_dist.store.ledger import Ledger, block_key
from landslide_dist.whole_file import write_whole

from ..chip_files import settings as chip_settings
from ..chip_files import write_chips

GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 640, 320))
LLR = {"kind": "llr", "epochs": 1}
STATISTICS = {"slope": (20.0, 5.0), "elevation": (500.0, 100.0)}


@pytest.fixture
def settings(tmp_path, smoke):
    """Settings of a run whose cube is derived, by its attributes."""
    smoke["run_dir"] = str(tmp_path / "run")
    smoke["cube"] = {
        "location": str(tmp_path / "cube.zarr"),
        "storage": {"chunk_px": 32, "shard_px": 32},
    }
    smoke["models"] = {"naive": {"kind": "naive"}, "llr": LLR}
    config = validate(smoke, "test")
    derived = derive_hash(config, "ingested")
    attributes = {"ingest_hash": "ingested", "derive_hash": derived, "derived": True}
    cube.create(smoke["cube"]["location"], GRID, [], config.cube.storage, attributes)
    return smoke


def context_of(settings, **predict):
    changed = {**settings, "predict": {**settings["predict"], **predict}}
    return RunContext(validate(changed, "test"))


def save_model(path, context, model_hash="first", **more):
    """A checkpoint that fits the run's cube."""
    recipe = Recipe(NaiveConfig(kind="naive"), Channels(inspire()), STATISTICS, (), 0.1)
    metadata = {
        "looking_distances_m": list(context.config.cube.looking_distances_m),
        "pixel_m": 10.0,
        "split_hash": "split",
        "cube": {},
        **({} if model_hash is None else {"model_hash": model_hash}),
        **more,
    }
    checkpoint.save(path, assemble(recipe), metadata)
    return str(path)


def polygons(path, right):
    """Parts of a split: the test part ends at ``right``. Written at a time of its own."""
    parts = {"train": (0, 0, 200, 320), "validation": (200, 0, 400, 320)}
    parts["test"] = (400, 0, right, 320)
    features = [
        {
            "type": "Feature",
            "properties": {"part": part},
            "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
        }
        for part, bounds in parts.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    os.utime(path, ns=(0, right * 1_000_000))


class TestPolygonsOfASplit:
    @pytest.fixture
    def file(self, tmp_path, settings):
        polygons(tmp_path / "parts.geojson", 500)
        regions = {"path": str(tmp_path / "parts.geojson"), "crs": "EPSG:32632"}
        settings["split"] = {"kind": "regions", "regions": regions, "buffer_px": 0}
        return tmp_path / "parts.geojson"

    def test_polygons_that_moved_are_another_split(self, file, settings):
        context = context_of(settings)
        storage = context.config.cube.storage
        cube.create(context.split_location, context.grid, [SPLIT], storage, {})
        Ledger(context.split_location, "split", split_hash(context)).mark(COMPLETE)
        assert is_complete(context_of(settings))
        assert context_of(settings).model_hash("llr") == context.model_hash("llr")

        polygons(file, 600)
        moved = context_of(settings)
        assert not is_complete(moved)
        with pytest.raises(StoreError, match="run split"):
            check_split(moved)
        assert split_hash(moved) != split_hash(context)
        assert moved.model_hash("llr") != context.model_hash("llr")
        # Scores say which split they are of by its place.
        assert moved.split_location != context.split_location

    def test_without_the_file_there_is_one_line(self, file, settings):
        file.unlink()
        with pytest.raises(DataError, match=r"split\.regions\.path '.*' is no file"):
            split_hash(context_of(settings))


class TestFilesThatAModelStartsFrom:
    @pytest.mark.parametrize(
        "models",
        [
            {"m": {**LLR, "init_from": "PATH"}},
            {"m": {"kind": "lann", "aligned": {"llr": "PATH"}}},
            {"m": {"kind": "lann"}, "llr": {**LLR, "init_from": "PATH"}},
        ],
        ids=["init_from", "aligned.llr", "init_from of its LLR"],
    )
    def test_another_model_in_the_file_is_another_training(self, settings, tmp_path, models):
        path = str(tmp_path / "start.ckpt")
        settings["models"] = json.loads(json.dumps(models).replace("PATH", path))
        context = context_of(settings)
        save_model(path, context, "first")
        first = context.model_hash("m")
        # Its temperature is not what training starts from.
        checkpoint.amend(path, {"calibration": {"temperature": 1.2}})
        assert context.model_hash("m") == first
        save_model(path, context, "second")
        second = context.model_hash("m")
        save_model(path, context, None, name="foreign")
        third = context.model_hash("m")
        save_model(path, context, None, name="foreign, too")
        assert len({first, second, third, context.model_hash("m")}) == 4

        Path(path).write_text("cut short")
        with pytest.raises(DataError, match=r"start\.ckpt' is damaged"):
            context.model_hash("m")
        Path(path).unlink()
        with pytest.raises(
            ConfigError, match=r"checkpoint '.*start\.ckpt' cannot be read: No such"
        ):
            context.model_hash("m")

    def test_features_that_are_listed_need_no_file(self, settings):
        settings["models"] = {"m": {"kind": "lann", "aligned": {"features": ["slope"]}}}
        assert context_of(settings).model_hash("m")

    def test_weights_and_checkpoints_of_chips(self, settings, tmp_path):
        write_chips(tmp_path, count=5)
        weights, start = tmp_path / "net.pth", tmp_path / "start.ckpt"
        models = {
            "plain": {"kind": "transfer"},
            "net": {"kind": "transfer", "weights": str(weights)},
            "again": {"kind": "chip_cnn", "init_from": str(start)},
        }
        config = ChipsConfig.model_validate(chip_settings(tmp_path, models=models))
        trainer = ChipTrainer(config)
        torch.save({"layer": torch.zeros(2)}, weights)
        save_model(start, context_of(settings), "first")
        first = {name: trainer.fingerprint(name) for name in models}
        assert {name: trainer.fingerprint(name) for name in models} == first

        torch.save({"layer": torch.ones(2)}, weights)
        save_model(start, context_of(settings), "second")
        second = {name: trainer.fingerprint(name) for name in models}
        assert [name for name in models if first[name] == second[name]] == ["plain"]
        weights.unlink()
        with pytest.raises(ConfigError, match=r"weights '.*net\.pth' cannot be read: No such file"):
            trainer.fingerprint("net")


def draw(context, name, blocks=None):
    """A map as `predict` leaves it, of all blocks or of some."""
    drawn = MapToDraw.of(context, name)
    attributes = {**drawn.provenance, "fingerprint": drawn.fingerprint}
    storage = context.config.cube.storage
    cube.create(drawn.location, context.grid, drawn.outputs.variables, storage, attributes)
    windows = cube.shard_windows(drawn.location)
    assert len(windows) == 2
    for window in windows[:blocks]:
        Ledger(drawn.location, "predict", drawn.fingerprint).mark(block_key(window))
    return drawn


class TestMaps:
    @pytest.fixture
    def of_file(self, settings, tmp_path):
        """Settings of a map of one checkpoint file, and the file."""
        path = tmp_path / "member.ckpt"
        settings["models"] = {"naive": {"kind": "naive"}}
        settings["predict"]["ensembles"] = {"of_file": [str(path)]}
        context = context_of(settings)
        save_model(context.paths.checkpoint("naive"), context, context.model_hash("naive"))
        save_model(path, context)
        return settings, path

    def test_a_member_that_is_a_file_is_one_thing_to_predict_and_evaluate(self, of_file):
        settings, path = of_file
        context = context_of(settings)
        first = draw(context, "of_file")
        draw(context, "naive")
        assert set(found_maps(context)) == {"naive", "of_file"}

        # With a temperature the file is another one, the map that does not use it the same.
        checkpoint.amend(path, {"calibration": {"temperature": 1.5}})
        assert MapToDraw.of(context, "of_file").fingerprint == first.fingerprint
        found_maps(context)
        calibrated = context_of(settings, calibrated=True)
        draw(calibrated, "naive")
        with pytest.raises(StoreError, match="of_file.*other settings of predict: run predict"):
            found_maps(calibrated)
        draw(calibrated, "of_file")
        found_maps(calibrated)
        checkpoint.amend(path, {"calibration": {"temperature": 1.6}})
        with pytest.raises(StoreError, match="of_file.*other settings of predict: run predict"):
            found_maps(calibrated)

        save_model(path, context, "trained again")
        draw(context, "naive")
        assert MapToDraw.of(context, "of_file").fingerprint != first.fingerprint
        with pytest.raises(StoreError, match="of_file.*model of other settings"):
            found_maps(context)
        draw(context, "of_file")
        found_maps(context)
        path.unlink()
        with pytest.raises(ConfigError, match=r"member\.ckpt' cannot be read: No such file"):
            found_maps(context)

    @pytest.mark.parametrize("check", [found_maps, lambda c: make_inventories(c.config)])
    def test_a_map_that_predict_would_not_leave_alone_is_refused(self, of_file, check):
        settings, _ = of_file
        settings["predict"]["ensembles"] = {}
        settings["inventory"] = {"threshold": 0.5}
        context = context_of(settings)
        with pytest.raises(StoreError, match="there is no map of 'naive'"):
            check(context)
        draw(context, "naive", blocks=1)
        with pytest.raises(StoreError, match=r"naive\.zarr' is not whole: run predict"):
            check(context)
        draw(context, "naive")
        for change in ({"dtype": "uint8"}, {"tile_px": 32}, {"context_px": 8}):
            with pytest.raises(StoreError, match="other settings of predict: run predict"):
                check(context_of(settings, **change))
        # Where it is predicted changes nothing.
        assert found_maps(context_of(settings, on_cluster=False, cog=False))
        settings["training"] = {"seed": 7}
        with pytest.raises(StoreError, match="model of other settings: run train and predict"):
            check(context_of(settings))

    def test_a_calibrated_map_is_that_of_the_temperature_in_the_checkpoint(self, settings):
        settings["models"] = {"llr": LLR}
        context = context_of(settings, calibrated=True)
        path = context.paths.checkpoint("llr")
        temperature = {"calibration": {"temperature": 1.5}}
        save_model(path, context, context.model_hash("llr"), **temperature)
        draw(context, "llr")
        assert found_maps(context)
        checkpoint.amend(path, {"calibration": {"temperature": 1.6}})
        with pytest.raises(StoreError, match="other settings of predict: run predict"):
            found_maps(context)
        save_model(path, context, context.model_hash("llr"))
        with pytest.raises(StoreError, match="has no temperature yet: run predict"):
            found_maps(context)
        save_model(path, context, "of other settings", **temperature)
        with pytest.raises(StoreError, match="was trained with other settings"):
            found_maps(context)
        Path(path).unlink()
        with pytest.raises(StoreError, match="there is no model at .* yet: run train"):
            found_maps(context)


def test_a_temperature_is_that_of_the_tiles_it_was_fitted_on(settings, monkeypatch):
    settings["models"] = {"llr": LLR}
    context = context_of(settings)
    path = context.paths.checkpoint("llr")
    save_model(path, context, context.model_hash("llr"), calibration={"temperature": 1.5})

    def fitted(*_):
        raise InterruptedError

    monkeypatch.setattr(calibration, "_validation_counts", fitted)
    assert calibration.calibrate(context, "llr") == 1.5
    # A halo that is exact is the same with tiles of any size.
    assert calibration.calibrate(context_of(settings, tile_px=32), "llr") == 1.5
    with pytest.raises(InterruptedError):
        calibration.calibrate(context_of(settings, context_px=8), "llr")


def test_a_cube_of_other_looking_distances_is_refused(settings):
    """Positions on one ring would be read as those on another."""
    assert context_of(settings).derive_hash
    settings["cube"]["looking_distances_m"] = [50, 100, 300]
    with pytest.raises(StoreError, match="distances than 50, 100, 300 m: run derive"):
        _ = context_of(settings).derive_hash


def test_the_viewer_shows_the_maps_of_the_run_and_their_thresholds(settings):
    context = context_of(settings)
    save_model(context.paths.checkpoint("naive"), context, context.model_hash("naive"))
    made = draw(context, "naive").fingerprint
    scores = {"naive": {"validation": {"at_best": {"threshold": 0.3}}}}
    metrics = {"run": {"made_of": {"maps": {"naive": made}}}, "models": scores}
    write_whole(context.paths.metrics, json.dumps(metrics))
    assert {name: p.threshold for name, p in shown(context).items()} == {"naive": 0.3}
    # Of another map: its best threshold is not known.
    metrics["run"]["made_of"]["maps"]["naive"] = "before"
    write_whole(context.paths.metrics, json.dumps(metrics))
    assert {name: p.threshold for name, p in shown(context).items()} == {"naive": 0.5}
    assert shown(context_of(settings, tile_px=32)) == {}
