import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landslide_dist.grid import Grid
from landslide_dist.kernels import reduction
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.store import levels
from landslide_dist.store.levels import Pyramid, Raster
from landslide_dist.viewer import window
from landslide_dist.viewer.layers import Layer
from landslide_dist.viewer.window import View, in_sight, place, read_view

VENETO = Grid.from_bounds("EPSG:32632", 10, (600000, 5000000, 795000, 5210050))


@pytest.fixture(autouse=True)
def _small_screen(monkeypatch):
    monkeypatch.setattr(levels, "SCREEN_PX", 64)


def view_of(grid, step, width=40, height=30, x=0.4, y=0.4):
    left, bottom, right, top = grid.bounds
    middle_x, middle_y = left + x * (right - left), bottom + y * (top - bottom)
    half_x, half_y = step * width / 2, step * height / 2
    return View(
        middle_x - half_x, middle_y - half_y, middle_x + half_x, middle_y + half_y, width, height
    )


@pytest.mark.parametrize(("step", "level"), [(1, 0), (10, 0), (20, 1), (40, 2), (80, 3), (999, 3)])
@pytest.mark.parametrize("key", ["elevation", "lithology", "landslide"])
def test_what_is_read_is_the_direct_reduction(region, key, step, level):
    layer = region.layers[key]
    extract = read_view(layer, view_of(region.grid, step))
    assert extract.level == level
    whole = region.arrays[key]
    for _ in range(level):
        if key == "lithology":
            whole = reduction.halve_mode(whole, 0)
        else:
            whole = reduction.halve_mean(whole, 255)
    if key == "landslide" and level == 0:
        whole = np.where(whole == 255, np.nan, whole)
    np.testing.assert_array_equal(extract.values[0], whole[extract.window.slices])


def test_the_picture_covers_the_view(region):
    view = view_of(region.grid, 20)
    left, bottom, right, top = read_view(region.layers["slope"], view).bounds
    assert left <= view.left
    assert bottom <= view.bottom
    assert right >= view.right
    assert top >= view.top


@pytest.mark.parametrize("level", [0, 1, 2])
def test_clear_pixels_alone_are_seen_from_afar(region, level):
    layer = region.layers["composite 2024-02-01 post"]
    extract = read_view(layer, view_of(region.grid, 10 * 2**level, x=0.35, y=0.55))
    assert extract.level == level
    clear = region.arrays["valid"][1] == 1
    assert not clear.all()
    for band, values in zip((2, 1, 0), extract.values, strict=True):
        whole = region.arrays["reflectance"][1, band].astype(np.float32)
        whole[~clear] = np.nan
        for _ in range(level):
            whole = reduction.halve_mean(whole, np.nan)
        np.testing.assert_array_equal(values, whole[extract.window.slices])
    assert not np.isfinite(extract.values[0]).all()
    single = read_view(
        region.layers["reflectance 2024-02-01 post green"],
        view_of(region.grid, 10 * 2**level, x=0.35, y=0.55),
    )
    np.testing.assert_array_equal(single.values[0], extract.values[1])


def test_what_is_there_is_not_read_again(region):
    layer = region.layers["elevation"]
    first = read_view(layer, view_of(region.grid, 10))
    for step, x, kept in ((10, 0.41, True), (8, 0.4, True), (10, 0.45, False), (20, 0.4, False),
                          (10, 9.0, False)):  # fmt: skip
        again = read_view(layer, view_of(region.grid, step, x=x), first)
        assert (again is first) == kept, (step, x)


def test_the_legend_is_of_what_is_in_sight(region):
    wide = read_view(region.layers["lithology"], view_of(region.grid, 10))
    near = view_of(region.grid, 2)
    seen = in_sight(wide, near)
    direct = window.window_of(region.grid, near, 0.0)
    assert seen.window == direct != wide.window
    np.testing.assert_array_equal(seen.values[0], region.arrays["lithology"][direct.slices])
    assert in_sight(wide, view_of(region.grid, 10, x=9)).values[0].size == 0


def test_beyond_the_region_there_is_nothing(region):
    for key in ("elevation", "hillshade", "errors good"):
        extract = read_view(region.layers[key], view_of(region.grid, 10, x=9))
        assert extract.values[0].size == 0


@settings(max_examples=200, deadline=None)
@given(
    st.floats(1e-3, 1e5), st.integers(1, 8000), st.integers(1, 5000), st.floats(-0.5, 1.5),
    st.floats(-0.5, 1.5),
)  # fmt: skip
@example(10.0, 8000, 5000, 0.5, 0.5)
def test_never_more_pixels_than_the_limit(step, width, height, x, y):
    layer = Layer(
        "e", "e", "Terrain", "continuous",
        Pyramid("nowhere", (Raster("nowhere", "elevation"),), "mean", VENETO),
    )  # fmt: skip
    _, part = place(layer, view_of(VENETO, step, width, height, x, y))
    assert part.height * part.width <= window.MAX_PIXELS


def test_an_elongated_window_takes_the_level_that_its_finer_axis_allows():
    layer = Layer(
        "e", "e", "Terrain", "continuous",
        Pyramid("nowhere", (Raster("nowhere", "elevation"),), "mean", VENETO),
    )  # fmt: skip
    level, _ = place(layer, view_of(VENETO, 40, 1000, 700))
    assert level == 2


def test_directions_point_to_the_ring_pixel():
    offsets = ring_offsets(3)
    index = np.arange(len(offsets) + 1, dtype=np.uint8)[None]
    degrees = window.directions(index, 3)[0]
    assert degrees[0] == 0
    east = next(i for i, (dy, dx) in enumerate(offsets) if (dy, dx) == (0, 3))
    assert degrees[east] == 90
    assert np.isnan(degrees[-1])


def test_relief_is_that_of_the_whole_level(region):
    layer = region.layers["hillshade"]
    whole = read_view(layer, view_of(region.grid, 10, 400, 400, 0.5, 0.5))
    part = read_view(layer, view_of(region.grid, 10))
    assert part.window.shape != whole.window.shape
    inner = part.window.relative_to(whole.window)
    np.testing.assert_array_equal(part.values[0], whole.values[0][inner.slices])
    assert np.isfinite(whole.values[0][0, :100]).all()  # also at the edge of the raster


@pytest.mark.parametrize("step", [1, 40])
def test_scaled_numbers_are_read_as_what_they_stand_for(region, step):
    view = view_of(region.grid, step)
    spread = read_view(region.layers["probability_std good"], view).values[0]
    probability = read_view(region.layers["probability good"], view).values[0]
    np.testing.assert_allclose(spread, probability, atol=0.5 / 250 + 1e-6)
