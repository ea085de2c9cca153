"""Vector maps: burnt as one call would burn them, whatever the windows; refused clearly."""

import json
import pickle
from functools import partial

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from shapely import LineString, MultiPolygon, Point, Polygon

from landslide_dist.config.sources import VectorSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import LANDSLIDE, categorical
from landslide_dist.sources import vector
from landslide_dist.sources.tiles import from_tiles
from landslide_dist.sources.vector import open_areas, open_classes

from .conftest import UTM, area, whole

ROCK = categorical("rock", {1: "granite", 2: "clay", 3: "lime stone"})


def source(path, **settings):
    return VectorSource(kind="vector", path=path, **settings)


def stars(grid, count, seed):
    """Jagged polygons with holes, some larger than the grid."""
    rng = np.random.default_rng(seed)
    left, bottom, right, top = grid.bounds
    made = []
    for _ in range(count):
        centre = rng.uniform((left, bottom), (right, top))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
        radii = rng.uniform(0.3, 1, 40) * rng.choice([60, 300, 2000])
        ring = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
        hole = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii.min() * 0.5
        made.append(shapely.make_valid(Polygon(ring, [hole])))
    return [g for g in made if g.geom_type in ("Polygon", "MultiPolygon")]


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.geojson", "a.parquet"])
def test_inventory_of_every_format(grid, write_layer, name):
    path = write_layer([area(grid, 5, 10, 8, 14), area(grid, 50, 70, 90, 90)], name)
    block = whole(open_areas(source(path), LANDSLIDE, grid), grid)
    expected = np.zeros(grid.shape, np.uint8)
    expected[5:8, 10:14] = expected[50:, 70:] = 1
    np.testing.assert_array_equal(block, expected)
    assert block.dtype == np.uint8


def test_another_crs_is_reprojected(grid, write_layer, tmp_path):
    boxes = gpd.GeoSeries([area(grid, 5, 10, 25, 34).segmentize(5)], crs=UTM).to_crs(4326)
    path = write_layer(boxes, crs=4326)
    block = whole(open_areas(source(path), LANDSLIDE, grid), grid)
    expected = np.zeros(grid.shape, np.uint8)
    expected[5:25, 10:34] = 1
    np.testing.assert_array_equal(block, expected)


@pytest.mark.parametrize("all_touched", [False, True])
def test_burns_what_one_call_burns(write_layer, all_touched):
    """Clipping to tiles and their seams change nothing."""
    grid = Grid(UTM, Grid.from_bounds(UTM, 10, (5e5, 5e6, 6e5, 6e6)).transform, (700, 900))
    polygons = stars(grid, 60, seed=1)
    path = write_layer(polygons)
    made = open_areas(source(path, all_touched=all_touched), LANDSLIDE, grid)
    expected = rasterize(
        polygons, grid.shape, transform=grid.transform, all_touched=all_touched, dtype="uint8"
    )
    np.testing.assert_array_equal(whole(made, grid), expected)


@settings(max_examples=30, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(seed=st.integers(0, 3), all_touched=st.booleans(), window=st.tuples(
    st.integers(0, 59), st.integers(0, 79), st.integers(1, 60), st.integers(1, 80)))  # fmt: skip
def test_a_block_equals_the_whole_raster(grid, write_layer, seed, all_touched, window):
    path = write_layer(stars(grid, 12, seed), f"{seed}.gpkg")
    made = open_areas(source(path, all_touched=all_touched), LANDSLIDE, grid)
    clipped = Window(*window).clip(grid.shape)

    with pytest.MonkeyPatch.context() as patch:
        # Several tiles; one of the usual size would hold this whole grid.
        patch.setattr(vector, "from_tiles", partial(from_tiles, tile_px=16))
        reference = whole(made, grid)
        np.testing.assert_array_equal(made.read(clipped), reference[clipped.slices])
    np.testing.assert_array_equal(made.read(clipped), reference[clipped.slices])


def test_classes_by_name_and_by_mapping(grid, write_layer):
    boxes = [area(grid, 0, 0, 60, 20), area(grid, 0, 20, 60, 40), area(grid, 0, 40, 60, 60)]
    path = write_layer(boxes, rock=["granite", "clay", None], number=[7, 8, 9])
    block = whole(open_classes(source(path, attribute="rock"), ROCK, grid), grid)
    np.testing.assert_array_equal(block[0, ::20], [1, 2, 0, 0])
    mapping = {"7": "lime stone", "8": 1, "9": 0}
    by_number = source(path, attribute="number", mapping=mapping)
    block = whole(open_classes(by_number, ROCK, grid), grid)
    np.testing.assert_array_equal(block[0, ::20], [3, 1, 0, 0])


def test_later_features_lie_over_earlier_ones(grid, write_layer):
    boxes = [area(grid, 0, 0, 40, 40), area(grid, 10, 10, 20, 20), area(grid, 0, 0, 12, 12)]
    path = write_layer(boxes, rock=["granite", "clay", "lime stone"])
    block = whole(open_classes(source(path, attribute="rock"), ROCK, grid), grid)
    assert [block[1, 1], block[11, 11], block[15, 15], block[30, 30]] == [3, 3, 2, 1]


def test_values_without_a_code(grid, write_layer):
    boxes = [area(grid, 0, 0, 60, 20), area(grid, 0, 20, 60, 40)]
    path = write_layer(boxes, rock=["granite", "chalk"])
    with pytest.raises(DataError, match="rock holds values without a code of 'rock': 'chalk'"):
        open_classes(source(path, attribute="rock"), ROCK, grid)
    lenient = source(path, attribute="rock", unmapped="unknown")
    np.testing.assert_array_equal(
        whole(open_classes(lenient, ROCK, grid), grid)[0, ::20], [1, 0, 0, 0]
    )
    with pytest.raises(ConfigError, match="sends 'chalk' to 'marl'"):
        open_classes(source(path, attribute="rock", mapping={"chalk": "marl"}), ROCK, grid)
    with pytest.raises(ConfigError, match="needs the attribute"):
        open_classes(source(path), ROCK, grid)


def test_where_and_layers(grid, write_layer):
    boxes = [area(grid, 0, 0, 60, 20), area(grid, 0, 20, 60, 40)]
    path = write_layer(boxes, layer="old", kind=["slide", "fall"])
    chosen = source(path, where="kind = 'fall'")
    assert whole(open_areas(chosen, LANDSLIDE, grid), grid).sum() == 60 * 20
    write_layer(boxes[:1], layer="new", kind=["slide"])
    with pytest.raises(DataError, match="several layers; give layer, one of: old, new"):
        open_areas(source(path), LANDSLIDE, grid)
    with pytest.raises(DataError, match="has no layer 'older'"):
        open_areas(source(path, layer="older"), LANDSLIDE, grid)
    assert whole(open_areas(source(path, layer="new"), LANDSLIDE, grid), grid).sum() == 60 * 20


def test_a_changed_file_is_read_again(grid, write_layer, tmp_path):
    path = write_layer([area(grid, 0, 0, 1, 1)], "a.geojson")
    assert whole(open_areas(source(path), LANDSLIDE, grid), grid).sum() == 1
    write_layer([area(grid, 0, 0, 10, 10)], "a.geojson")
    assert whole(open_areas(source(path), LANDSLIDE, grid), grid).sum() == 100


def test_travels_light(grid, write_layer):
    made = open_areas(source(write_layer(stars(grid, 500, 2))), LANDSLIDE, grid)
    pickled = pickle.dumps(made)
    assert len(pickled) < 3000
    np.testing.assert_array_equal(whole(pickle.loads(pickled), grid), whole(made, grid))


def test_provenance_of_a_shapefile_names_its_parts(grid, write_layer):
    entries = open_areas(
        source(write_layer([area(grid, 0, 0, 9, 9)], "a.shp")), LANDSLIDE, grid
    ).provenance()
    assert [entry["path"].rpartition(".")[2] for entry in entries] == ["shp", "dbf", "shx", "prj"]


class TestRefusals:
    def refuse(self, grid, match, path, error=DataError, **settings):
        with pytest.raises(error, match=match) as caught:
            open_areas(source(path, **settings), LANDSLIDE, grid)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["nowhere.gpkg", "nowhere.parquet"])
    def test_missing_file(self, grid, tmp_path, name):
        self.refuse(grid, "nowhere.* cannot be read", str(tmp_path / name))

    @pytest.mark.parametrize("name", ["text.gpkg", "text.geojson", "text.parquet"])
    def test_broken_file(self, grid, tmp_path, name):
        (tmp_path / name).write_text("hello")
        self.refuse(grid, f"{name}.* cannot be read", str(tmp_path / name))

    def test_truncated_geojson(self, grid, write_layer, tmp_path):
        path = write_layer(stars(grid, 5, 0), "a.geojson")
        text = (tmp_path / "a.geojson").read_text()
        (tmp_path / "a.geojson").write_text(text[: len(text) // 2])
        self.refuse(grid, "a.geojson", path)

    def test_empty_layer(self, grid, write_layer):
        path = write_layer([area(grid, 0, 0, 9, 9)], kind=["slide"])
        self.refuse(grid, "no features where kind = 'fall'", path, where="kind = 'fall'")
        self.refuse(grid, "cannot be read: .*WHERE kind =: incomplete", path, where="kind =")
        path = write_layer([area(grid, 0, 0, 9, 9)], "a.geojson", kind=["slide"])
        self.refuse(grid, "where 'kind ='", path, where="kind =")

    def test_missing_attribute(self, grid, write_layer):
        path = write_layer([area(grid, 0, 0, 9, 9)], rock=["clay"], age=[3])
        for file in (path, write_layer([area(grid, 0, 0, 9, 9)], "a.parquet", rock=["c"], age=[3])):
            with pytest.raises(DataError, match="no attribute 'kind'; it has rock, age"):
                open_classes(source(file, attribute="kind"), ROCK, grid)

    @pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
    def test_no_crs(self, grid, write_layer):
        path = write_layer([area(grid, 0, 0, 9, 9)], "a.shp", crs=None)
        self.refuse(grid, "states no CRS", path)
        made = open_areas(source(path, crs=UTM), LANDSLIDE, grid)
        assert whole(made, grid).sum() == 81

    def test_wrong_crs_and_no_overlap(self, grid, write_layer):
        path = write_layer([area(grid, 0, 0, 9, 9)], crs="EPSG:32633")
        self.refuse(grid, "they do not overlap", path)
        self.refuse(grid, "zone 33N' but the source's crs", path, crs=UTM)
        # Degrees where the CRS says metres.
        self.refuse(grid, "they do not overlap", write_layer([Point(9, 45).buffer(1)], "b.gpkg"))
        # Metres where GeoJSON means degrees.
        geometry = shapely.geometry.mapping(area(grid, 0, 0, 9, 9))
        feature = {"type": "Feature", "properties": {}, "geometry": geometry}
        path = write_layer([area(grid, 0, 0, 9, 9)], "c.geojson")
        with open(path, "w") as file:
            json.dump({"type": "FeatureCollection", "features": [feature]}, file)
        self.refuse(grid, "cannot hold; check its CRS", path)

    def test_invalid_geometries(self, grid, write_layer):
        x, y = grid.x[10], grid.y[10]
        bow_tie = Polygon([(x, y), (x + 50, y + 50), (x + 50, y), (x, y + 50)])
        path = write_layer([area(grid, 0, 0, 9, 9), bow_tie])
        self.refuse(grid, r"features 2 have invalid.*Self-intersection.*shapely.make_valid", path)

    def test_no_geometry(self, grid, write_layer):
        path = write_layer([area(grid, 0, 0, 9, 9), None, MultiPolygon()])
        self.refuse(grid, "features 2, 3 have no geometry", path)

    def test_points_and_lines(self, grid, write_layer):
        path = write_layer([Point(500_050, 4_999_950)])
        self.refuse(grid, "holds Point.*use kind: points", path)
        path = write_layer([LineString([(500_050, 4_999_950), (500_100, 4_999_950)])], "b.gpkg")
        self.refuse(grid, "holds LineString where polygons", path)

    def test_settings_that_do_not_go_together(self, grid, write_layer):
        path = write_layer([area(grid, 0, 0, 9, 9)], "a.parquet", kind=["a"])
        self.refuse(grid, "no layer and no where", path, ConfigError, where="kind = 'a'")
        self.refuse(grid, "choose features of 'landslide' with where", path, ConfigError,
                    attribute="kind")  # fmt: skip
