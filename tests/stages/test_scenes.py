"""Scenes from files to maps, by classifiers that were trained on pictures."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from rio_cogeo import cog_validate
from skimage.exposure import match_histograms

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models import checkpoint
from landslide_dist.stages.chips.scenes import SceneMap, predict_scenes, scene_run
from landslide_dist.stages.chips.train import ChipTrainer, train_chips

from ..chip_files import scene, settings, write_chips, write_scene

SHAPE = (200, 170)
HOLE = (slice(40, 45), slice(100, 110))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with pictures, a scene, and a trained classifier that sees 10 m."""
    folder = write_chips(tmp_path_factory.mktemp("scenes"))
    values = write_scene(folder / "scene.tif", SHAPE, hole=HOLE)
    train_chips(config(folder))
    return folder, values


def config(folder, shards_px=64, **own):
    # 45 px of 4 m are 180 m: 18 px of the scene.
    plain = settings(folder, scenes={"here": scene(folder / "scene.tif", SHAPE)}, **own)
    plain["chips"]["pixel_m"] = 4.0
    plain["models"]["cnn"]["seen_at_m"] = 10
    plain["common"] = {"cube": {"storage": {"chunk_px": 32, "shard_px": shards_px}}}
    return ChipsConfig.model_validate(plain)


def map_of(given):
    trainer = ChipTrainer(given)
    return SceneMap.of(trainer, scene_run(trainer, "here"), "cnn")


def by_hand(given, values, min_valid=1.0):
    """Every block by itself, matched by scikit-image over the scene's valid pixels."""
    trainer = ChipTrainer(given)
    training = trainer.chips.images[trainer.parts == 0]
    valid = (values > 0).all(0)
    matched = np.zeros(values.shape, np.float32)
    for band in range(3):
        found = match_histograms(values[band][valid], training[:, band].ravel())
        matched[band][valid] = np.clip(np.rint(found), 1, 255)
    model = checkpoint.load_chip_model(trainer.paths.checkpoint("cnn"))[0]
    rows, columns = (side // 18 for side in SHAPE)
    out = np.full((rows, columns), np.nan, np.float32)
    with torch.inference_mode():
        for y, x in np.ndindex(rows, columns):
            part = (slice(18 * y, 18 * y + 18), slice(18 * x, 18 * x + 18))
            known, block = valid[part], matched[(slice(None), *part)].copy()
            if known.mean() < min_valid:
                continue
            for band in block:
                band[~known] = band[known].mean()
            out[y, x] = model.probability(torch.from_numpy(block[None]))[0]
    return out


def test_every_block_is_a_chip_matched_as_scikit_image_does(trained):
    folder, values = trained
    given = config(folder)
    predict_scenes(given)
    drawn = map_of(given)
    found = xr.open_zarr(drawn.location).probability
    expected = by_hand(given, values)
    # 10 x 18 px of 200 and 9 x 18 of 170: the rest is left out.
    assert found.shape == (11, 9)
    assert np.isnan(expected).sum() == 2
    np.testing.assert_allclose(found, expected, atol=1e-5)
    left, right = found[:, :4], found[:, 5:]
    assert float(left.mean()) > float(right.mean()) + 0.1
    assert cog_validate(drawn.cog, strict=True)[0]
    with rasterio.open(drawn.cog) as tif:
        assert tif.res == (180, 180)
        assert tif.bounds[:1] == (500_000,)
        assert tif.bounds.top == 4_900_000
        np.testing.assert_array_equal(tif.read(1), found)


def test_partly_hidden_blocks_are_classified_where_it_is_asked_for(trained):
    folder, values = trained
    given = config(folder, classify={"min_valid": 0.5})
    predict_scenes(given)
    found = xr.open_zarr(map_of(given).location).probability
    assert not np.isnan(found).any()
    np.testing.assert_allclose(found, by_hand(given, values, 0.5), atol=1e-5)


def test_shards_and_batches_do_not_matter(trained, tmp_path):
    folder, _ = trained
    predict_scenes(config(folder))
    expected = xr.open_zarr(map_of(config(folder)).location).probability.to_numpy()
    other = config(folder, 96, classify={"batch_size": 7, "shard_cells": 16})
    run = other.model_dump(mode="json", by_alias=True)
    # The same models, other places.
    run["scenes"]["there"] = run["scenes"].pop("here")
    again = ChipsConfig.model_validate(run)
    predict_scenes(again)
    trainer = ChipTrainer(again)
    drawn = SceneMap.of(trainer, scene_run(trainer, "there"), "cnn")
    np.testing.assert_allclose(
        xr.open_zarr(drawn.location).probability, expected, rtol=0, atol=1e-6
    )


def test_cubes_and_maps_may_lie_apart_from_the_run(trained, tmp_path):
    folder, _ = trained
    predict_scenes(config(folder))
    here = map_of(config(folder))
    assert here.location == f"{folder}/run/scenes/here/predictions/cnn.zarr"
    elsewhere = config(folder, scenes_dir=f"file://{tmp_path}/scenes/")
    predict_scenes(elsewhere)
    drawn = map_of(elsewhere)
    assert drawn.location == f"file://{tmp_path}/scenes/here/predictions/cnn.zarr"
    assert drawn.run.cube.location == f"file://{tmp_path}/scenes/here/cube.zarr"
    # Where a person looks for it, wherever the map is.
    assert drawn.cog == here.cog
    assert drawn.map_hash == here.map_hash
    xr.testing.assert_equal(xr.open_zarr(drawn.location).probability,
                            xr.open_zarr(here.location).probability)  # fmt: skip
    with pytest.raises(ValueError, match="scenes_dir"):
        config(folder, scenes_dir="")


def test_a_map_that_is_there_is_left_alone_and_one_of_other_chips_is_not(trained):
    folder, _ = trained
    given = config(folder)
    predict_scenes(given)
    before = map_of(given).map_hash
    files = [Path(map_of(given).cog), *Path(map_of(given).location).rglob("*")]
    times = {path: path.stat().st_mtime_ns for path in files}
    predict_scenes(given)
    assert {path: path.stat().st_mtime_ns for path in files} == times
    other = config(folder, split={"seed": 5})
    with pytest.raises(ConfigError, match="on other chips: run train"):
        predict_scenes(other)
    assert map_of(given).map_hash == before


def test_a_scene_of_other_files_is_replaced_where_it_is_asked_for(trained, tmp_path, command_line):
    folder, _ = trained
    shape, file = (60, 40), tmp_path / "scene.tif"
    write_scene(file, shape)
    plain = config(folder, scenes_dir=str(tmp_path / "scenes")).model_dump(
        mode="json", by_alias=True
    )
    plain["scenes"] = {"other": scene(file, shape)}
    given = ChipsConfig.model_validate(plain)
    (command_line.folder / "run.yaml").write_text(to_yaml(given))
    predict_scenes(given)
    values = write_scene(file, shape, seed=1)
    refused = command_line("run", "run.yaml", status=2)
    assert "was ingested from other inputs or settings" in refused.stderr
    assert "--overwrite" in refused.stderr
    command_line("run", "run.yaml", "--overwrite")
    stored = xr.open_zarr(given.scene("other", None).cube.location)
    np.testing.assert_array_equal(stored.reflectance.to_numpy()[0], values)


def test_what_a_scene_cannot_be_is_named(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(ConfigError, match="has no scenes to classify"):
        predict_scenes(config(folder).model_copy(update={"scenes": {}}))
    with pytest.raises(ConfigError, match="model 'x' is not in the run"):
        predict_scenes(config(folder), ["x"])
    write_scene(tmp_path / "empty.tif", (40, 40), hole=(slice(None), slice(None)))
    plain = config(folder).model_dump(mode="json", by_alias=True)
    plain["scenes"] = {"empty": scene(tmp_path / "empty.tif", (40, 40))}
    with pytest.raises(DataError, match="valid"):
        predict_scenes(ChipsConfig.model_validate(plain))
    write_scene(tmp_path / "tiny.tif", (17, 40))
    plain["scenes"] = {"tiny": scene(tmp_path / "tiny.tif", (17, 40))}
    with pytest.raises(ConfigError, match="17 x 40 px is smaller than one block of 18 px"):
        predict_scenes(ChipsConfig.model_validate(plain))
