"""Planes of an image pair: which images, what a mask takes away, what is beyond the raster."""

import numpy as np
import pytest
from affine import Affine

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.patches.pair import find_pairs, known, pair_reader
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

SHAPE = (40, 48)
GRID = Grid("EPSG:32632", Affine(10, 0, 600_000, 0, -10, 5_000_000), SHAPE)
ROLES = ("post", "pre", "pre", "post")
PAIRS = (1, 0, 1, 0)
INSIDE = Window(4, 8, 20, 30)


def make(location, roles=ROLES, pairs=PAIRS, dtype="uint16"):
    """A cube of four images in no order, whose values are random."""
    rng = np.random.default_rng(0)
    num = len(roles)
    arrays = {
        "elevation": rng.random(SHAPE, dtype=np.float32),
        "landslide": rng.integers(0, 2, SHAPE, dtype=np.uint8),
        "reflectance": rng.integers(1, 5000, (num, 2, *SHAPE), dtype=np.uint16),
        "valid": (rng.random((num, *SHAPE)) < 0.8).astype(np.uint8),
        "matched": rng.integers(1, 255, (num, 2, *SHAPE)).astype(dtype),
    }
    variables = [
        schema.ELEVATION,
        schema.LANDSLIDE,
        schema.reflectance(num, 2),
        schema.valid(num),
        schema.matched(num, 2, dtype),
    ]
    coordinates = {
        "time": np.arange(num),
        "band": ["red", "green"],
        "role": list(roles),
        "pair": list(pairs),
    }
    storage = StorageConfig(chunk_px=16, shard_px=16)
    cube.create(location, GRID, variables, storage, {}, coordinates)
    group = open_group(location, "r+")
    for window in cube.shard_windows(location):
        for name, array in arrays.items():
            cube.write_block(cube.array(group, name), window, array[(..., *window.slices)])
    return arrays


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    location = str(tmp_path_factory.mktemp("pair") / "cube.zarr")
    return location, make(location)


def reader(location, number=0, images="reflectance"):
    pair = next(p for p in find_pairs(location, images) if p.number == number)
    return pair_reader({"elevation": location, "landslide": location}, pair)


def test_pairs_are_found_whatever_the_order_of_their_images(made):
    pairs = find_pairs(made[0])
    assert [(p.number, p.pre, p.post) for p in pairs] == [(0, 1, 3), (1, 2, 0)]
    assert pairs[0].bands == ("red", "green")


@pytest.mark.parametrize("number", [0, 1])
def test_planes_are_those_of_the_pair_and_clouds_are_nodata(made, number):
    location, arrays = made
    pair = find_pairs(location)[number]
    read = reader(location, number).read(INSIDE)
    at = INSIDE.slices
    clear = (arrays["valid"][pair.pre] == 1) & (arrays["valid"][pair.post] == 1)
    for role, time in (("pre", pair.pre), ("post", pair.post)):
        for band, name in enumerate(("red", "green")):
            expected = np.where(clear, arrays["reflectance"][time, band], 0)[at]
            assert np.array_equal(read[f"{role}_{name}"], expected)
    assert np.array_equal(read["landslide"], np.where(clear, arrays["landslide"], 255)[at])
    assert np.array_equal(read["elevation"], arrays["elevation"][at])


def test_beyond_the_raster_is_nothing(made):
    read = reader(made[0]).read(Window(-5, -5, 10, 10))
    for name in ("pre_red", "post_green"):
        assert not read[name][:5].any()
        assert not read[name][:, :5].any()
    assert (read["landslide"][:5] == 255).all()


@pytest.mark.parametrize(("dtype", "planes"), [("uint8", "uint16"), ("float32", "float32")])
def test_matched_images_take_their_place(tmp_path, dtype, planes):
    location = str(tmp_path / "cube.zarr")
    arrays = make(location, dtype=dtype)
    pair = find_pairs(location, "matched")[0]
    read = reader(location, images="matched").read(INSIDE, ("pre_red", "landslide"))
    assert read["pre_red"].dtype == planes
    clear = read["landslide"] != 255
    expected = arrays["matched"][pair.pre, 0][INSIDE.slices]
    assert np.array_equal(read["pre_red"][clear], expected[clear].astype(planes))
    without = read["pre_red"][~clear]
    assert (np.isnan(without) if planes == "float32" else without == 0).all()


def test_what_is_not_asked_for_is_not_read(made):
    read = reader(made[0]).read(INSIDE, ("elevation",))
    assert list(read) == ["elevation"]


def test_half_a_pair_is_refused(tmp_path):
    location = str(tmp_path / "cube.zarr")
    make(location, roles=("pre", "pre", "post", "post"), pairs=(0, 1, 0, 2))
    with pytest.raises(DataError, match="pair 1 of cube .* has no post image"):
        find_pairs(location)


def test_known_pixels_have_ground_and_every_image():
    planes = {
        "elevation": np.array([1.0, np.nan, 1.0, 1.0, 1.0], np.float32),
        "pre_red": np.array([5, 5, 0, 5, 65535], np.uint16),
        "post_red": np.array([1.0, 1.0, 1.0, np.nan, 1.0], np.float32),
        "pre_rain": np.array([np.nan] * 5, np.float32),
    }
    images = ("pre_red", "post_red")
    assert known(planes, images).tolist() == [True, False, False, False, False]
    assert known(planes, ()).tolist() == [True, False, True, True, True]
