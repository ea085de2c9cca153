"""Images: offsets, masks, mosaics, choice and composite, whatever window they are read in."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers the accessor `rio`
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyproj import Transformer

from landslide_dist.config.imagery import ReflectanceConfig
from landslide_dist.config.sources import Sources
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.sources import open_imagery
from landslide_dist.sources.acquisition import Acquisition, overview_grid
from landslide_dist.sources.imagery import open_images
from landslide_dist.sources.scene import Scene

from .conftest import UTM, whole

BANDS = ("red", "nir")
#: Covers conftest's grid in the neighbouring zone, where it is turned by some degrees.
NEIGHBOUR = "EPSG:32633"


@pytest.fixture
def image(grid, write_raster):
    """An image of plain files on the grid's own pixels."""

    def make(red, nir=None, scl=None, transform=grid.transform, name="", crs=UTM, **settings):
        red = np.asarray(red)
        files = {"red": red, "nir": red if nir is None else np.asarray(nir)}
        paths = {
            band: write_raster(v, transform, crs, name=f"{name}{band}.tif")
            for band, v in files.items()
        }
        source = {"kind": "files", "bands": paths}
        if scl is not None:
            source["scl"] = write_raster(np.asarray(scl, np.uint8), transform, crs, f"{name}s.tif")
        return {"role": "post", "source": source | settings}

    return make


def opened(grid, *images, **settings):
    tree = {"bands": BANDS, "boa_offset": 1000, "images": images} | settings
    return open_images(ReflectanceConfig.model_validate(tree), grid)


def random_numbers(shape, seed=0):
    return np.random.default_rng(seed).integers(1001, 9000, shape, dtype=np.uint16)


class TestValues:
    def test_offset_nodata_and_clamp(self, grid, image):
        red = np.full(grid.shape, 3000, np.uint16)
        red[0, :5] = [0, 1, 999, 1000, 1001]
        nir = np.full(grid.shape, 4000, np.uint16)
        nir[1, 0] = 0
        values, valid = whole(opened(grid, image(red, nir)), grid)
        assert (values.shape, values.dtype) == ((1, 2, 60, 80), np.uint16)
        assert (valid.shape, valid.dtype) == ((1, 60, 80), np.uint8)
        np.testing.assert_array_equal(values[0, 0, 0, :6], [0, 1, 1, 1, 1, 2000])
        np.testing.assert_array_equal(valid[0, 0, :6], [0, 1, 1, 1, 1, 1])
        # One band without data: the other keeps its value, the pixel is not valid.
        assert (values[0, 0, 1, 0], values[0, 1, 1, 0], valid[0, 1, 0]) == (2000, 0, 0)

    def test_masked_classes_keep_their_reflectance(self, grid, image):
        scl = np.full(grid.shape, 4)
        scl[0, :12] = np.arange(12)
        picture = image(random_numbers(grid.shape), scl=scl)
        picture["min_clear"] = 0.5
        values, valid = whole(opened(grid, picture), grid)
        assert (values > 0).all()
        assert valid[0, 0, :12].tolist() == [0, 0, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0]
        other = whole(opened(grid, picture, masked_classes=(0, 5)), grid)[1]
        assert other[0, 0, :12].tolist() == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1]

    def test_an_image_may_have_an_offset_of_its_own(self, grid, image):
        picture = image(np.full(grid.shape, 3000, np.uint16))
        assert (whole(opened(grid, picture | {"boa_offset": 0}), grid)[0] == 3000).all()

    def test_resampled_values_are_shifted_before_and_holes_do_not_bleed(self, grid, image):
        numbers = np.full((90, 120), 1500, np.uint16)
        numbers[np.random.default_rng(1).random(numbers.shape) < 0.2] = 0
        shifted = Affine(8, 0, 499_897, 0, -8, 5_000_049)
        picture = image(numbers, transform=shifted, nodata=0) | {"min_clear": 0}
        values, valid = whole(opened(grid, picture), grid)
        assert set(np.unique(values)) == {0, 500}
        np.testing.assert_array_equal(valid[0], (values[0] == 500).all(axis=0))

    def test_bands_of_20_m_are_interpolated_and_classes_are_not(self, grid, write_raster):
        coarse = Affine(20, 0, 500_000, 0, -20, 5_000_000)
        ramp = np.tile(np.arange(40, dtype=np.uint16) * 100 + 2000, (30, 1))
        scl = np.random.default_rng(2).choice([4, 9], (30, 40)).astype(np.uint8)
        source = {
            "kind": "files",
            "bands": {
                "red": write_raster(np.full(grid.shape, 5000, np.uint16), grid.transform),
                "nir": write_raster(ramp, coarse, name="nir.tif"),
            },
            "scl": write_raster(scl, coarse, name="scl.tif"),
        }
        picture = {"role": "pre", "min_clear": 0, "source": source}
        values, valid = whole(opened(grid, picture), grid)
        expected = 1000 + (np.arange(80) / 2 - 0.25) * 100
        np.testing.assert_array_equal(values[0, 1, 5, 1:-1], expected[1:-1])
        np.testing.assert_array_equal(valid[0], np.kron(scl == 4, np.ones((2, 2))))

    def test_finer_bands_are_averaged(self, grid, image):
        fine = random_numbers((180, 240))
        picture = image(fine, transform=grid.transform @ Affine.scale(1 / 3))
        values, _ = whole(opened(grid, picture), grid)
        expected = fine.reshape(60, 3, 80, 3).mean(axis=(1, 3)) - 1000
        assert np.abs(values[0, 0] - expected).max() <= 0.5

    def test_files_that_state_scale_and_offset_are_not_unpacked(self, grid, write_raster):

        path = write_raster(np.full(grid.shape, 3000, np.uint16), grid.transform)
        with rasterio.open(path, "r+") as dataset:
            dataset.scales, dataset.offsets = (0.0001,), (-0.1,)
        source = {"kind": "files", "bands": {"red": path}}
        blocks = opened(grid, {"role": "pre", "source": source}, bands=["red"])
        assert (whole(blocks, grid)[0] == 2000).all()

    @pytest.mark.parametrize(
        ("values", "match"),
        [(np.float32(0.25), "holds 0.25 where digital numbers"),
         (np.int16(-9999), "holds -9999 where digital.*give the source's nodata"),
         (np.int32(70_000), "holds 70000 where")],
    )  # fmt: skip
    def test_what_is_no_digital_number(self, grid, image, values, match):
        with pytest.raises(DataError, match=match):
            whole(opened(grid, image(np.full(grid.shape, values))), grid)

    def test_whole_floats_and_stated_nodata(self, grid, image):
        red = np.full(grid.shape, 2500.0, np.float32)
        red[0, :2] = [np.nan, -9999]
        values, _ = whole(opened(grid, image(red, nodata=-9999)), grid)
        assert values[0, 0, 0, :3].tolist() == [0, 0, 1500]

    def test_given_nodata_counts_beside_what_the_file_states(self, grid, write_raster):
        red = np.full(grid.shape, 2500, np.int16)
        red[0, :3] = [-9999, -1, 0]
        path = write_raster(red, grid.transform, nodata=-9999)
        source = {"kind": "files", "bands": {"red": path}, "nodata": -1}
        blocks = opened(grid, {"role": "pre", "source": source}, bands=["red"])
        assert whole(blocks, grid)[0][0, 0, 0, :4].tolist() == [0, 0, 0, 1500]

    def test_what_is_no_class(self, grid, image):
        scl = np.full(grid.shape, 12)
        with pytest.raises(DataError, match="holds 12, which are no classes"):
            opened(grid, image(random_numbers(grid.shape), scl=scl))


def granule(write_raster, name, crs, transform, shape, seed, acquisition="a", cloud=0.0):
    """A scene of 10 m red, 20 m nir and 20 m classes, made of random numbers and clouds."""
    from landslide_dist.config.sources import RasterSource

    rng = np.random.default_rng(seed)
    half = (shape[0] // 2, shape[1] // 2)
    coarse = transform @ Affine.scale(2)
    red = random_numbers(shape, seed)
    red[rng.random(shape) < 0.05] = 0
    scl = np.where(rng.random(half) < cloud, 9, 4).astype(np.uint8)
    bands = {
        "red": write_raster(red, transform, crs, f"{name}_red.tif"),
        "nir": write_raster(random_numbers(half, seed + 50), coarse, crs, f"{name}_nir.tif"),
    }
    return Scene(
        name=name,
        day=None,
        acquisition=acquisition,
        order=("", 0.0, name),
        bands={band: RasterSource(path=path) for band, path in bands.items()},
        offsets={"red": 1000, "nir": 990},
        classes=RasterSource(path=write_raster(scl, coarse, crs, f"{name}_scl.tif")),
    )


def two_zones(write_raster, grid, num_px, cloud=0.3):
    """An acquisition of two granules that overlap, the second in the neighbouring UTM zone.

    The first covers the west of the grid, the second the east.
    """
    left, top = 500_003 - 3 * num_px, 5_000_003 + 2 * num_px
    first = granule(
        write_raster, "one", UTM, Affine(10, 0, left, 0, -10, top), (num_px, num_px), 1, cloud=cloud
    )
    x, y = Transformer.from_crs(UTM, NEIGHBOUR, always_xy=True).transform(
        500_000 + 3 * num_px, 5_000_000 + 2 * num_px
    )
    second = granule(
        write_raster, "two", NEIGHBOUR, Affine(10, 0, x, 0, -10, y),
        (num_px, num_px), 2, cloud=cloud,
    )  # fmt: skip
    return Acquisition(None, (first, second), grid, BANDS, (0, 9))


def with_tiles_of(acquisition, tile_px):
    """Several tiles; one of the usual size would hold a small grid as a whole."""
    for placed in acquisition.granules:
        for blocks in (*placed.bands, placed.classes):
            object.__setattr__(blocks.place, "tile_px", tile_px)
    return acquisition


class TestMosaics:
    def test_both_zones_are_on_the_grid(self, grid, write_raster):
        acquisition = two_zones(write_raster, grid, 100)
        assert [g.scene.name for g in acquisition.granules] == ["one", "two"]
        shares = [g.read(Window(0, 0, *grid.shape))[1].mean() for g in acquisition.granules]
        assert all(0.1 < share < 0.75 for share in shares)

    def test_a_pixel_is_whole_and_from_the_best_granule(self, grid, write_raster):
        acquisition = two_zones(write_raster, grid, 100)
        window = Window(0, 0, *grid.shape)
        values, clear = acquisition.read(window)
        (one, one_clear), (two, two_clear) = (g.read(window) for g in acquisition.granules)
        np.testing.assert_array_equal(clear, one_clear | two_clear)
        np.testing.assert_array_equal(values[:, one_clear], one[:, one_clear])
        second = two_clear & ~one_clear
        np.testing.assert_array_equal(values[:, second], two[:, second])
        neither = ~one_clear & ~two_clear
        from_one = (values == one).all(axis=0)
        assert (from_one | (values == two).all(axis=0))[neither].all()
        complete = (one > 0).all(axis=0)
        assert from_one[neither & complete].all()
        assert (neither & complete & (values > 0).all(axis=0)).any()

    @settings(max_examples=25, deadline=None,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(data=st.data())
    def test_a_block_equals_the_whole_bit_for_bit(self, data, grid, write_raster):
        acquisition = with_tiles_of(two_zones(write_raster, grid, 100), 32)
        values, clear = acquisition.read(Window(0, 0, *grid.shape))
        window = data.draw(
            st.tuples(st.integers(0, 59), st.integers(0, 79), st.integers(1, 60),
                      st.integers(1, 80)).map(lambda w: Window(*w).clip(grid.shape))
        )  # fmt: skip
        part, part_clear = acquisition.read(window)
        np.testing.assert_array_equal(part, values[:, *window.slices])
        np.testing.assert_array_equal(part_clear, clear[window.slices])

    def test_granules_beside_the_grid_are_left_out(self, grid, write_raster):
        far = granule(
            write_raster, "far", UTM, Affine(10, 0, 600_000, 0, -10, 5_000_000), (20, 20), 3
        )
        both = (*two_zones(write_raster, grid, 100).scenes, far)
        acquisition = Acquisition(None, both, grid, BANDS, (0, 9))
        assert [placed.scene.name for placed in acquisition.granules] == ["one", "two"]
        beside = Acquisition(None, (far,), grid, BANDS, (0, 9))
        assert not beside.overview().any()
        assert not beside.read(Window(0, 0, 10, 10))[1].any()


def stack(tmp_path, days, numbers, scl, name="stack.nc"):
    """A netCDF file on conftest's grid; ``numbers`` and ``scl`` of shape (time, y, x)."""

    y, x = 5_000_000 - 10 * np.arange(60) - 5.0, 500_000 + 10 * np.arange(80) + 5.0
    arrays = {
        variable: (("time", "y", "x"), values, {"grid_mapping": "spatial_ref"})
        for variable, values in (("B04", numbers), ("B08", numbers + 1), ("SCL", scl))
    }
    times = np.array(days, "datetime64[ns]")
    ds = xr.Dataset(arrays, {"time": times, "y": y, "x": x}).rio.write_crs(UTM)
    ds.to_netcdf(tmp_path / name)
    return str(tmp_path / name)


DAYS = ["2023-05-01", "2023-05-08", "2023-05-15", "2023-05-16", "2023-05-17", "2023-05-24"]
#: Share of each that is clear, in rows of 60.
CLEAR_ROWS = [60, 57, 30, 60, 45, 60]


@pytest.fixture
def six_days(tmp_path):
    scl = np.full((6, 60, 80), 9, np.int16)
    for day, rows in zip(scl, CLEAR_ROWS, strict=True):
        day[:rows] = 4
    return stack(tmp_path, DAYS, np.stack([random_numbers((60, 80), i) for i in range(6)]), scl)


class TestChoice:
    def choose(self, grid, path, role, masked=(0, 1, 3, 8, 9, 10, 11), **image):
        image = {"role": role, "source": {"kind": "stack", "path": path}} | image
        settings = {"event_date": "2023-05-16", "masked_classes": masked}
        return opened(grid, image, **settings).steps[0]

    @pytest.mark.parametrize(
        ("role", "min_clear", "day", "share"),
        [("pre", 0.9, "2023-05-08", 0.95), ("pre", 0.5, "2023-05-15", 0.5),
         ("pre", 0.96, "2023-05-01", 1.0), ("post", 0.9, "2023-05-24", 1.0),
         ("post", 0.75, "2023-05-17", 0.75)],
    )  # fmt: skip
    def test_nearest_that_is_clear_enough(self, grid, six_days, role, min_clear, day, share):
        step = self.choose(grid, six_days, role, min_clear=min_clear)
        assert (step.day, step.clear_share) == (day, share)

    def test_the_day_of_the_event_counts_for_neither(self, grid, six_days):
        window = ["2023-05-15", "2023-05-20"]
        for role, day in (("pre", "2023-05-15"), ("post", "2023-05-17")):
            assert self.choose(grid, six_days, role, window=window, min_clear=0).day == day

    def test_without_an_event_the_windows_inner_end_is_nearest(self, grid, six_days):
        source = {"kind": "stack", "path": six_days}
        window = ["2023-05-08", "2023-05-16"]
        images = [
            {"role": role, "window": window, "min_clear": 0.9, "source": source}
            for role in ("pre", "post")
        ]
        assert opened(grid, *images).coords["time"] == ("2023-05-16", "2023-05-08")

    def test_none_is_clear_enough(self, grid, six_days):
        match = (
            r"images.0 \(pre, pair 0\): the best of 2 acquisitions of 2023-05-08 to 2023-05-15, of "
            r"2023-05-08, is clear on 95.0% of the grid, less than min_clear 0.99; widen"
        )
        with pytest.raises(DataError, match=match):
            self.choose(grid, six_days, "pre", min_clear=0.99, window=["2023-05-08", "2023-05-20"])

    def test_none_lies_on_the_grid(self, six_days):
        elsewhere = Grid(UTM, Affine(10, 0, 700_000, 0, -10, 5_000_000), (20, 20))
        for composite in ("nearest", "median"):
            with pytest.raises(DataError, match="no scene of .* has pixels on the grid"):
                self.choose(elsewhere, six_days, "pre", composite=composite, min_clear=0)

    def test_pixels_outside_every_scene_are_not_clear(self, six_days):
        larger = Grid(UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000), (120, 80))
        for masked in ((0, 9), (9,)):
            settings = {"min_clear": 0.2, "window": DAYS[-1:] * 2}
            step = self.choose(larger, six_days, "post", masked, **settings)
            assert step.clear_share == 0.5


def test_the_overview_is_every_kth_pixel(write_raster):
    """Of a grid whose sides are no multiples of it."""
    for side, every in ((1030, 3), (2000, 4), (500, 1)):
        grid = Grid(UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000), (side, side - 13))
        coarse = overview_grid(grid)
        assert coarse.shape == (side // every, (side - 13) // every)
        np.testing.assert_allclose(coarse.x[:9], grid.x[every // 2 :: every][:9], atol=1e-6)
        np.testing.assert_allclose(coarse.y[:9], grid.y[every // 2 :: every][:9], atol=1e-6)
        assert coarse.x[-1] < grid.x[-1] + 1e-6


def test_the_clear_share_of_a_large_grid_is_counted_on_the_overview(write_raster):
    grid = Grid(UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000), (1030, 1017))
    scl = np.random.default_rng(3).choice([4, 9], grid.shape).astype(np.uint8)
    source = {
        "kind": "files",
        "bands": {"red": write_raster(np.ones(grid.shape, np.uint8), grid.transform)},
        "scl": write_raster(scl, grid.transform, name="scl.tif"),
    }
    step = opened(grid, {"role": "pre", "min_clear": 0, "source": source}, bands=["red"]).steps[0]
    assert step.clear_share == (scl[1::3, 1::3][:343, :339] == 4).mean()


class TestMedian:
    def test_over_the_clear_pixels(self, grid, tmp_path):
        rng = np.random.default_rng(4)
        numbers = rng.integers(1001, 65_535, (6, 60, 80)).astype(np.int32)
        numbers[rng.random(numbers.shape) < 0.1] = 0
        scl = rng.choice([4, 9], numbers.shape).astype(np.int16)
        path = stack(tmp_path, DAYS, numbers, scl)
        image = {
            "role": "pre", "composite": "median", "source": {"kind": "stack", "path": path},
        }  # fmt: skip
        blocks = opened(grid, image, bands=["red"])
        values, valid = whole(blocks, grid)
        clear = (numbers > 0) & (scl == 4)
        masked = np.ma.masked_array(numbers - 1000.0, ~clear)
        expected = np.rint(np.ma.median(masked, axis=0).filled(0))
        np.testing.assert_array_equal(values[0, 0], expected)
        np.testing.assert_array_equal(valid[0], clear.any(axis=0))
        assert 0.9 < valid.mean() < 1
        assert blocks.coords["time"] == ("2023-05-15",)
        # The overview goes by the classification alone.
        assert blocks.steps[0].clear_share == (scl == 4).any(axis=0).mean()

    def test_too_few_clear_pixels(self, grid, tmp_path):
        scl = np.full((6, 60, 80), 9, np.int16)
        scl[:, :10] = 4
        path = stack(tmp_path, DAYS, np.full(scl.shape, 2000, np.int16), scl)
        image = {"role": "pre", "composite": "median", "source": {"kind": "stack", "path": path}}
        with pytest.raises(DataError, match="the median of 6 acquisitions.* clear on 16.7%"):
            opened(grid, image)

    def test_blocks_across_tiles_equal_the_whole(self, write_raster):
        """A large grid at a slant to its two granules; two acquisitions."""
        grid = Grid(UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000), (560, 600))
        from landslide_dist.config.imagery import ImageConfig
        from landslide_dist.sources.imagery import TimeStep

        config = ImageConfig.model_validate(
            {"role": "pre", "composite": "median", "source": {"kind": "stac", "path": "-"}}
        )
        one = two_zones(write_raster, grid, 600)
        other = Acquisition(None, one.scenes[1:], grid, BANDS, (0, 9))
        step = TimeStep(config, (one, other), 1.0)
        values, clear = step.read(Window(0, 0, *grid.shape))
        assert 0.2 < clear.mean() < 1
        for window in (Window(500, 490, 60, 30), Window(3, 7, 510, 9), Window(511, 511, 2, 2)):
            part, part_clear = step.read(window)
            np.testing.assert_array_equal(part, values[:, *window.slices])
            np.testing.assert_array_equal(part_clear, clear[window.slices])


def test_images_travel_to_workers_and_threads(grid, six_days, image):
    stacked = {"role": "pre", "min_clear": 0, "source": {"kind": "stack", "path": six_days}}
    plain = image(random_numbers((90, 120)), transform=Affine(8, 0, 499_900, 0, -8, 5_000_100))
    blocks = pickle.loads(pickle.dumps(opened(grid, stacked, plain)))
    reference, valid = whole(blocks, grid)
    with ThreadPoolExecutor(4) as pool:
        windows = list(grid.windows(24))
        for window, (part, clear) in zip(windows, pool.map(blocks.read, windows), strict=True):
            np.testing.assert_array_equal(part, reference[:, :, *window.slices])
            np.testing.assert_array_equal(clear, valid[:, *window.slices])


def test_coordinates_variables_and_provenance(grid, six_days, image):
    stacked = {
        "role": "pre", "pair": 3, "min_clear": 0, "source": {"kind": "stack", "path": six_days},
    }  # fmt: skip
    plain = image(random_numbers(grid.shape))
    blocks = opened(grid, stacked, plain)
    assert blocks.coords == {
        "time": ("2023-05-24", "unknown"), "role": ("pre", "post"), "pair": (3, 0), "band": BANDS,
    }  # fmt: skip
    reflectance, valid = blocks.variables
    assert reflectance.dims == ("time", "band", "y", "x")
    assert (reflectance.leading_shape, valid.leading_shape) == ((2, 2), (2,))
    first, second = blocks.provenance()
    assert first["scenes"] == [
        {"name": "stack.nc time 5", "date": "2023-05-24", "boa_offset": {"red": 1000, "nir": 1000}}
    ]
    assert (first["clear_share"], first["date"], len(first["files"])) == (1.0, "2023-05-24", 1)
    assert [file["path"] for file in second["files"]] == list(plain["source"]["bands"].values())
    assert all(file["size"] > 1000 and file["mtime"] for file in second["files"])


def test_open_imagery_of_a_run(grid, write_raster, image, configure):
    dem = {"path": write_raster(np.ones(grid.shape, np.float32), grid.transform)}
    assert open_imagery(configure({"elevation": dem}), grid) is None
    settings = {
        "bands": BANDS, "boa_offset": 0, "images": [image(random_numbers(grid.shape))],
    }  # fmt: skip
    blocks = open_imagery(configure({"elevation": dem, "reflectance": settings}), grid)
    np.testing.assert_array_equal(whole(blocks, grid)[0][0, 0], random_numbers(grid.shape))


class TestConfig:
    def refuse(self, match, **settings):
        source = {"kind": "stac", "path": "items.json"}
        tree = {"images": [{"role": "pre", "source": source}]} | settings
        with pytest.raises(ValidationError, match=match):
            ReflectanceConfig.model_validate(tree)

    def test_bands(self):
        self.refuse("cannot be bands: give some of coastal, blue", bands=["red", "B04"])
        self.refuse("each once", bands=["red", "red"])

    def test_windows(self):
        image = {"role": "pre", "source": {"kind": "stac", "path": "-"}}
        backwards = image | {"window": ["2023-05-02", "2023-05-01"]}
        self.refuse("window ends .2023-05-01. before it begins", images=[backwards])
        late = image | {"window": ["2023-05-16", "2023-06-01"]}
        self.refuse(
            "images.0: no day of its window is before 2023-05-16",
            images=[late], event_date="2023-05-16",
        )  # fmt: skip

    def test_pairs(self):
        image = {"role": "pre", "source": {"kind": "stac", "path": "-"}}
        self.refuse("two images are pre of pair 0", images=[image, image])

    def test_files_name_every_band(self):
        source = {"kind": "files", "bands": {"red": "a.tif", "infrared": "b.tif"}}
        images = [{"role": "pre", "source": source}]
        self.refuse("source.bands lacks nir", images=images, bands=["red", "nir"])
        self.refuse(r"\['infrared'\] are not bands", images=images, bands=["red"])

    def test_synthetic_regions_have_no_images(self):
        images = [{"role": "pre", "source": {"kind": "stac", "path": "-"}}]
        with pytest.raises(ValidationError, match="either synthetic or files"):
            Sources.model_validate({"synthetic": {}, "reflectance": {"images": images}})


def test_plain_files_do_not_tell_their_offset(grid, image):
    picture = image(random_numbers(grid.shape))
    with pytest.raises(ConfigError, match=r"red.tif.* boa_offset: 1000 .*or 0"):
        opened(grid, picture, boa_offset="metadata")


def test_dated_files_outside_the_window(grid, image):
    picture = image(random_numbers(grid.shape), date="2023-05-01")
    assert opened(grid, picture).coords["time"] == ("2023-05-01",)
    with pytest.raises(DataError, match="its 1 are of 2023-05-01 to 2023-05-01; change"):
        opened(grid, picture, event_date="2023-05-16")


def test_a_missing_file(grid, image, tmp_path):
    picture = image(random_numbers(grid.shape))
    picture["source"]["bands"]["nir"] = str(tmp_path / "nowhere.tif")
    with pytest.raises(DataError, match="nowhere.tif.*No such file"):
        opened(grid, picture)


@pytest.mark.shared_data
class TestRealData:
    def test_italy(self, shared_data):
        """The nominal dates before and after are fully cloudy; the pair found is not."""

        path = str(shared_data / "sen12_italy" / "italy_s2_4120.nc")
        grid = Grid.from_bounds(UTM, 10, (705_275, 4_911_365, 706_555, 4_912_645))
        source = {"kind": "stack", "path": path}
        images = [
            {"role": "pre", "window": ["2023-04-01", "2023-05-16"], "source": source},
            {"role": "post", "window": ["2023-05-16", "2023-06-30"], "source": source},
        ]
        settings = {"bands": ["red", "nir08"], "boa_offset": 0, "event_date": "2023-05-16"}
        blocks = opened(grid, *images, **settings)
        assert blocks.coords["time"] == ("2023-04-28", "2023-05-23")
        assert [step.clear_share for step in blocks.steps] == [1 - 64 / 128**2, 1]
        values, valid = whole(blocks, grid)
        with xr.open_dataset(path) as ds:
            for step, time in enumerate((6, 9)):
                at = ds.isel(time=time).transpose("y", "x")
                np.testing.assert_array_equal(values[step, 0], at.B04)
                np.testing.assert_array_equal(values[step, 1], at.B8A)
                clear = ~at.SCL.isin([0, 1, 3, 8, 9, 10, 11])
                np.testing.assert_array_equal(valid[step], clear)
        cloudy = images[0] | {"window": ["2023-05-10", "2023-05-16"]}
        with pytest.raises(DataError, match="2023-05-13, is clear on 0.0% of the grid"):
            opened(grid, cloudy, **settings)

    def test_hokkaido(self, shared_data):
        folder = shared_data / "hokkaido_atsuma"
        grid = Grid.from_bounds("EPSG:32654", 10, (574_000, 4_727_000, 580_000, 4_733_000))
        images = [
            {"role": role, "min_clear": share, "source": {
                "kind": "files",
                "bands": {
                    band: str(folder / f"{role}_{number}.tif")
                    for band, number in (("red", "B4"), ("green", "B3"), ("blue", "B2"))
                },
            }}
            for role, share in (("pre", 0.3), ("post", 0.99))
        ]  # fmt: skip
        blocks = opened(grid, *images, bands=["red", "green", "blue"], boa_offset=0)
        values, valid = whole(blocks, grid)
        assert blocks.coords["time"] == ("unknown", "unknown")
        for step, clear in zip(blocks.steps, valid, strict=True):
            assert step.clear_share == pytest.approx(clear.mean(), abs=0.005)
        np.testing.assert_array_equal(valid == 1, (values > 0).all(axis=1))
        window = Window(100, 300, 200, 250)
        np.testing.assert_array_equal(blocks.read(window)[0], values[:, :, *window.slices])
