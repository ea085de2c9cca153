import numpy as np
import pytest

from landslide_dist.config.categories import synthetic
from landslide_dist.grid import Window
from landslide_dist.sources import geology
from landslide_dist.sources.fractal import terrain_px

WINDOW = Window(0, 0, 1200, 1200)
NAMES = ("lithology", "land_cover", "rock_family", "rock_age")


@pytest.fixture(scope="module")
def maps():
    return {name: getattr(geology, name)(1, WINDOW) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_code_of_the_list_occurs_and_no_other(maps, name):
    assert set(np.unique(maps[name])) == {0, *synthetic()[name].codes}


@pytest.mark.parametrize("name", NAMES)
def test_about_two_percent_are_unknown(maps, name):
    assert 0.008 < (maps[name] == 0).mean() < 0.05


@pytest.mark.parametrize("name", NAMES)
def test_patches_are_larger_than_pixels(maps, name):
    along_rows = (maps[name][:, 1:] == maps[name][:, :-1]).mean()
    along_columns = (maps[name][1:] == maps[name][:-1]).mean()
    assert along_rows > 0.88
    assert along_rows == pytest.approx(along_columns, abs=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_any_window_holds_the_same_codes(maps, name):
    window = Window(777, 31, 60, 401)
    np.testing.assert_array_equal(getattr(geology, name)(1, window), maps[name][window.slices])


def test_family_and_age_follow_lithology(maps):
    granite = (maps["lithology"] == geology.GRANITE) & (maps["rock_family"] > 0)
    families = set(np.unique(maps["rock_family"][granite]))
    assert families == {geology.PLUTONIC, geology.METAMORPHIC}
    dolomite = (maps["lithology"] == geology.DOLOMITE) & (maps["rock_age"] > 0)
    usual = (maps["rock_age"][dolomite] == geology.TRIASSIC).mean()
    assert 0.4 < usual < 0.95
    assert set(np.unique(maps["rock_age"][dolomite])) == {geology.TRIASSIC, geology.JURASSIC}


def test_unknown_rocks_are_of_unknown_family(maps):
    gaps = (maps["lithology"] == 0) & (maps["rock_family"] > 0)
    assert (maps["rock_family"][gaps] == geology.UNKNOWN_FAMILY).all()


def test_forest_grows_higher_than_fields_and_towns(maps):
    height = terrain_px(1, WINDOW)
    mean = {code: height[maps["land_cover"] == code].mean() for code in (1, 2, 3)}
    assert mean[geology.FOREST] > mean[geology.AGRICULTURE] + 3
    assert mean[geology.FOREST] > mean[geology.ARTIFICIAL] + 3
