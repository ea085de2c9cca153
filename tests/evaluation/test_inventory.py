"""Maps to landslides, and inventories against each other, on shapes whose answers are known."""

import io

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.inventory import InventoryConfig
from landslide_dist.errors import DataError
from landslide_dist.evaluation.inventory import map_inventory
from landslide_dist.evaluation.inventory_files import on_one_map, read_inventory
from landslide_dist.evaluation.inventory_match import compare_outlines
from landslide_dist.evaluation.magnitude import (
    area_density,
    magnitude_frequency_figure,
    malamud_density,
)
from landslide_dist.grid import Grid
from landslide_dist.kernels.terrain import slope
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

PIXEL_M = 10
NAN = float("nan")
RING = """
    .........
    .#####...
    .#...#..#
    .#.#.#..#
    .#...#.#.
    .#####...
    .........
"""


def pixels(picture):
    return np.array([[c == "#" for c in row] for row in picture.split()])


class Maps:
    """Writes maps, and turns them into inventories."""

    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    def __call__(self, probability, elevation=None, config=None, block_px=None, variable=None):
        self.count += 1
        probability = np.asarray(probability)
        height, width = probability.shape
        if elevation is None:
            elevation = np.zeros(probability.shape)
        elevation = elevation.astype(np.float32)
        bounds = (600000, 5100000, 600000 + PIXEL_M * width, 5100000 + PIXEL_M * height)
        grid = Grid.from_bounds("EPSG:32632", PIXEL_M, bounds)
        layers = {
            "map": [(variable or schema.PROBABILITY, probability)],
            "cube": [(schema.ELEVATION, elevation), (schema.SLOPE, slope(elevation, PIXEL_M))],
        }
        for name, arrays in layers.items():
            location = str(self.folder / f"{name}{self.count}.zarr")
            storage = StorageConfig(chunk_px=16, shard_px=16)
            cube.create(location, grid, [one for one, _ in arrays], storage, {})
            group = open_group(location, "r+")
            for one, values in arrays:
                for window in cube.shard_windows(location):
                    block = values[window.slices].astype(one.dtype)
                    cube.write_block(cube.array(group, one.name), window, block)
        self.grid = grid
        return self.again(config, block_px)

    def again(self, config=None, block_px=None):
        config = config or InventoryConfig()
        windows = None if block_px is None else list(self.grid.windows(block_px))
        map_location, cube_location = (
            str(self.folder / f"{name}{self.count}.zarr") for name in ("map", "cube")
        )
        threshold = config.threshold
        return map_inventory(map_location, cube_location, config, threshold, windows=windows)


@pytest.fixture
def maps(tmp_path):
    return Maps(tmp_path)


def as_probability(mask):
    return np.where(mask, 0.9, 0.1).astype(np.float32)


def assert_same(found, expected):
    assert found.columns.equals(expected.columns)
    for name in found.columns.drop("geometry"):
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    outlines = found.geometry.to_numpy(), expected.geometry.to_numpy()
    assert shapely.equals_exact(*outlines, tolerance=0).all()


def test_areas_holes_and_places_are_those_of_the_pixels(maps):
    found = maps(as_probability(pixels(RING)), block_px=4)
    assert found.crs == "EPSG:32632"
    assert found["id"].tolist() == [1, 2, 3]
    assert found["area_m2"].tolist() == [1600, 300, 100]
    np.testing.assert_allclose(found.area, found["area_m2"])
    ring, tail, island = found.geometry
    assert [len(one.interiors) for one in (ring, island)] == [1, 0]
    assert shapely.Polygon(ring.interiors[0]).area == 900
    assert ring.bounds == (600010, 5100010, 600060, 5100060)
    # Two pixels by a side, the third by a corner: still one landslide.
    assert tail.geom_type == "MultiPolygon"
    assert found["perimeter_m"].tolist() == [320, 100, 40]
    assert (found["centroid_x_m"][0], found["centroid_y_m"][0]) == (600035, 5100035)
    assert found.is_valid.all()


def test_connectivity_minimum_area_and_filled_holes(maps):
    probability = as_probability(pixels(RING))
    found = maps(probability, config=InventoryConfig(connectivity=4))
    assert found["area_m2"].tolist() == [1600, 200, 100, 100]
    found = maps.again(InventoryConfig(min_area_m2=300), block_px=3)
    assert found["area_m2"].tolist() == [1600, 300]
    # The hole around the island is 8 pixels.
    assert len(maps.again(InventoryConfig(fill_holes_m2=800), block_px=3)) == 3
    filled = maps.again(InventoryConfig(fill_holes_m2=801), block_px=3)
    assert filled["area_m2"].tolist() == [2500, 300]
    assert filled["confidence_mean"][0] == pytest.approx((17 * 0.9 + 8 * 0.1) / 25)
    # Open ground and pixels without data are no holes.
    probability[3, 2] = NAN
    found = maps(probability, config=InventoryConfig(fill_holes_m2=1e9))
    assert found["area_m2"].tolist() == [1600, 300, 100]


def test_nodata_is_no_landslide_and_scaled_maps_are_read(maps):
    probability = np.full((5, 6), 0.8, np.float32)
    probability[:, 2] = NAN
    found = maps(probability)
    assert found["area_m2"].tolist() == [1000, 1500]
    steps = np.where(np.isnan(probability), 255, 200)
    steps[0, 0] = 125
    scaled = schema.predicted("probability", "probability", "uint8")
    again = maps(steps, variable=scaled, config=InventoryConfig(min_area_m2=1000))
    assert again["area_m2"].tolist() == [1000, 1500]
    assert again["confidence_mean"].tolist() == pytest.approx([0.77, 0.8])
    assert again["confidence_max"].tolist() == pytest.approx([0.8, 0.8])
    half = schema.predicted("probability", "probability", "float16")
    assert maps(probability, variable=half)["area_m2"].tolist() == [1000, 1500]


@pytest.mark.parametrize(
    ("east", "south", "aspect_deg"), [(-1, 0, 90), (0, -1, 180), (1, 0, 270), (1, 1, 315)]
)
def test_aspect_and_slope_of_a_tilted_plane(maps, east, south, aspect_deg):
    y, x = np.mgrid[:20, :18]
    elevation = PIXEL_M * (east * x + south * y)
    mask = np.zeros((20, 18), bool)
    mask[4:12, 5:15] = True
    [row] = maps(as_probability(mask), elevation, block_px=7).to_dict("records")
    assert row["aspect_mean_deg"] == pytest.approx(aspect_deg, abs=1e-4)
    steepness = np.degrees(np.arctan(np.hypot(east, south)))
    assert row["slope_mean_deg"] == pytest.approx(steepness, abs=1e-4)
    assert row["slope_max_deg"] == pytest.approx(steepness, abs=1e-4)
    assert row["elevation_min_m"] == elevation[mask].min()
    assert row["elevation_max_m"] == elevation[mask].max()


def test_statistics_are_those_of_plain_numpy(maps):
    random = np.random.default_rng(3)
    probability = random.random((30, 40), dtype=np.float32)
    elevation = 100 * random.random((30, 40), dtype=np.float32)
    config = InventoryConfig(threshold=0.55, connectivity=4)
    found = maps(probability, elevation, config, block_px=11)
    steepness = slope(elevation, PIXEL_M)
    seen = 0
    for row in found.to_dict("records"):
        centres = shapely.points(*np.meshgrid(maps.grid.x, maps.grid.y))
        at = shapely.within(centres, row["geometry"])
        assert at.sum() * PIXEL_M**2 == row["area_m2"] == row["geometry"].area
        assert row["confidence_mean"] == pytest.approx(probability[at].mean(dtype=float))
        if np.isfinite(steepness[at]).any():
            mean = np.nanmean(steepness[at], dtype=float)
            assert row["slope_mean_deg"] == pytest.approx(mean, rel=1e-6)
        seen += at.sum()
    assert seen == (probability >= np.float32(0.55)).sum()


@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.3, 0.7),
    block_px=st.integers(7, 30),
    connectivity=st.sampled_from([4, 8]),
    closing_px=st.integers(0, 1),
    fill_px=st.sampled_from([0, 3, 1000]),
    min_px=st.sampled_from([0, 4]),
)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_blocks_do_not_matter(
    maps, seed, share, block_px, connectivity, closing_px, fill_px, min_px
):
    random = np.random.default_rng(seed)
    probability = random.random((29, 37), dtype=np.float32)
    probability[random.random(probability.shape) < 0.02] = NAN
    config = InventoryConfig(
        threshold=1 - share,
        connectivity=connectivity,
        closing_px=closing_px,
        opening_px=closing_px,
        fill_holes_m2=fill_px * PIXEL_M**2,
        min_area_m2=min_px * PIXEL_M**2,
    )
    elevation = 50 * random.random(probability.shape)
    whole = maps(probability, elevation, config, block_px=64)
    assert_same(maps.again(config, block_px), whole)
    assert whole.is_valid.all()
    np.testing.assert_allclose(whole.area, whole["area_m2"])


def test_simplified_outlines_stay_near_and_areas_stay_those_of_pixels(maps):
    y, x = np.mgrid[:60, :60]
    disc = as_probability((y - 30) ** 2 + (x - 30) ** 2 < 25**2)
    plain = maps(disc)
    smooth = maps.again(InventoryConfig(simplify_m=10))
    assert smooth["area_m2"].tolist() == plain["area_m2"].tolist()
    assert smooth["perimeter_m"][0] < 0.9 * plain["perimeter_m"][0]
    distance_m = shapely.hausdorff_distance(plain.geometry[0], smooth.geometry[0])
    assert 0 < distance_m <= 10
    assert shapely.get_num_coordinates(smooth.geometry[0]) < 40


def test_a_map_without_landslides_is_an_empty_inventory(maps):
    found = maps(np.full((20, 20), 0.1), config=InventoryConfig(fill_holes_m2=500))
    assert len(found) == 0
    assert "aspect_mean_deg" in found
    assert found.crs == "EPSG:32632"


def square(x, y, side=10, height=None):
    return shapely.box(x, y, x + side, y + (height or side))


@pytest.fixture
def two():
    """Of each kind of agreement one, far from each other; areas are multiples of 10 m2."""
    reference = [
        square(0, 0),  # matched: shifted by 2, IoU 80 / 120
        square(100, 0),  # missed, untouched
        square(200, 0), square(212, 0),  # merged in one
        square(300, 0, 30, 10),  # split in two
        square(400, 0),  # missed: IoU 25 / 175
    ]  # fmt: skip
    mapped = [
        square(2, 0),
        square(200, 0, 22, 10),
        square(300, 0), square(315, 0),
        square(405, 5),
        square(500, 0),  # false
    ]  # fmt: skip
    return tuple(gpd.GeoSeries(shapes, crs="EPSG:32632") for shapes in (reference, mapped))


def test_matched_missed_false_merged_and_split(two):
    found = compare_outlines(*two)
    number, area = found["number"], found["area"]
    assert number["reference"] == {"total": 6, "matched": 1, "merged": 2, "split": 1, "missed": 2}
    assert number["mapped"] == {"total": 6, "matched": 1, "merging": 1, "piece": 2, "false": 2}
    assert number["missed_without_overlap"] == 1
    assert number["precision"] == number["recall"] == number["f1"] == pytest.approx(1 / 6)
    assert found["groups"]["merged"] == [{"mapped": 1, "reference": [2, 3]}]
    assert found["groups"]["split"] == [{"reference": 4, "mapped": [2, 3]}]
    overlap_m2 = 80 + 200 + 200 + 25
    assert area["overlap_m2"] == pytest.approx(overlap_m2)
    assert (area["reference_m2"], area["mapped_m2"]) == pytest.approx((800, 720))
    assert area["precision"] == pytest.approx(overlap_m2 / 720)
    assert area["recall"] == pytest.approx(overlap_m2 / 800)
    assert area["f1"] == pytest.approx(2 * overlap_m2 / 1520)
    assert area["iou"] == pytest.approx(overlap_m2 / (1520 - overlap_m2))


def test_the_criterion_and_the_threshold_decide_and_matches_are_one_to_one(two):
    loose = compare_outlines(*two, threshold=0.1)["number"]["reference"]
    # The larger of the two merged ones shares as much as the other: the first is taken.
    assert loose == {"total": 6, "matched": 4, "merged": 1, "split": 0, "missed": 1}
    strict = compare_outlines(*two, threshold=0.7)["number"]["reference"]
    assert strict["matched"] == 0
    overlap = compare_outlines(*two, criterion="overlap", threshold=0.9)["number"]
    assert overlap["reference"]["matched"] == 2
    assert overlap["mapped"]["matched"] == 2


def test_areas_that_an_inventory_holds_twice_count_once():
    twice = gpd.GeoSeries([square(0, 0), square(0, 0)], crs="EPSG:32632")
    found = compare_outlines(twice, twice)
    assert found["area"]["reference_m2"] == found["area"]["overlap_m2"] == 100
    assert found["number"]["reference"]["matched"] == 2


def save(folder, name, shapes, crs="EPSG:32632"):
    path = folder / name
    gpd.GeoDataFrame(geometry=shapes, crs=crs).to_file(path)
    return str(path)


def test_files_are_repaired_and_brought_into_one_crs(tmp_path):
    bow = shapely.Polygon([(600000, 5e6), (600010, 5e6 + 10), (600010, 5e6), (600000, 5e6 + 10)])
    bow_path = save(tmp_path, "bow.gpkg", [bow, square(600050, 5e6), shapely.Point(600000, 5e6)])
    one = read_inventory(bow_path)
    assert (len(one.frame), one.num_repaired, one.num_left_out) == (2, 1, 1)
    assert one.frame.area.tolist() == pytest.approx([50, 100])
    degrees = gpd.GeoSeries([square(600000, 5e6)], crs="EPSG:32632").to_crs("EPSG:4326")
    other = read_inventory(save(tmp_path, "degrees.geojson", degrees, "EPSG:4326"))
    for pair in ((one, other), (other, one)):
        first, second, crs = on_one_map(*pair)
        assert crs.to_epsg() == 32632
        areas = sorted([first.area.sum(), second.area.sum()])
        assert areas == pytest.approx([100, 150], rel=1e-6)
    assert on_one_map(other, other)[2].to_epsg() == 32632


def test_areas_are_never_those_of_web_mercator(tmp_path):
    """A square of 100 m2 is 207 m2 there, at 46 degrees north."""
    outline = gpd.GeoSeries([square(600000, 5.1e6)], crs="EPSG:32632")
    crss = {"web": "EPSG:3857", "degrees": "EPSG:4326", "utm": "EPSG:32632"}
    found = {
        name: read_inventory(save(tmp_path, f"{name}.gpkg", outline.to_crs(crs), crs))
        for name, crs in crss.items()
    }
    assert found["web"].frame.area.sum() > 200
    for pair in (("web", "utm"), ("utm", "web"), ("web", "degrees"), ("web", "web")):
        first, second, crs = on_one_map(*(found[name] for name in pair))
        assert crs.to_epsg() == 32632
        assert [first.area.sum(), second.area.sum()] == pytest.approx([100, 100], rel=1e-4)


def test_files_that_cannot_be_compared_say_why(tmp_path):
    def refused(path, layer=None):
        with pytest.raises(DataError) as error:
            read_inventory(path, layer)
        return str(error.value)

    assert "there is no inventory" in refused("nowhere.gpkg")
    broken = tmp_path / "broken.gpkg"
    broken.write_text("no database")
    assert "cannot be read" in refused(str(broken))
    points = save(tmp_path, "points.gpkg", [shapely.Point(1, 1)])
    assert "no polygons but Point" in refused(points)
    here = save(tmp_path, "here.gpkg", [square(600000, 5e6)])
    assert "has no layer 'roads': give one of here" in refused(here, "roads")
    gpd.read_file(here).to_file(here, layer="more")
    assert "several layers" in refused(here)
    with pytest.warns(UserWarning, match="crs"):
        nowhere = save(tmp_path, "nowhere.gpkg", [square(0, 0)], None)
    assert "has no CRS" in refused(nowhere)
    there = save(tmp_path, "there.gpkg", [square(700000, 5e6)])
    with pytest.raises(DataError, match="do not overlap"):
        on_one_map(read_inventory(here, "here"), read_inventory(there))


def test_frequency_density_integrates_to_one_and_edges_do_not_depend_on_the_inventory():
    areas = np.array([100, 100, 150, 1000, 99_999.0])
    found = area_density(areas)
    assert found.edges_m2[0] == pytest.approx(100)
    assert found.num.tolist() == [3, *[0] * 4, 1, *[0] * 8, 1]
    assert (found.density_per_m2 * np.diff(found.edges_m2)).sum() == pytest.approx(1)
    assert found.density_per_m2[0] == pytest.approx(3 / 5 / (10**2.2 - 100))
    assert area_density(np.zeros(0)).plain() == {
        "edges_m2": [], "num": [], "density_per_m2": []
    }  # fmt: skip


def test_malamud_peaks_at_400_m2_and_integrates_to_one():
    areas = np.geomspace(1, 1e12, 200_000)
    density = malamud_density(areas)
    assert areas[density.argmax()] == pytest.approx(400, rel=0.01)
    assert np.trapezoid(density, areas) == pytest.approx(1, rel=0.01)


def test_the_picture_takes_any_number_of_inventories():
    random = np.random.default_rng(0)
    names = ("reference", "mapped", "other", "none")
    inventories = {n: 400 * random.lognormal(size=200) for n in names}
    inventories["none"] = np.zeros(0)
    picture = magnitude_frequency_figure(inventories)
    assert picture == magnitude_frequency_figure(inventories)
    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)):
        assert (image == colour).all(axis=1).sum() > 200
    assert magnitude_frequency_figure({"none": np.zeros(0)})
