import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid, Window, distorted_scale, utm_zone

UTM = "EPSG:32632"


def grid(height=70, width=30, pixel_m=10.0):
    return Grid(UTM, Affine(pixel_m, 0, 500000, 0, -pixel_m, 4900000), (height, width))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 100))
def test_windows_cover_every_pixel_once(height, width, size):
    seen = np.zeros((height, width), int)
    for window in grid(height, width).windows(size):
        seen[window.slices] += 1
    assert (seen == 1).all()


def test_coordinates_are_pixel_centres_from_the_north():
    g = grid()
    assert (g.x[0], g.y[0]) == (500005, 4899995)
    assert g.y[1] < g.y[0]
    rows, columns = g.rows_columns(g.x[[3, 7]], g.y[[3, 7]])
    assert rows.tolist() == columns.tolist() == [3, 7]


def test_bounds_round_trip():
    g = grid()
    assert Grid.from_bounds(UTM, 10, g.bounds) == g


def test_bounds_that_are_no_whole_pixels_are_covered():
    g = Grid.from_bounds(UTM, 10, (0, 0, 25, 31))
    assert g.shape == (4, 3)
    assert g.bounds == (0, -9, 30, 31)


def test_window_arithmetic():
    window = Window(2, 3, 10, 20)
    assert window.expand(4).expand(-4) == window
    assert window.expand(4).clip((100, 100)) == Window(0, 0, 16, 27)
    assert window.relative_to(window.expand(4)) == Window(4, 4, 10, 20)
    assert window.intersect(Window(50, 50, 5, 5)).height == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grid(UTM, Affine(10, 0, 0, 0, -12.5, 0), (5, 5)), "10 m in x but 12.5 m in y"),
        (lambda: Grid(UTM, Affine(10, 1, 0, 0, -10, 0), (5, 5)), "rotated or not north-up"),
        (lambda: Grid(UTM, Affine(10, 0, 0, 0, 10, 0), (5, 5)), "not north-up"),
        (lambda: Grid("EPSG:4326", Affine(1, 0, 0, 0, -1, 0), (5, 5)), "not projected in metres"),
        (lambda: Grid("EPSG:2263", Affine(1, 0, 0, 0, -1, 0), (5, 5)), "not projected in metres"),
        (lambda: Grid("EPSG:0", Affine(1, 0, 0, 0, -1, 0), (5, 5)), "is not known"),
        (lambda: Grid.from_bounds(UTM, 10, (5, 0, 0, 5)), "hold no pixel"),
    ],
)
def test_grids_that_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


#: A CRS of a building site, tied to no place.
SITE = """ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],
LENGTHUNIT["metre",1]]"""


def around(x, y):
    return x - 500, y - 500, x + 500, y + 500


@pytest.mark.parametrize(
    ("crs", "x", "y"),
    [
        (UTM, 0, 0),
        (UTM, 8e5, 5.2e6),
        ("EPSG:32717", 7.1e5, 9.56e6),
        ("EPSG:3035", 1.77e6, 1.02e6),  # the Canary Islands
        ("EPSG:2056", 2.6e6, 1.2e6),
        ("EPSG:5070", -2e6, 2e6),
        ("EPSG:3413", 0, 0),
        ("EPSG:3857", 0, 1e6),
        (SITE, 0, 0),
        (UTM, 1e9, 0),  # no place on the ground
    ],
)
def test_crss_that_are_true_to_scale_or_have_none(crs, x, y):
    assert distorted_scale(crs, around(x, y)) is None


@pytest.mark.parametrize(
    ("crs", "x", "y", "factor", "zone"),
    [
        ("EPSG:3857", 1.113e6, 5.78e6, 1.4395, "EPSG:32632"),
        ("EPSG:3857", -8.8e6, -2.3e6, 1.0655, "EPSG:32717"),
        # Equal in area but not in lengths, along the parallels or aslant.
        ("EPSG:6933", 1e6, 5e6, 1.1842, "EPSG:32632"),
        ("ESRI:54009", 3e6, 5e6, 1.1411, "EPSG:32636"),
        ("EPSG:3857", 0, 2.9e7, 47.17, None),
    ],
)
def test_crss_that_are_not_true_to_scale(crs, x, y, factor, zone):
    assert distorted_scale(crs, around(x, y)) == pytest.approx(factor, rel=1e-3)
    assert utm_zone(crs, around(x, y)) == zone
