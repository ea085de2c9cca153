"""Labels end where the study area or the elevation ends; a lost point is an error."""

import numpy as np
import pandas as pd
import pytest

from landslide_dist.errors import DataError
from landslide_dist.sources import open_sources, target_grid

from .conftest import UTM, area, whole


@pytest.fixture
def elevation(grid, write_raster):
    """Without values in the first ten rows."""
    values = np.full(grid.shape, 500, np.float32)
    values[:10] = -9999
    return {"path": write_raster(values, grid.transform, name="dem.tif", nodata=-9999)}


@pytest.fixture
def study_area(grid, write_layer):
    path = write_layer([area(grid, 0, 20, 60, 60)], "study.gpkg")
    return {"kind": "vector", "path": path}


def test_polygons(grid, configure, elevation, study_area, write_layer):
    path = write_layer([area(grid, 0, 0, 30, 40)])
    config = configure({"elevation": elevation, "study_area": study_area,
                        "inventory": {"kind": "vector", "path": path}})  # fmt: skip
    source = open_sources(config, target_grid(config))["landslide"]
    expected = np.full(grid.shape, 255, np.uint8)
    expected[10:, 20:60] = 0
    expected[10:30, 20:40] = 1
    np.testing.assert_array_equal(whole(source, grid), expected)
    named = [entry["path"] for entry in source.provenance()]
    assert named == [path, study_area["path"]]


def test_raster_without_study_area(grid, configure, elevation, write_raster):
    values = np.zeros(grid.shape, np.uint8)
    values[:, 5] = 1
    path = write_raster(values, grid.transform, name="slides.tif")
    config = configure({"elevation": elevation, "inventory": {"kind": "raster", "path": path}})
    block = whole(open_sources(config, grid)["landslide"], grid)
    values[:10] = 255
    np.testing.assert_array_equal(block, values)


def points(tmp_path, rows, columns):
    path = tmp_path / "p.csv"
    x, y = 500_005 + 10 * np.array(columns), 4_999_995 - 10 * np.array(rows)
    pd.DataFrame({"x": x, "y": y}).to_csv(path, index=False)
    return {"kind": "points", "path": str(path), "crs": UTM, "buffer_m": 30}


def test_buffers_of_points_are_cut(grid, configure, elevation, study_area, tmp_path):
    config = configure({"elevation": elevation, "study_area": study_area,
                        "inventory": points(tmp_path, [10], [20])})  # fmt: skip
    block = whole(open_sources(config, grid)["landslide"], grid)
    assert (block == 1).sum() == (block[10:, 20:60] == 1).sum() == 11


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([10, 9, 8], [20, 30, 31], "2 labelled points have no elevation, the first at x 500305, y"),
        ([10, 20], [20, 60], r"1 labelled points lie outside the study area.*row 20, column 60"),
    ],
)
def test_lost_points(grid, configure, elevation, study_area, tmp_path, rows, columns, message):
    config = configure({"elevation": elevation, "study_area": study_area,
                        "inventory": points(tmp_path, rows, columns)})  # fmt: skip
    source = open_sources(config, grid)["landslide"]
    with pytest.raises(DataError, match=message):
        whole(source, grid)
