"""The target grid: a raster's own, or what is given beside it."""

import numpy as np
import pytest
from affine import Affine

from landslide_dist.config.cube import GridConfig
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.target import open_grid

from .conftest import UTM

ODD = Affine(10, 0, 500_003.7, 0, -10, 5_000_001.2)


@pytest.fixture
def path(write_raster):
    return write_raster(np.ones((60, 80), np.uint8), ODD)


def test_like_a_raster(path):
    grid = open_grid(GridConfig(like=path))
    assert (grid.crs, grid.transform, grid.shape) == (UTM, ODD, (60, 80))
    assert open_grid(GridConfig(like=path, crs=UTM, pixel_m=10)) == grid


def test_bounds_beside_it_keep_its_pixels(path):
    grid = open_grid(GridConfig(like=path, bounds=(500_100, 4_999_500, 500_200, 5_000_100)))
    assert grid.shape == (61, 11)
    assert tuple(grid.transform)[:6] == pytest.approx((10, 0, 500_093.7, 0, -10, 5_000_101.2))
    inside = open_grid(GridConfig(like=path, bounds=open_grid(GridConfig(like=path)).bounds))
    assert inside.shape == (60, 80)


def test_another_pixel_size_keeps_its_corner(path):
    grid = open_grid(GridConfig(like=path, pixel_m=30))
    assert (grid.transform.c, grid.transform.f, grid.shape) == (ODD.c, ODD.f, (20, 27))


def test_another_crs_is_snapped_to_whole_pixels(path):
    grid = open_grid(GridConfig(like=path, crs="EPSG:3035", pixel_m=25))
    assert grid.crs == "EPSG:3035"
    assert all(edge % 25 == 0 for edge in grid.bounds)
    assert (24, 32) <= grid.shape <= (40, 48)
    with pytest.raises(ConfigError, match="another CRS than EPSG:3035; give pixel_m"):
        open_grid(GridConfig(like=path, crs="EPSG:3035"))


def test_degrees_and_oblong_pixels(write_raster):
    degrees = write_raster(np.ones((60, 80)), Affine(1e-4, 0, 9, 0, -1e-4, 45), crs="EPSG:4326")
    with pytest.raises(ConfigError, match="not projected in metres; give cube.grid.crs"):
        open_grid(GridConfig(like=degrees))
    grid = open_grid(GridConfig(like=degrees, crs=UTM, pixel_m=10))
    assert grid.shape == (68, 64)
    oblong = write_raster(np.ones((60, 80)), Affine(10, 0, 5e5, 0, -12, 5e6))
    with pytest.raises(ConfigError, match="square pixels are needed: give cube.grid.pixel_m"):
        open_grid(GridConfig(like=oblong))
    assert open_grid(GridConfig(like=oblong, pixel_m=12)).shape == (60, 67)


def test_crs_pixel_size_and_bounds():
    grid = open_grid(GridConfig(crs=UTM, pixel_m=20, bounds=(5e5, 4.99e6, 5.01e5, 5e6)))
    assert (grid.shape, grid.pixel_m) == ((500, 50), 20)
    with pytest.raises(ConfigError, match="EPSG:1' is not known"):
        open_grid(GridConfig(crs="EPSG:1", pixel_m=20, bounds=(5e5, 4.99e6, 5.01e5, 5e6)))


def test_missing_raster(tmp_path):
    with pytest.raises(DataError, match="nowhere.tif"):
        open_grid(GridConfig(like=str(tmp_path / "nowhere.tif")))


def test_a_crs_that_is_not_true_to_scale_is_refused(write_raster):
    """At 46 degrees north 10 m of Web Mercator are 7 m."""
    bounds = (1.11e6, 5.78e6, 1.112e6, 5.782e6)
    with pytest.raises(ConfigError) as refused:
        open_grid(GridConfig(crs="EPSG:3857", pixel_m=10, bounds=bounds))
    assert "EPSG:3857 has scale factor 1.44 at the centre of the grid" in str(refused.value)
    assert "a pixel of 10 m is 6.95 m on the ground" in str(refused.value)
    assert "give crs EPSG:32632, with pixel_m" in str(refused.value)
    web = Affine(10, 0, 1.11e6, 0, -10, 5.782e6)
    path = write_raster(np.ones((60, 80), np.uint8), web, crs="EPSG:3857")
    for settings in ({}, {"pixel_m": 20}, {"bounds": bounds}):
        with pytest.raises(ConfigError, match=r"EPSG:3857 has scale factor 1\.44"):
            open_grid(GridConfig(like=path, **settings))
    assert open_grid(GridConfig(like=path, crs=UTM, pixel_m=10)).crs == UTM
    utm = write_raster(np.ones((60, 80), np.uint8), ODD)
    with pytest.raises(ConfigError, match=r"EPSG:3395 has scale factor 1\.4\d"):
        open_grid(GridConfig(like=utm, crs="EPSG:3395", pixel_m=10))


def test_near_the_pole_no_utm_zone_is_offered():
    bounds = (0, 2.9e7, 1e3, 2.9001e7)
    with pytest.raises(ConfigError, match="give crs a polar stereographic one"):
        open_grid(GridConfig(crs="EPSG:3857", pixel_m=10, bounds=bounds))
