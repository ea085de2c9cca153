import multiprocessing

import numpy as np
import pytest

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 1500, 1000))


@pytest.fixture
def location(tmp_path):
    location = str(tmp_path / "cube.zarr")
    storage = StorageConfig(chunk_px=16, shard_px=64)
    cube.create(location, GRID, [schema.ELEVATION], storage, {})
    array = cube.array(open_group(location, "r+"), "elevation")
    for window in cube.shard_windows(location):
        cube.write_block(array, window, np.full(window.shape, window.x0, "float32"))
    return location


def pipeline(location, mode="r"):
    array = cube.array(open_group(location, mode), "elevation")
    return type(array.async_array.codec_pipeline).__name__


def read_sum(location):
    array = cube.array(open_group(location), "elevation")
    return pipeline(location), float(array[...].sum())


def test_local_stores_are_read_in_rust_and_written_in_python(location):
    assert pipeline(location) == "ReadInRust"
    assert pipeline(location, "r+") == "BatchedCodecPipeline"
    storage = StorageConfig(chunk_px=16, shard_px=64)
    cube.create("memory://codecs/cube.zarr", GRID, [schema.ELEVATION], storage, {})
    assert pipeline("memory://codecs/cube.zarr") == "BatchedCodecPipeline"


def test_a_forked_process_does_without_rust(location):
    expected = read_sum(location)[1]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        name, total = pool.apply_async(read_sum, (location,)).get(timeout=60)
    assert (name, total) == ("BatchedCodecPipeline", expected)
