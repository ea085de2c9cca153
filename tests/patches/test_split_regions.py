"""Parts as polygons: who gets which pixel, what is masked between them, what is refused."""

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from landslide_dist.config.split import SplitConfig, SplitRegions
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.patches.split_regions import plan_regions

GRID = Grid("EPSG:32632", Affine(10, 0, 600_000, 0, -10, 5_000_000), (40, 60))


def pixels(rows, columns):
    """The polygon of some rows and columns of pixels."""
    left, top = 600_000, 5_000_000
    return box(
        left + 10 * columns[0], top - 10 * rows[1], left + 10 * columns[1], top - 10 * rows[0]
    )


def write(path, parts, crs="EPSG:32632"):
    frame = gpd.GeoDataFrame({"part": list(parts)}, geometry=list(parts.values()), crs=crs)
    frame.to_file(path, driver="GPKG")
    return SplitRegions(path=str(path))


PARTS = {
    "train": pixels((0, 40), (0, 30)),
    "validation": pixels((0, 20), (30, 60)),
    "test": pixels((20, 40), (30, 60)),
}


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    return write(tmp_path_factory.mktemp("parts") / "parts.gpkg", PARTS)


def whole(plan, landslide=None):
    labels = np.zeros(GRID.shape, np.uint8) if landslide is None else landslide
    return plan.block(Window(0, 0, *GRID.shape), labels)


def test_without_a_buffer_every_pixel_has_the_part_of_its_centre(regions):
    part = whole(plan_regions(regions, GRID, 0))
    expected = np.zeros(GRID.shape, np.uint8)
    expected[:20, 30:], expected[20:, 30:] = 1, 2
    assert np.array_equal(part, expected)


def test_lower_parts_yield_and_no_two_parts_are_nearer_than_the_buffer(regions):
    part = whole(plan_regions(regions, GRID, 4))
    assert (part[20:, 30:] == 2).all()
    for low, high in ((0, 1), (0, 2), (1, 2)):
        rows = np.argwhere(part == low)
        others = np.argwhere(part == high)
        apart = np.abs(rows[:, None] - others[None]).max(axis=2)
        assert apart.min() > 4
    assert (part == 0).sum() > 800


def test_unlabelled_pixels_have_no_part(regions):
    landslide = np.zeros(GRID.shape, np.uint8)
    landslide[5:9, 3:50] = 255
    part = whole(plan_regions(regions, GRID, 0), landslide)
    assert np.array_equal(part == 255, landslide == 255)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(0, 50), st.integers(1, 30), st.integers(1, 30))
def test_any_block_equals_the_whole(regions, y0, x0, height, width):
    window = Window(y0, x0, height, width).clip(GRID.shape)
    plan = plan_regions(regions, GRID, 3)
    block = plan.block(window, np.zeros(window.shape, np.uint8))
    assert np.array_equal(block, whole(plan)[window.slices])


def test_polygons_of_another_crs_are_brought_to_the_grid(tmp_path):
    frame = gpd.GeoSeries(list(PARTS.values()), crs="EPSG:32632").to_crs("EPSG:4326")
    other = dict(zip(PARTS, frame, strict=True))
    inner = {name: area.buffer(-1e-6) for name, area in other.items()}
    part = whole(plan_regions(write(tmp_path / "p.gpkg", inner, "EPSG:4326"), GRID, 0))
    assert part[5, 5] == 0
    assert part[5, 50] == 1
    assert part[35, 50] == 2


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (PARTS | {"test": pixels((10, 40), (30, 60))}, "validation and test overlap by 30000 m2"),
        (PARTS | {"holdout": pixels((0, 5), (0, 5))}, "part 'holdout' of a Polygon"),
        (PARTS | {"test": pixels((20, 40), (30, 60)).centroid}, "part 'test' of a Point"),
    ],
)
def test_what_cannot_be_a_split_is_refused(tmp_path, parts, message):
    with pytest.raises(DataError, match=message):
        plan_regions(write(tmp_path / "p.gpkg", parts), GRID, 0)


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"kind": "regions"}, "give both or neither"),
        ({"kind": "block", "regions": {"path": "x.gpkg"}}, "give both or neither"),
        ({"kind": "regions", "regions": {"path": "x"}, "folds": 3}, "leave folds out"),
    ],
)
def test_settings_go_together(given_settings, message):
    with pytest.raises(ValueError, match=message):
        SplitConfig.model_validate(given_settings)
