"""Grad-CAM of a run of chips: pictures and a scene that the test writes, really trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from PIL import Image
from typer.testing import CliRunner

from landslide_dist.cli.app import app
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.grad_cam import grad_cam, resized
from landslide_dist.models.checkpoint import load_chip_model
from landslide_dist.stages.chips.explain import chosen_cells, explain_chips
from landslide_dist.stages.chips.scenes import predict_scenes
from landslide_dist.stages.chips.train import ChipTrainer, train_chips
from landslide_dist.store import cube

SIDE = 24
CELL = 9
COLUMNS, ROWS = 5, 4
#: More than whole cells.
SCENE_SHAPE = (ROWS * CELL + 4, COLUMNS * CELL + 2)
CORNER = (500000, 5000000)


def write_chips(folder, number=14):
    """Green ground; landslides are a brown square somewhere, and their mask."""
    rng = np.random.default_rng(0)
    for name in ("landslide", "other", "masks"):
        (folder / name).mkdir()
    for label in ("landslide", "other"):
        for i in range(number):
            picture = rng.normal((60, 110, 50), 8, (SIDE, SIDE, 3))
            if label == "landslide":
                y, x = rng.integers(0, SIDE - 10, 2)
                picture[y : y + 10, x : x + 10] += (130, 10, 20)
                mask = np.zeros((SIDE, SIDE), np.uint8)
                mask[y : y + 10, x : x + 10] = 255
                Image.fromarray(mask).save(folder / "masks" / f"{label}{i}.png")
            else:
                blank = np.zeros((SIDE, SIDE), np.uint8)
                Image.fromarray(blank).save(folder / "masks" / f"{label}{i}.png")
            pixels = picture.clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{label}{i}.png")


def write_scene(folder):
    """Reflectance of green ground with some brown; a corner without data."""
    rng = np.random.default_rng(1)
    scene = rng.normal([[[600]], [[1100]], [[500]]], 60, (3, *SCENE_SHAPE)).clip(1, 9000)
    scene[:, 12:24, 20:31] += np.reshape((1500, 100, 200), (3, 1, 1))
    scene[:, :3, :4] = 0
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", height=SCENE_SHAPE[0], width=SCENE_SHAPE[1],
        count=3, dtype="uint16", crs="EPSG:32632",
        transform=Affine(20, 0, CORNER[0], 0, -20, CORNER[1]),
    ) as file:  # fmt: skip
        file.write(scene.astype(np.uint16))


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A run whose scene has been classified."""
    folder = tmp_path_factory.mktemp("chips")
    write_chips(folder)
    write_scene(folder)
    path = str(folder / "scene.tif")
    bands = {name: {"path": path, "band": i} for i, name in enumerate(("red", "green", "blue"), 1)}
    image = {"role": "post", "source": {"kind": "files", "bands": bands}}
    model = {"kind": "chip_cnn", "input_px": 16, "filters": [8, 8], "hidden": 16, "epochs": 8,
             "batch_size": 4, "learning_rate": 0.01}  # fmt: skip
    config = ChipsConfig.model_validate({
        "name": "tiny",
        "task": "chips",
        "run_dir": str(folder / "run"),
        "chips": {
            "kind": "pictures",
            "landslide": str(folder / "landslide" / "*.png"),
            "other": str(folder / "other" / "*.png"),
            "masks": str(folder / "masks"),
            "pixel_m": 7.5,
            "size_px": SIDE,
        },
        "models": {"cnn": model, "coarse": model | {"seen_at_m": 20}},
        "training": {"accelerator": "cpu", "micro_batch_size": 8},
        "scenes": {
            "valley": {
                "cube": {
                    "grid": {"like": path},
                    "storage": {"chunk_px": 16, "shard_px": 32},
                },
                "sources": {"reflectance": {"boa_offset": 0, "images": [image]}},
            }
        },
        "classify": {"batch_size": 3, "shard_cells": 16},
    })  # fmt: skip
    train_chips(config)
    predict_scenes(config)
    return config


@pytest.fixture(scope="module")
def explained(config):
    explain_chips(config, None, "valley", None, samples=4)
    return ChipTrainer(config), ChipTrainer(config).paths.explain("coarse")


def test_the_scenes_raster_holds_the_maps_of_its_cells(config, explained):
    trainer, folder = explained
    model, metadata = load_chip_model(trainer.paths.checkpoint("coarse"))
    location = config.scene("valley", trainer.reference).cube.location
    colours = np.asarray(cube.open_cube(location)["matched"].to_numpy()[0])
    with rasterio.open(f"{folder}/valley.tif") as file:
        assert file.descriptions == ("Grad-CAM of no landslide", "Grad-CAM of a landslide")
        assert file.transform == Affine(20, 0, CORNER[0], 0, -20, CORNER[1])
        assert file.crs.to_epsg() == 32632
        assert file.tags()["checkpoint"] == metadata["model_hash"]
        maps = file.read()
    assert maps.shape == (2, ROWS * CELL, COLUMNS * CELL)
    for row, column in np.ndindex(ROWS, COLUMNS):
        part = (slice(row * CELL, (row + 1) * CELL), slice(column * CELL, (column + 1) * CELL))
        found = maps[(slice(None), *part)]
        if (row, column) == (0, 0):
            assert np.isnan(found).all()
            continue
        chip = torch.from_numpy(colours[(slice(None), *part)].astype(np.float32))[None]
        for target in (0, 1):
            expected = resized(grad_cam(model, chip, target), CELL)[0]
            np.testing.assert_allclose(found[target], expected, rtol=1e-4, atol=1e-6)
    assert (np.nanmax(maps, axis=(1, 2)) > 0).any()
    # Classified and explained are the same cells.
    predicted = cube.open_cube(f"{trainer.paths.run_dir}/scenes/valley/predictions/coarse.zarr")
    probability = predicted["probability"].to_numpy()
    np.testing.assert_array_equal(np.isnan(probability), np.isnan(maps[0, ::CELL, ::CELL]))


def test_a_window_is_widened_to_whole_cells(config, explained):
    raster = explained[1].replace("coarse", "cnn") + "/valley.tif"
    with rasterio.open(raster) as file:
        whole = file.read()
    # A little more than cells 1 and 2 by 1, in pixels of 20 m from the corner.
    left, top, right, bottom = CELL + 3, CELL, 3 * CELL + 1, 2 * CELL + 1
    x, y = CORNER
    bounds = (x + 20 * left, y - 20 * bottom, x + 20 * right, y - 20 * top)
    explain_chips(config, ["cnn"], "valley", bounds, 2)
    with rasterio.open(raster) as file:
        part = (slice(None), slice(CELL, 3 * CELL), slice(CELL, 4 * CELL))
        np.testing.assert_allclose(file.read(), whole[part], rtol=1e-4, atol=1e-6)
        assert file.transform == Affine(
            20, 0, CORNER[0] + CELL * 20, 0, -20, CORNER[1] - CELL * 20
        )  # fmt: skip


def test_test_chips_are_shown_and_pointed_at(explained):
    trainer, folder = explained
    numbers = json.loads(Path(folder, "explain.json").read_text())
    test = trainer.parts == 2
    shown = [trainer.chips.names.index(chip["name"]) for chip in numbers["shown"]]
    assert all(test[shown])
    assert [chip["label"] for chip in numbers["shown"]] == [0, 0, 1, 1]
    assert all(chip["label"] == trainer.chips.labels[i] for chip, i in zip(
        numbers["shown"], shown, strict=True
    ))  # fmt: skip
    assert len({chip["name"] for chip in numbers["shown"]}) == len(shown)
    model, _ = load_chip_model(trainer.paths.checkpoint("coarse"))
    landslides = np.flatnonzero(test & (trainer.chips.labels == 1))
    hits = 0
    for i in landslides:
        cam = grad_cam(model, torch.from_numpy(trainer.chips.images[i : i + 1]), 1)[0]
        y, x = divmod(int(cam.argmax()), cam.shape[1])
        # Maps of 8 x 8 cells, chips of 24 x 24 pixels: the middle of a cell is its second pixel.
        hits += bool(cam.max() > 0 and trainer.chips.masks[i, 3 * y + 1, 3 * x + 1])
    pointing = numbers["pointing"]["all"]
    assert (pointing["chips"], pointing["hits"]) == (len(landslides), hits)
    assert pointing["hit_share"] == pytest.approx(hits / len(landslides))
    images = torch.from_numpy(trainer.chips.images[landslides])
    detected = int((model.probability(images) >= 0.5).sum())
    assert numbers["pointing"]["detected"]["chips"] == detected > 0
    for name in ("chips", "valley"):
        with Image.open(f"{folder}/{name}.png") as picture:
            assert picture.width > 900


def test_without_masks_there_is_no_pointing(config, tmp_path):
    plain = config.model_copy(update={"chips": config.chips.model_copy(update={"masks": None})})
    explain_chips(plain, ["cnn"], None, None, samples=2)
    folder = ChipTrainer(config).paths.explain("cnn")
    assert json.loads(Path(folder, "explain.json").read_text())["pointing"] == {}


def test_mistakes_are_told(config):
    with pytest.raises(ConfigError, match=r"scene 'hill' is not in the run \(valley\)"):
        explain_chips(config, None, "hill", None)
    with pytest.raises(ConfigError, match="a window is of a scene"):
        explain_chips(config, None, None, (0, 0, 9, 9))
    with pytest.raises(ConfigError, match="1 chips cannot show both classes"):
        explain_chips(config, None, None, None, samples=1)
    with pytest.raises(ConfigError, match="model 'vgg' is not in the run"):
        explain_chips(config, ["vgg"], None, None)
    with pytest.raises(ConfigError, match="holds no cell of the scene"):
        explain_chips(config, ["cnn"], "valley", (50, 0, 60, 9))  # not there, in its CRS
    changed = config.model_copy(update={"split": config.split.model_copy(update={"seed": 5})})
    with pytest.raises(ConfigError, match="trained with other settings"):
        explain_chips(changed, ["cnn"], None, None)


OF_REGIONS = {"--method": "gradients", "--centre": "1,2", "--side-m": "9", "--at": "1,2",
              "--level": "0", "--steps": "2", "--part": "test", "--repeats": "1",
              "--patches": "3", "--seed": "0"}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "option", "value", "message"),
    [
        *(
            ("chips", *given, f"{given[0]} is not for a run of chips")
            for given in OF_REGIONS.items()
        ),
        ("chips", "--at", "x", "--at 'x' is not 2 numbers"),
        ("region", "--scene", "valley", "--scene is not for the run of one region"),
        ("region", "--samples", "6", "--samples is not for the run of one region"),
    ],
)
def test_options_of_another_kind_of_run_are_refused(config, smoke, command_line, task, option,
                                                    value, message):  # fmt: skip
    path = command_line.folder / command_line.write(smoke)
    if task == "chips":
        path.write_text(to_yaml(config))
    ended = CliRunner().invoke(app, ["explain", str(path), "--model", "cnn", option, value])
    assert isinstance(ended.exception, ConfigError), ended.exception
    assert message in str(ended.exception)


def test_a_refused_option_is_one_line(config, command_line):
    (command_line.folder / "run.yaml").write_text(to_yaml(config))
    done = command_line("explain", "run.yaml", "--model", "cnn", "--steps", "2", status=2)
    assert done.stderr == "landslide-dist: --steps is not for a run of chips: leave it out\n"


def test_a_large_scene_is_not_explained_whole():
    cells = Grid("EPSG:32632", Affine(180, 0, 0, 0, -180, 0), (100, 101))
    with pytest.raises(ConfigError, match="100 x 101 cells is too large .* give --window"):
        chosen_cells(cells, None)
    assert chosen_cells(cells, (180, -170, 360, 0)) == Window(0, 1, 1, 1)
    assert chosen_cells(cells, (-50, -99990, 99990, 50)) == Window(0, 0, 100, 101)
    smaller = Grid("EPSG:32632", Affine(180, 0, 0, 0, -180, 0), (100, 100))
    assert chosen_cells(smaller, None) == Window(0, 0, 100, 100)
