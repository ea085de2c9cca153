"""All sources of a run together: order, dispatch, and reading them on several threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from landslide_dist.errors import DataError
from landslide_dist.sources import open_sources, target_grid

from .conftest import area, whole


def test_every_kind_of_source(grid, configure, write_raster, write_layer):
    dem = write_raster(np.full(grid.shape, 500, np.float32), grid.transform, name="dem.tif")
    cover = write_raster(np.full(grid.shape, 3, np.uint8), grid.transform, name="cover.tif")
    rock = write_layer([area(grid, 0, 0, 60, 80)], "rock.gpkg", rock=["granite"])
    slides = write_layer([area(grid, 0, 0, 9, 9)], "slides.gpkg")
    config = configure({
        "elevation": {"path": dem},
        "continuous": {"wetness": {"source": {"path": dem, "scale": 0.01}, "units": "1"}},
        "categorical": {
            "land_cover": {"source": {"kind": "raster", "path": cover}},
            "rock": {"source": {"kind": "vector", "path": rock, "attribute": "rock"},
                     "categories": {"codes": {1: "granite"}}},
        },
        "inventory": {"kind": "vector", "path": slides},
    })  # fmt: skip
    assert target_grid(config) == grid
    opened = open_sources(config, grid)
    assert list(opened) == ["elevation", "wetness", "land_cover", "rock", "landslide"]
    for name, source in opened.items():
        assert source.variable.name == name
        assert whole(source, grid).dtype == source.variable.dtype
    assert opened["rock"].variable.flags == {0: "unknown", 1: "granite"}
    with ThreadPoolExecutor(4) as pool:
        for window in grid.windows(32):
            blocks = pool.map(lambda source, w=window: source.read(w), opened.values())
            values = [block.flat[-1] for block in blocks]
            assert values[:4] == [500, 5, 3, 1]


def test_no_inventory_no_labels(grid, configure, write_raster):
    dem = write_raster(np.full(grid.shape, 500, np.float32), grid.transform)
    assert list(open_sources(configure({"elevation": {"path": dem}}), grid)) == ["elevation"]


def test_a_synthetic_region_is_dispatched(configure):
    config = configure({"synthetic": {"height": 64, "width": 96}})
    grid = target_grid(config)
    assert grid.shape == (64, 96)
    opened = open_sources(config, grid)
    assert {"elevation", "landslide", "true_probability"} <= set(opened)


def test_a_missing_file_is_found_before_anything_is_read(grid, configure, write_raster, tmp_path):
    dem = write_raster(np.full(grid.shape, 500, np.float32), grid.transform)
    slides = {"kind": "vector", "path": str(tmp_path / "nowhere.gpkg")}
    with pytest.raises(DataError, match="nowhere.gpkg"):
        open_sources(configure({"elevation": {"path": dem}, "inventory": slides}), grid)
