import numpy as np
import pytest

from landslide_dist.grid import Window
from landslide_dist.kernels.terrain import slope
from landslide_dist.sources.fractal import RIDGES, elevation, noise, terrain_px, uniform

WHOLE = Window(-40, 1000, 300, 260)


@pytest.mark.parametrize("part", [(0, 0, 1, 260), (299, 259, 1, 1), (17, 33, 101, 64)])
def test_any_window_holds_the_same_values(part):
    window = Window(WHOLE.y0 + part[0], WHOLE.x0 + part[1], *part[2:])
    inside = window.relative_to(WHOLE).slices
    np.testing.assert_array_equal(terrain_px(5, window), terrain_px(5, WHOLE)[inside])
    np.testing.assert_array_equal(uniform(5, 3, window), uniform(5, 3, WHOLE)[inside])


@pytest.mark.parametrize("wavelength_px", [4, 7, 64])
def test_noise_has_the_deviation_asked_for(wavelength_px):
    field = noise(1, 9, ((wavelength_px, 2.5),), Window(0, 0, 40 * wavelength_px + 9, 2500))
    assert abs(field.mean()) < 0.25
    assert field.std() == pytest.approx(2.5, rel=0.06)


def test_noise_is_smooth():
    field = noise(1, 9, ((64, 1.0),), Window(0, 0, 500, 500))
    assert np.abs(np.diff(field, axis=0)).max() < 0.1
    assert np.abs(np.diff(field, 2, axis=1)).max() < 0.01


def test_seeds_and_fields_are_independent():
    window = Window(0, 0, 400, 400)
    draws = [uniform(seed, field, window) for seed in (-1, 0, 2**60) for field in (0, 1)]
    correlations = np.corrcoef([draw.ravel() for draw in draws])
    assert np.abs(correlations - np.eye(len(draws))).max() < 0.02
    assert np.unique(draws[0]).size == draws[0].size
    for shifted in (draws[0][1:], draws[0][:, 1:]):
        same = draws[0][: shifted.shape[0], : shifted.shape[1]]
        assert abs(np.corrcoef(shifted.ravel(), same.ravel())[0, 1]) < 0.02


def test_terrain_looks_like_mountains():
    steepness_deg = slope(elevation(3, 10.0, Window(0, 0, 1000, 1000)), 10.0)
    low, middle, high = np.nanpercentile(steepness_deg, [5, 50, 95])
    assert low < 8
    assert 12 < middle < 30
    assert 35 < high < 60
    assert terrain_px(3, Window(10**6, -(10**6), 200, 200)).min() > 0


def test_slopes_do_not_depend_on_the_pixel_size():
    window = Window(0, 0, 64, 64)
    np.testing.assert_allclose(
        slope(elevation(3, 30.0, window), 30.0), slope(elevation(3, 10.0, window), 10.0), atol=0.01
    )


def test_fewer_ridges_keep_the_broad_shape():
    window = Window(0, 0, 512, 512)
    rough, smooth = terrain_px(0, window), terrain_px(0, window, num_ridges=1)
    assert len(RIDGES) > 1
    assert np.corrcoef(rough.ravel(), smooth.ravel())[0, 1] > 0.9
