"""Tiles against the whole image, through stores, kills and a published file."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from rio_cogeo import cog_validate

from landslide_dist.batch import Batch
from landslide_dist.config.categories import Categories, synthetic
from landslide_dist.config.channels import Channels
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import LACNNConfig
from landslide_dist.config.predict import PredictConfig
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.errors import DataError, StoreError
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.cog import write_cog
from landslide_dist.inference.plan import TilePlan
from landslide_dist.inference.predict import (
    Outputs,
    PredictBlock,
    check_channels,
    check_fits,
    is_predicted,
    predict_region,
)
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_indices
from landslide_dist.models import build_model
from landslide_dist.patches.reader import HostReader
from landslide_dist.schema import PROBABILITY
from landslide_dist.sources.synthetic import synthetic_grid, synthetic_sources
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

REGION = SyntheticSource(seed=4, height=150, width=170)
LOOKING_PX = {30: 3, 100: 10}
STORAGE = StorageConfig(chunk_px=16, shard_px=64)


@pytest.fixture(scope="module")
def grid():
    return synthetic_grid(REGION)


@pytest.fixture(scope="module")
def reader(grid):
    whole = Window(0, 0, *grid.shape)
    planes = {name: s.read(whole) for name, s in synthetic_sources(REGION).items()}
    planes["elevation"][20:40, 30:60] = np.nan
    planes["slope"] = slope(planes["elevation"], grid.pixel_m)
    planes["uphill"] = uphill_indices(
        planes["elevation"], tuple(LOOKING_PX.values()), np.dtype("uint8")
    )
    return HostReader(planes)


@pytest.fixture(scope="module")
def model(reader):
    torch.manual_seed(0)
    mean_std = {
        name: (float(np.nanmean(reader.planes[name])), float(np.nanstd(reader.planes[name])))
        for name in ("slope", "elevation")
    }
    config = LACNNConfig(kind="lacnn", widths=(4, 8, 8))
    model = build_model(
        config, Channels(synthetic()), mean_std, LOOKING_PX, 0.1, ("slope", "elevation")
    )
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()


def predictor(model, reader, tile_px=32, batch_tiles=3):
    config = PredictConfig(tile_px=tile_px, batch_tiles=batch_tiles)
    return TiledPredictor.of_model(model, reader, config)


def whole_image(model, reader, grid):
    context_px = model.exact_context_px
    window = Window(0, 0, *grid.shape).expand(context_px)
    planes = {n: torch.from_numpy(p[None]) for n, p in reader.read(window, model.inputs).items()}
    target = torch.zeros((1, *grid.shape), dtype=torch.uint8)
    with torch.inference_mode():
        logits = model(Batch(planes, target, torch.zeros(1, 2, dtype=torch.int64), context_px))
    return logits.sigmoid().numpy()[0]


@pytest.mark.parametrize("tile_px", [16, 40, 200])
def test_tiles_are_the_whole_image(model, reader, grid, tile_px):
    tiled = predictor(model, reader, tile_px).probability(Window(0, 0, *grid.shape))
    whole = whole_image(model, reader, grid)
    missing = np.isnan(reader.planes["elevation"])
    np.testing.assert_array_equal(np.isnan(tiled), missing)
    np.testing.assert_allclose(tiled[~missing], whole[~missing], atol=1e-5)


def test_shards_that_do_not_begin_on_the_pooling_grid_are_exact_too(model, reader, grid):
    shard = Window(51, 67, 60, 70)
    part = predictor(model, reader).probability(shard)
    whole = whole_image(model, reader, grid)[shard.slices]
    there = ~np.isnan(part)
    np.testing.assert_allclose(part[there], whole[there], atol=1e-5)


def test_plans_cover_a_shard_once_in_batches_of_its_own():
    shard = Window(100, 30, 77, 91)
    plan = TilePlan.of(20, 8, 3)
    assert plan.core_px == 24
    covered = np.zeros((300, 300), int)
    for batch in plan.batches(shard):
        assert 1 <= len(batch) <= 3
        for core in batch:
            assert core.y0 % 8 == core.x0 % 8 == 0
            covered[core.slices] += 1
    assert (covered[shard.slices] == 1).all()


def predict(model, reader, grid, location, fingerprint="a", **settings):
    made = predictor(model, reader)
    task = PredictBlock(lambda: made, location, Outputs(PredictConfig(**settings), False))
    return predict_region(task, grid, STORAGE, {"model": "m"}, fingerprint, "predict").blocks


def content(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_killed_prediction_goes_on_and_ends_with_the_same_bytes(model, reader, grid, tmp_path):
    undisturbed, killed = str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")
    assert not is_predicted(undisturbed, "a")
    assert predict(model, reader, grid, undisturbed) == 9
    assert is_predicted(undisturbed, "a")
    assert not is_predicted(undisturbed, "b")
    assert predict(model, reader, grid, undisturbed) == 0

    class Dies(HostReader):
        reads = 0

        def read(self, window, variables=None):
            self.reads += 1
            if self.reads > 5:
                raise KeyboardInterrupt
            return super().read(window, variables)

    with pytest.raises(KeyboardInterrupt):
        predict(model, Dies(reader.planes), grid, killed)
    assert not is_predicted(killed, "a")
    assert 0 < predict(model, reader, grid, killed) < 9
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")


def test_each_chunk_is_read_once_a_block(model, reader, grid, tmp_path):
    windows = []

    class Counts(HostReader):
        def read(self, window, variables=None):
            windows.append(window)
            return super().read(window, variables)

    predict(model, Counts(reader.planes), grid, str(tmp_path / "a.zarr"))
    assert len(windows) == 9
    # The last row of blocks needs one row of tiles of 32 px, not two.
    assert {w.height - 2 * model.exact_context_px for w in windows} == {64, 32}


def opened(location, name):
    return cube.array(open_group(location), name)[...]


def test_classes_divide_the_probability(model, reader, grid, tmp_path):
    location, bounds = str(tmp_path / "a.zarr"), (0.08, 0.1)
    predict(model, reader, grid, location, class_bounds=bounds)
    probability = opened(location, "probability")
    classes = opened(location, "susceptibility_class")
    assert set(np.unique(classes)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(classes == 0, np.isnan(probability))
    np.testing.assert_array_equal(classes == 2, (probability >= 0.08) & (probability < 0.1))
    meanings = cube.array(open_group(location), "susceptibility_class").attrs["flag_meanings"]
    assert meanings == "no_data below_0.08 0.08_to_0.1 from_0.1"


@pytest.mark.parametrize(("dtype", "within"), [("float16", 3e-4), ("uint8", 0.002)])
def test_smaller_numbers_are_rounded_probabilities(model, reader, grid, tmp_path, dtype, within):
    exact, small = str(tmp_path / "a.zarr"), str(tmp_path / "b.zarr")
    predict(model, reader, grid, exact)
    predict(model, reader, grid, small, dtype=dtype)
    assert opened(small, "probability").dtype == dtype
    # As anyone opens it: numbers between 0 and 1, NaN where nothing is known.
    with xr.open_zarr(small) as dataset:
        values = dataset.probability.to_numpy()
    np.testing.assert_allclose(values, opened(exact, "probability"), atol=within * 1.01, rtol=0)
    assert np.isnan(values).any()


def test_another_model_replaces_the_map(model, reader, grid, tmp_path):
    location = str(tmp_path / "a.zarr")
    predict(model, reader, grid, location, "one")
    assert predict(model, reader, grid, location, "two") == 9


def test_the_published_file_is_a_valid_cog_of_the_same_values(model, reader, grid, tmp_path):
    location, path = str(tmp_path / "a.zarr"), tmp_path / "out" / "a.tif"
    predict(model, reader, grid, location)
    write_cog(location, str(path), {"model": "m"}, "publish")
    valid, errors, warnings = cog_validate(path, strict=True)
    assert (valid, errors, warnings) == (True, [], [])
    stored = cube.array(open_group(location), "probability")[...]
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), stored)
        assert file.crs.to_epsg() == 32632
        assert file.transform == grid.transform
        assert np.isnan(file.nodata)
        assert file.tags()["model"] == "m"
    assert [p.name for p in path.parent.iterdir()] == ["a.tif"]


@pytest.fixture
def large_map(tmp_path):
    """Location and values of a stored map of several shards and file blocks."""
    location = str(tmp_path / "large.zarr")
    grid = Grid.from_bounds("EPSG:32632", 10, (600000, 5100000, 611000, 5113000))
    values = np.random.default_rng(0).random(grid.shape, dtype=np.float32)
    values[:, :70] = np.nan
    cube.create(location, grid, [PROBABILITY], StorageConfig(chunk_px=64, shard_px=512), {})
    array = cube.array(open_group(location, "r+"), "probability")
    for window in cube.shard_windows(location):
        cube.write_block(array, window, values[window.slices])
    return location, values


def test_a_large_published_file_has_averaged_overviews(large_map, tmp_path):
    location, values = large_map
    path = tmp_path / "large.tif"
    write_cog(location, str(path), {}, "publish")
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as file:
        assert file.overviews(1) == [2, 4]
        assert file.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
        np.testing.assert_array_equal(file.read(1), values)
    with rasterio.open(path, overview_level=0) as file:
        half = values.reshape(650, 2, 550, 2).mean(axis=(1, 3))
        np.testing.assert_allclose(file.read(1), half, atol=1e-6)


def test_a_file_that_cannot_be_published_leaves_nothing_behind(large_map, tmp_path):
    location, _ = large_map
    folder = tmp_path / "published"
    (folder / "taken.tif").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"taken.tif' cannot be written"):
        write_cog(location, str(folder / "taken.tif"), {}, "publish")
    (folder / "file").touch()
    with pytest.raises(StoreError, match=r"a.tif' cannot be written"):
        write_cog(location, str(folder / "file" / "a.tif"), {}, "publish")
    assert sorted(p.name for p in folder.iterdir()) == ["file", "taken.tif"]


def test_a_failed_publication_keeps_the_file_before(large_map, tmp_path):
    location, _ = large_map
    path = tmp_path / "published" / "a.tif"
    write_cog(location, str(path), {"run": "first"}, "publish")

    shard = Path(location, "probability", "c", "2", "2")
    shard.unlink()
    shard.symlink_to(shard)  # a circle: reading it fails, whoever runs the test
    with pytest.raises(StoreError, match=r"large.zarr/probability' could not be used"):
        write_cog(location, str(path), {"run": "second"}, "publish")
    assert [p.name for p in path.parent.iterdir()] == ["a.tif"]
    with rasterio.open(path) as file:
        assert file.tags()["run"] == "first"


def test_models_for_other_cubes_are_refused(grid):
    metadata = {"looking_distances_m": [30, 100], "pixel_m": 10.0}
    check_fits(metadata, grid, (30, 100))
    with pytest.raises(
        DataError, match=r"looking distances \(30, 100\) m but this one has \(30, 300\) m"
    ):
        check_fits(metadata, grid, (30, 300))
    with pytest.raises(DataError, match="pixels of 30 m"):
        check_fits({**metadata, "pixel_m": 30.0}, grid, (30, 100))


def test_models_of_other_channels_are_refused():
    check_channels(Channels({}), Channels(synthetic(), ("ndvi",)))
    with pytest.raises(DataError, match="code 6 of 'lithology' is '.*' in this cube but 'clay' to"):
        check_channels(
            Channels({**synthetic(), "lithology": Categories(codes={6: "clay"})}),
            Channels(synthetic()),
        )
    colours = EventChannels(("red", "green"), 10.0)
    check_channels(colours, EventChannels(("red", "green"), 20.0))
    with pytest.raises(DataError, match="trained on reflectance of red, green at"):
        check_channels(colours, EventChannels(("green", "red"), 10.0))
    with pytest.raises(DataError, match="do not go together"):
        check_channels(colours, Channels({}))
