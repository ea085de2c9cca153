"""Labelled points: one pixel each, buffers in metres, conflicts and strays refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely import MultiPoint, Point

from landslide_dist.config.sources import PointsSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.schema import LANDSLIDE
from landslide_dist.sources.points import open_points

from .conftest import UTM, area, whole


@pytest.fixture
def write_csv(tmp_path):
    def write(**columns):
        path = tmp_path / "points.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        return str(path)

    return write


def source(path, **settings):
    defaults = {"crs": UTM, "label": "label"} if path.endswith(".csv") else {}
    return PointsSource(kind="points", path=path, **{**defaults, **settings})


def test_a_pixel_each_and_nothing_elsewhere(grid, write_csv):
    # Corners of a pixel belong to the pixel below right of them.
    path = write_csv(x=[500_000, 500_019.99, 500_795], y=[5_000_000, 4_999_985, 4_999_400.01],
                     label=[1, 0, 1])  # fmt: skip
    block = whole(open_points(source(path), LANDSLIDE, grid), grid)
    expected = np.full(grid.shape, 255, np.uint8)
    expected[0, 0], expected[1, 1], expected[59, 79] = 1, 0, 1
    np.testing.assert_array_equal(block, expected)
    assert block.dtype == np.uint8


def test_without_labels_every_point_is_a_landslide(grid, write_csv):
    path = write_csv(x=[500_005], y=[4_999_995])
    block = whole(open_points(source(path, label=None), LANDSLIDE, grid), grid)
    assert (block == 1).sum() == 1
    assert (block == 0).sum() == 0


@pytest.mark.parametrize("labels", [[True, False], ["true", " FALSE"], [1.0, 0.0], ["1", "0"]])
def test_spellings_of_labels(grid, write_csv, labels):
    path = write_csv(x=[500_005, 500_015], y=[4_999_995] * 2, label=labels)
    block = whole(open_points(source(path), LANDSLIDE, grid), grid)
    np.testing.assert_array_equal(block[0, :3], [1, 0, 255])


@pytest.mark.parametrize("name", ["p.gpkg", "p.shp", "p.geojson", "p.parquet"])
def test_vector_files(grid, write_layer, name):
    path = write_layer([Point(500_005, 4_999_995), Point(500_015, 4_999_995)], name, hit=[1, 0])
    block = whole(open_points(source(path, label="hit"), LANDSLIDE, grid), grid)
    np.testing.assert_array_equal(block[0, :3], [1, 0, 255])


def test_degrees_are_reprojected(grid, write_csv):
    x, y = np.array([500_005, 500_795.0]), np.array([4_999_995, 4_999_405.0])
    lon, lat = Transformer.from_crs(UTM, 4326, always_xy=True).transform(x, y)
    path = write_csv(longitude=lon, latitude=lat, label=[0, 1])
    settings = {"x": "longitude", "y": "latitude", "crs": "EPSG:4326"}
    block = whole(open_points(source(path, **settings), LANDSLIDE, grid), grid)
    assert (block[0, 0], block[59, 79]) == (0, 1)


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(
    seed=st.integers(0, 1000), buffer_m=st.sampled_from([0, 3, 10, 25.5, 100]),
    window=st.tuples(
        st.integers(0, 59), st.integers(0, 79), st.integers(1, 60), st.integers(1, 80)
    ),
)  # fmt: skip
def test_buffers_and_blocks(grid, write_csv, seed, buffer_m, window):
    """Every pixel whose centre is near a point, and the point's own; windows change nothing."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(500_000, 500_800, 15), rng.uniform(4_999_400, 5_000_000, 15)
    path = write_csv(x=x, y=y)
    made = open_points(source(path, label=None, buffer_m=buffer_m), LANDSLIDE, grid)
    gx, gy = np.meshgrid(grid.x, grid.y)
    distance = np.hypot(gx[..., None] - x, gy[..., None] - y).min(axis=-1)
    expected = np.where(distance <= buffer_m, 1, 255)
    rows, columns = grid.rows_columns(x, y)
    expected[rows, columns] = 1
    np.testing.assert_array_equal(whole(made, grid), expected)
    clipped = Window(*window).clip(grid.shape)
    np.testing.assert_array_equal(made.read(clipped), expected[clipped.slices])


def test_conflicts(grid, write_csv):
    path = write_csv(x=[500_105, 500_106, 500_205, 500_206, 500_305], y=[4_999_795] * 5,
                     label=[1, 0, 0, 1, 0])  # fmt: skip
    match = r"2 pixels are labelled both.*first at x 500105, y 4999795 \(row 20, column 10\)"
    with pytest.raises(DataError, match=match):
        open_points(source(path), LANDSLIDE, grid)
    block = whole(open_points(source(path, prefer="landslide"), LANDSLIDE, grid), grid)
    np.testing.assert_array_equal(block[20, 10:40:10], [1, 1, 0])


def test_buffers_conflict_too(grid, write_csv):
    path = write_csv(x=[500_105, 500_125], y=[4_999_795] * 2, label=[1, 0])
    open_points(source(path), LANDSLIDE, grid)
    with pytest.raises(DataError, match="1 pixels are labelled both"):
        open_points(source(path, buffer_m=10), LANDSLIDE, grid)


class TestRefusals:
    def refuse(self, grid, match, path, error=DataError, **settings):
        with pytest.raises(error, match=match) as caught:
            open_points(source(path, **settings), LANDSLIDE, grid)
        assert "\n" not in str(caught.value)

    def test_missing_or_empty_file(self, grid, tmp_path, write_csv):
        for name in ("nowhere.csv", "nowhere.gpkg", "nowhere.parquet"):
            self.refuse(grid, "nowhere.*cannot be read", str(tmp_path / name))
        self.refuse(grid, "has no points", write_csv(x=[], y=[], label=[]))
        (tmp_path / "points.csv").write_text("")
        self.refuse(grid, "cannot be read", str(tmp_path / "points.csv"))

    def test_missing_columns(self, grid, write_csv, write_layer):
        path = write_csv(easting=[1], y=[2], kind=[1])
        self.refuse(grid, "no column x, label; it has easting, y, kind", path)
        path = write_layer([Point(500_005, 4_999_995)], hit=[1])
        self.refuse(grid, "no attribute 'label'; it has hit", path, label="label")

    def test_csv_without_crs(self, grid, write_csv):
        self.refuse(grid, "a CSV states no CRS", write_csv(x=[1], y=[2]), ConfigError, crs=None)

    def test_coordinates_that_are_no_numbers(self, grid, write_csv):
        path = write_csv(x=[500_005, None, "east"], y=[4_999_995] * 3, label=[1, 1, 1])
        self.refuse(grid, "no numbers at line 3, line 4", path)

    def test_points_outside_the_grid(self, grid, write_csv):
        path = write_csv(x=[500_005, 500_800, 400_000], y=[4_999_995] * 3, label=[1, 1, 1])
        self.refuse(grid, "2 of 3 points lie outside the grid, the first at x 500800, y 4999995",
                    path)  # fmt: skip

    def test_wrong_crs(self, grid, write_csv):
        path = write_csv(x=[500_005], y=[4_999_995], label=[1])
        self.refuse(grid, "1 of 1 points lie outside", path, crs="EPSG:32633")
        self.refuse(grid, "do not exist in EPSG:32632", path, crs="EPSG:4326")

    def test_other_labels(self, grid, write_csv):
        path = write_csv(x=[500_005] * 4, y=[4_999_995] * 4, label=[1, 2, None, 0])
        self.refuse(grid, "column 'label' holds '2.0', 'nan'; labels are 1 and 0", path)

    def test_geometries_that_are_no_points(self, grid, write_layer):
        self.refuse(grid, "holds Polygon.*kind: vector", write_layer([area(grid, 0, 0, 1, 1)]))
        path = write_layer([MultiPoint([(500_005, 4_999_995)])], "b.gpkg")
        self.refuse(grid, "holds MultiPoint", path)
        self.refuse(grid, "features 1 have no geometry", write_layer([None, Point(1, 2)], "c.gpkg"))
