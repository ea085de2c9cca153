import shutil
import subprocess

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.kernels.terrain import aspect, hillshade, slope

PIXEL_M = 10.0


@pytest.fixture(scope="module")
def elevation():
    y, x = np.mgrid[:200, :180]
    rough = np.random.default_rng(0).random((200, 180)) * 30
    return (1500 + 200 * np.sin(x / 20) * np.cos(y / 30) + rough).astype(np.float32)


def gdaldem(mode, elevation, folder):
    if shutil.which("gdaldem") is None:
        pytest.skip("gdaldem (Debian: gdal-bin) is not installed")
    source, target = folder / "dem.tif", folder / "out.tif"
    with rasterio.open(
        source, "w", driver="GTiff", height=elevation.shape[0], width=elevation.shape[1], count=1,
        dtype="float32", crs="EPSG:32632", transform=Affine(PIXEL_M, 0, 0, 0, -PIXEL_M, 0),
    ) as file:  # fmt: skip
        file.write(elevation, 1)
    subprocess.run(["gdaldem", mode, "-q", source, target], check=True)
    with rasterio.open(target) as file:
        return file.read(1)[1:-1, 1:-1]


def test_slope_is_gdals(elevation, tmp_path):
    ours = slope(elevation, PIXEL_M)[1:-1, 1:-1]
    np.testing.assert_allclose(ours, gdaldem("slope", elevation, tmp_path), atol=1e-3)


def test_aspect_is_gdals(elevation, tmp_path):
    ours = aspect(elevation, PIXEL_M)[1:-1, 1:-1]
    apart = np.abs(ours - gdaldem("aspect", elevation, tmp_path))
    apart = np.minimum(apart, 360 - apart)
    # The direction of nearly flat ground hangs on the last bits of single precision.
    assert apart[slope(elevation, PIXEL_M)[1:-1, 1:-1] > 1].max() < 0.05


def test_hillshade_is_gdals(elevation, tmp_path):
    ours = 1 + 254 * hillshade(elevation, PIXEL_M)[1:-1, 1:-1]
    np.testing.assert_allclose(ours, gdaldem("hillshade", elevation, tmp_path), atol=1)


@pytest.mark.parametrize("degrees", [0, 0.01, 5, 30, 45, 45.001, 60, 89])
def test_planes_have_their_slope(degrees):
    ramp = np.tile(np.arange(7) * PIXEL_M * np.tan(np.radians(degrees)), (7, 1))
    np.testing.assert_allclose(slope(ramp, PIXEL_M)[1:-1, 1:-1], degrees, atol=1e-4)
    np.testing.assert_allclose(slope(ramp.T, PIXEL_M)[1:-1, 1:-1], degrees, atol=1e-4)


@pytest.mark.parametrize(
    ("down", "degrees"), [((-1, 0), 0), ((0, 1), 90), ((1, 0), 180), ((0, -1), 270)]
)
def test_aspect_points_downhill(down, degrees):
    y, x = np.mgrid[:5, :5].astype(float)
    falling = -(down[0] * y + down[1] * x)
    assert aspect(falling, 1.0)[2, 2] == degrees
    assert np.isnan(aspect(np.zeros((5, 5)), 1.0)).all()


def test_any_missing_neighbour_makes_nan():
    elevation = np.zeros((9, 9), np.float32)
    elevation[4, 4] = np.nan
    missing = np.isnan(slope(elevation, PIXEL_M))
    expected = np.ones((9, 9), bool)
    expected[1:-1, 1:-1] = False
    expected[3:6, 3:6] = True
    np.testing.assert_array_equal(missing, expected)
    np.testing.assert_array_equal(np.isnan(hillshade(elevation, PIXEL_M)), expected)


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
@pytest.mark.parametrize("kernel", [slope, aspect, hillshade])
def test_infinities_do_not_exist_either(kernel, infinity):
    elevation = np.tile(np.arange(9, dtype=np.float32), (9, 1))
    missing = elevation.copy()
    missing[4, 4] = np.nan
    elevation[4, 4] = infinity
    np.testing.assert_array_equal(kernel(elevation, PIXEL_M), kernel(missing, PIXEL_M))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_window_with_its_halo_gives_the_same_bits(data):
    elevation = np.random.default_rng(0).normal(1000, 200, (40, 200)).astype(np.float32)
    y0, x0 = data.draw(st.tuples(st.integers(0, 37), st.integers(0, 197)))
    y1, x1 = data.draw(st.tuples(st.integers(y0 + 3, 40), st.integers(x0 + 3, 200)))
    for kernel in (slope, aspect, hillshade):
        whole = kernel(elevation, PIXEL_M)[y0:y1, x0:x1][1:-1, 1:-1]
        part = kernel(elevation[y0:y1, x0:x1], PIXEL_M)[1:-1, 1:-1]
        np.testing.assert_array_equal(part.view(np.uint32), whole.copy().view(np.uint32))


def test_directions_lie_below_a_full_turn():
    # Falls so little to the west of north that 360 degrees less the angle rounds to 360.
    elevation = np.float32([[0, 0, 0], [0, 0, 1e-4], [4000, 4000, 4000]])
    assert aspect(elevation, PIXEL_M)[1, 1] == 0


def test_exaggerated_heights_are_shaded_as_heights():
    y, x = np.mgrid[:9, :9].astype(np.float32)
    elevation = 3 * y + x * x
    shade = hillshade(elevation, PIXEL_M, z_factor=2.0)
    np.testing.assert_allclose(shade, hillshade(2 * elevation, PIXEL_M), rtol=1e-6)
    flat = hillshade(elevation, PIXEL_M, altitude_deg=30.0, z_factor=0.0)
    np.testing.assert_allclose(flat[1:-1, 1:-1], 0.5, rtol=1e-6)


def test_rasters_of_less_than_three_pixels_have_no_slope():
    assert np.isnan(slope(np.zeros((2, 9), np.float32), PIXEL_M)).all()
