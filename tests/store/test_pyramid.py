import json

import numpy as np
import pytest
import rioxarray  # noqa: F401 - xarray's accessor
import xarray as xr

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.kernels import reduction
from landslide_dist.store import cube, levels, pyramid
from landslide_dist.store.levels import Pyramid, Raster
from landslide_dist.store.location import open_group
from landslide_dist.store.pyramid import build_pyramid

GRID = Grid.from_bounds("EPSG:32632", 10, (600000, 5100000, 601230, 5101510))
STORAGE = StorageConfig(chunk_px=16, shard_px=32)


@pytest.fixture(autouse=True)
def _small_screen(monkeypatch):
    monkeypatch.setattr(levels, "SCREEN_PX", 24)


@pytest.fixture
def source(tmp_path):
    """Location and arrays of a cube of odd size."""
    random = np.random.default_rng(0)
    elevation = random.normal(size=GRID.shape).astype(np.float32)
    elevation[:20, :30] = np.nan
    landslide = random.integers(0, 2, GRID.shape).astype(np.uint8)
    landslide[random.random(GRID.shape) < 0.9] = 255
    arrays = {
        "elevation": elevation,
        "landslide": landslide,
        "lithology": random.integers(0, 3, GRID.shape).astype(np.uint8),
        "uphill": random.integers(0, 256, (2, *GRID.shape)).astype(np.uint8),
        "probability": random.random(GRID.shape).astype(np.float32),
    }
    variables = [
        schema.ELEVATION, schema.LANDSLIDE, schema.categorical("lithology", {1: "clay", 2: "ash"}),
        schema.uphill(2, "uint8"), schema.PROBABILITY,
    ]  # fmt: skip
    location = str(tmp_path / "cube.zarr")
    storage = StorageConfig(chunk_px=32, shard_px=64)
    cube.create(location, GRID, variables, storage, {"made": 1}, {"distance": [30, 100]})
    group = open_group(location, "r+")
    for name, values in arrays.items():
        for window in cube.shard_windows(location):
            cube.write_block(cube.array(group, name), window, values[(..., *window.slices)])
    return location, arrays


def rasters(location, *names):
    return [Raster(location, name) for name in names]


def stored(of, name, level):
    raster = Raster(f"{of.location}/{level}", name)
    return np.asarray(cube.array(open_group(raster.location), name)[:])


@pytest.mark.parametrize("threads", [1, 3])
def test_each_level_is_the_kernel_applied_to_the_whole_level_before(source, tmp_path, threads):
    location, arrays = source
    kernels = {
        "elevation": ("mean", lambda v: reduction.halve_mean(v, np.nan)),
        "landslide": ("mean", lambda v: reduction.halve_mean(v, 255)),
        "lithology": ("mode", lambda v: reduction.halve_mode(v, 0)),
    }
    for name, (kind, kernel) in kernels.items():
        of = Pyramid.of(str(tmp_path / f"{name}.zarr"), rasters(location, name), kind)
        assert build_pyramid(of, "test", STORAGE, threads=threads) > 0
        assert of.num_levels == 4
        expected = arrays[name]
        for level in range(1, of.num_levels):
            expected = kernel(expected)
            np.testing.assert_array_equal(stored(of, name, level), expected)


def test_a_sample_keeps_label_and_probability_of_one_pixel_together(source, tmp_path):
    location, arrays = source
    names = ("landslide", "probability")
    of = Pyramid.of(str(tmp_path / "errors.zarr"), rasters(location, *names), "sample")
    build_pyramid(of, "test", STORAGE)
    pairs = {
        (label, probability)
        for label, probability in zip(*(arrays[n].ravel().tolist() for n in names), strict=True)
    }
    top = of.num_levels - 1
    labels, probabilities = (stored(of, name, top) for name in names)
    seen = labels != 255
    assert seen.mean() > 0.9  # sparse labels do not vanish
    assert np.isnan(probabilities[~seen]).all()
    assert set(zip(labels[seen].tolist(), probabilities[seen].tolist(), strict=True)) <= pairs


def test_leading_dimensions_keep_their_coordinates(source, tmp_path):
    location, _ = source
    of = Pyramid.of(str(tmp_path / "uphill.zarr"), rasters(location, "uphill"), "sample")
    build_pyramid(of, "test", STORAGE)
    ds = xr.open_zarr(f"{of.location}/2", consolidated=True)
    assert ds["uphill"].dims == ("distance", "y", "x")
    assert ds["distance"].to_numpy().tolist() == [30, 100]


def test_levels_open_with_plain_xarray_on_the_right_ground(source, tmp_path):
    location, _ = source
    of = Pyramid.of(str(tmp_path / "elevation.zarr"), rasters(location, "elevation"), "mean")
    build_pyramid(of, "test", STORAGE)
    for level in range(1, of.num_levels):
        ds = xr.open_zarr(f"{of.location}/{level}")
        assert ds.rio.crs.to_epsg() == 32632
        assert ds.rio.resolution() == (10 * 2**level, -10 * 2**level)
        left, _, _, top = ds.rio.bounds()
        assert (left, top) == (600000, 5101510)
    attributes = open_group(of.location).attrs
    assert [entry["asset"] for entry in attributes["multiscales"]["layout"]] == ["1", "2", "3"]
    assert attributes["zarr_conventions"][0]["name"] == "multiscales"
    assert attributes["source"] == {"elevation": location}


def test_fresh_levels_are_left_alone_and_stale_ones_are_replaced(source, tmp_path):
    location, _ = source
    of = Pyramid.of(str(tmp_path / "elevation.zarr"), rasters(location, "elevation"), "mean")
    written = build_pyramid(of, "test", STORAGE)
    assert build_pyramid(of, "test", STORAGE) == 0
    open_group(location, "r+").attrs["made"] = 2
    assert not pyramid.is_fresh(of, STORAGE)
    assert build_pyramid(of, "test", STORAGE) == written
    assert pyramid.is_fresh(of, STORAGE)


def test_a_killed_build_goes_on_and_ends_in_the_same_bytes(source, tmp_path, monkeypatch):
    location, _ = source

    def contents(of):
        root = tmp_path / of.location
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    def build(name):
        of = Pyramid.of(str(tmp_path / name), rasters(location, "elevation"), "mean")
        return of, build_pyramid(of, "test", STORAGE, threads=1)

    whole, shards = build("whole.zarr")
    written = []
    write = pyramid.ReduceBlock.write

    def failing(self, window, outputs):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(window)
        write(self, window, outputs)

    monkeypatch.setattr(pyramid.ReduceBlock, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        build("killed.zarr")
    monkeypatch.setattr(pyramid.ReduceBlock, "write", write)
    killed, rest = build("killed.zarr")
    assert rest == shards - len(written)
    assert contents(killed) == contents(whole)


def test_a_raster_of_one_screen_needs_no_levels(source, tmp_path, monkeypatch):
    monkeypatch.setattr(levels, "SCREEN_PX", 512)
    of = Pyramid.of(str(tmp_path / "none.zarr"), rasters(source[0], "elevation"), "mean")
    assert of.num_levels == 1
    assert build_pyramid(of, "test", STORAGE) == 0
    assert not (tmp_path / "none.zarr").exists()


def test_metadata_is_plain_json(source, tmp_path):
    of = Pyramid.of(str(tmp_path / "e.zarr"), rasters(source[0], "elevation"), "mean")
    build_pyramid(of, "test", STORAGE)
    attributes = json.loads((tmp_path / "e.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["complete"]
    assert attributes["multiscales"]["resampling_method"] == "average"
