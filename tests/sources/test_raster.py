"""Rasters: exact where grids agree, resampled soundly where they do not, refused clearly."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import ELEVATION, LANDSLIDE, categorical
from landslide_dist.sources.raster import open_raster

from .conftest import UTM, whole

COVER = categorical("land_cover", {1: "forest", 2: "water", 5: "rock"})
#: Covers the grid of conftest in degrees, 0.0002 deg (16 x 22 m) a pixel.
DEGREES = Affine(0.0002, 0, 8.998, 0, -0.0002, 45.1545)


def windows_of(grid):
    return st.tuples(
        st.integers(0, grid.height - 1), st.integers(0, grid.width - 1),
        st.integers(1, grid.height), st.integers(1, grid.width),
    ).map(lambda w: Window(*w).clip(grid.shape))  # fmt: skip


def test_same_pixels_are_read_bit_for_bit(grid, write_raster):
    values = np.random.default_rng(0).normal(500, 300, grid.shape).astype(np.float32)
    source = open_raster(RasterSource(path=write_raster(values, grid.transform)), ELEVATION, grid)
    np.testing.assert_array_equal(whole(source, grid), values)
    window = Window(7, 11, 20, 30)
    np.testing.assert_array_equal(source.read(window), values[window.slices])


@pytest.mark.parametrize("shift", [(-5, -8), (5, 8), (-5, 70)])
def test_shared_pixels_with_another_origin(grid, write_raster, shift):
    values = np.arange(60 * 80, dtype=np.int16).reshape(60, 80)
    moved = grid.transform @ Affine.translation(shift[1], shift[0])
    source = open_raster(RasterSource(path=write_raster(values, moved)), ELEVATION, grid)
    expected = np.full((260, 280), np.nan, np.float32)
    expected[100 + shift[0] : 160 + shift[0], 100 + shift[1] : 180 + shift[1]] = values
    np.testing.assert_array_equal(whole(source, grid), expected[100:160, 100:180])


def test_half_a_pixel_beside_is_interpolated(grid, write_raster):
    columns = np.tile(np.arange(80, dtype=np.float32), (60, 1))
    path = write_raster(columns, grid.transform @ Affine.translation(-0.5, 0))
    config = RasterSource(path=path, resampling="bilinear")
    block = whole(open_raster(config, ELEVATION, grid), grid)
    np.testing.assert_allclose(block[:, :-1], columns[:, :-1] + 0.5, atol=1e-4)


def test_nodata_range_and_scale(grid, write_raster):
    values = np.full(grid.shape, 1000, np.int32)
    values[0, :4] = [-9999, 99_999, 5000, 0]
    path = write_raster(values, grid.transform, nodata=-9999)
    config = RasterSource(path=path, valid_range=(0, 5000), scale=0.1)
    np.testing.assert_array_equal(
        whole(open_raster(config, ELEVATION, grid), grid)[0, :5],
        np.array([np.nan, np.nan, 500, 0, 100], np.float32),
    )
    # A value given adds to what the file states: whoever gives 0 does not want -9999 m of it.
    given_nodata = RasterSource(path=path, nodata=0)
    top = whole(open_raster(given_nodata, ELEVATION, grid), grid)[0, :4]
    np.testing.assert_array_equal(top, np.array([np.nan, 99_999, 5000, np.nan], np.float32))


def test_given_nodata_counts_beside_a_mask(grid, write_raster):
    values = np.full(grid.shape, 700, np.float32)
    values[0, :3] = [500, 0, np.nan]
    path = write_raster(values, grid.transform)
    mask = np.ones(grid.shape, bool)
    mask[0, 0] = False
    with rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    for nodata, expected in [(None, [np.nan, 0, np.nan, 700]), (0, [np.nan, np.nan, np.nan, 700])]:
        source = open_raster(RasterSource(path=path, nodata=nodata), ELEVATION, grid)
        np.testing.assert_array_equal(whole(source, grid)[0, :4], np.array(expected, np.float32))


def test_packed_values_are_unpacked(grid, write_raster):
    path = write_raster(np.full(grid.shape, 50, np.int16), grid.transform)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.5,), (100.0,)
    source = open_raster(RasterSource(path=path), ELEVATION, grid)
    assert np.all(whole(source, grid) == 125)


def test_positions_are_exact_to_a_thousandth_of_a_pixel(grid, write_raster):
    """A raster that holds its own column numbers is sampled at the positions PROJ gives."""
    columns = np.tile(np.arange(100, dtype=np.float32), (80, 1))
    path = write_raster(columns, DEGREES, crs="EPSG:4326")
    config = RasterSource(path=path, resampling="bilinear")
    block = whole(open_raster(config, ELEVATION, grid), grid)
    x, y = np.meshgrid(grid.x, grid.y)
    lon, _ = Transformer.from_crs(UTM, 4326, always_xy=True).transform(x, y)
    np.testing.assert_allclose(block, (lon - DEGREES.c) / DEGREES.a - 0.5, atol=1e-3)


def test_out_of_range_values_do_not_bleed_into_their_neighbours(grid, write_raster):
    rng = np.random.default_rng(1)
    values = rng.uniform(100, 200, (80, 100)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = 32_767
    path = write_raster(values, DEGREES, crs="EPSG:4326")
    for method in ("bilinear", "average"):
        config = RasterSource(path=path, valid_range=(-500, 9000), resampling=method)
        block = whole(open_raster(config, ELEVATION, grid), grid)
        assert 0.5 < np.isfinite(block).mean() < 1
        assert 100 <= np.nanmin(block) < np.nanmax(block) <= 200


@pytest.mark.parametrize(
    ("source_m", "variable", "expected"),
    [(20, ELEVATION, "bilinear"), (5, ELEVATION, "average"), (20, COVER, "nearest"),
     (5, COVER, "mode")],
)  # fmt: skip
def test_resampling_by_default(grid, write_raster, source_m, variable, expected):
    size = 1200 // source_m
    values = np.ones((size, size), np.uint8)
    path = write_raster(values, Affine(source_m, 0, 499_900, 0, -source_m, 5_000_100))
    assert open_raster(RasterSource(path=path), variable, grid).resampling.name == expected


def test_average_of_whole_pixels(grid, write_raster):
    fine = np.random.default_rng(2).normal(size=(120, 160)).astype(np.float32)
    path = write_raster(fine, grid.transform @ Affine.scale(0.5))
    block = whole(open_raster(RasterSource(path=path), ELEVATION, grid), grid)
    expected = fine.reshape(60, 2, 80, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(block, expected, atol=1e-5)


def test_mode_counts_categories_after_their_mapping(grid, write_raster):
    """Three raster values, two of one category: together they outvote the third."""
    fine = np.tile(np.array([[10, 11, 20], [10, 11, 20], [20, 20, 10]], np.uint8), (60, 80))
    path = write_raster(fine, grid.transform @ Affine.scale(1 / 3))
    mapping = {10: "forest", 11: 1, 20: "water"}
    block = whole(open_raster(RasterSource(path=path, mapping=mapping), COVER, grid), grid)
    assert np.all(block == 1)
    unmerged = RasterSource(path=path, mapping={10: 1, 11: 5, 20: 2})
    assert np.all(whole(open_raster(unmerged, COVER, grid), grid) == 2)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "average", "mode"])
@settings(max_examples=25, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_a_block_equals_the_whole_raster_bit_for_bit(data, method, grid, write_raster):
    rng = np.random.default_rng(3)
    values = rng.normal(500, 300, (80, 100)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    path = write_raster(values, DEGREES, crs="EPSG:4326")
    config = RasterSource(path=path, resampling=method)
    source = open_raster(config, ELEVATION, grid)
    # Several tiles; one of the usual size would hold this whole grid.
    object.__setattr__(source.place, "tile_px", 32)
    reference = whole(source, grid)
    window = data.draw(windows_of(grid))
    np.testing.assert_array_equal(source.read(window), reference[window.slices])


def test_tiles_agree_with_one_warp_of_everything(grid, write_raster):
    """No seams: what one call of GDAL's warper makes of the whole grid, to float32 rounding."""
    large = Grid(grid.crs, grid.transform, (700, 900))
    rng = np.random.default_rng(4)
    values = rng.normal(500, 300, (400, 700)).astype(np.float32)
    path = write_raster(values, DEGREES, crs="EPSG:4326")
    for method in ("nearest", "bilinear", "average"):
        source = open_raster(RasterSource(path=path, resampling=method), ELEVATION, large)
        tiled = whole(source, large)
        object.__setattr__(source.place, "tile_px", 1024)
        one = whole(source, large)
        np.testing.assert_array_equal(np.isnan(tiled), np.isnan(one))
        np.testing.assert_allclose(tiled, one, rtol=0, atol=1e-3)


def test_much_finer_rasters_are_averaged_in_small_tiles(write_raster):
    coarse = Grid(UTM, Affine(3000, 0, 500_000, 0, -3000, 5_000_000), (4, 6))
    fine = np.random.default_rng(6).integers(0, 200, (900, 950), dtype=np.uint8)
    # Its last columns fill a sixth of a pixel, too little for its centre.
    path = write_raster(fine, Affine(10, 0, 503_000, 0, -10, 5_000_000), compress="deflate")
    source = open_raster(RasterSource(path=path), ELEVATION, coarse)
    assert source.place.tile_px <= 16
    expected = np.full(coarse.shape, np.nan)
    for row, column in np.ndindex(3, 3):
        part = fine[row * 300 : row * 300 + 300, column * 300 : column * 300 + 300]
        expected[row, column + 1] = part.mean()
    np.testing.assert_allclose(whole(source, coarse), expected, atol=1e-3)


@pytest.mark.parametrize(
    "transform",
    [Affine(10, 0, 499_900, 0, 10, 4_999_303), Affine(12, 2, 499_700, 2, -12, 5_000_400)],
    ids=["south-up", "rotated"],
)
def test_a_plane_is_a_plane_whatever_the_pixels_look_like(grid, write_raster, transform):
    def plane(x, y):
        return 0.01 * (x - 500_000) + 0.02 * (y - 5_000_000)

    columns, rows = np.meshgrid(np.arange(160) + 0.5, np.arange(160) + 0.5)
    path = write_raster(plane(*(transform @ (columns, rows))), transform)
    config = RasterSource(path=path, resampling="bilinear")
    block = whole(open_raster(config, ELEVATION, grid), grid)
    x, y = np.meshgrid(grid.x, grid.y)
    columns, rows = ~transform @ (x, y)
    within = np.minimum.reduce([columns, rows, 160 - columns, 160 - rows])
    assert np.isfinite(block[within > 1e-6]).all()
    assert np.isnan(block[within < -1e-6]).all()
    np.testing.assert_allclose(block[within > 0.5], plane(x, y)[within > 0.5], atol=1e-4)


def test_sources_travel_to_workers_and_threads(grid, write_raster):
    values = np.random.default_rng(5).normal(size=(80, 100)).astype(np.float32)
    path = write_raster(values, DEGREES, crs="EPSG:4326", tiled=True, blockxsize=16, blockysize=16)
    source = pickle.loads(pickle.dumps(open_raster(RasterSource(path=path), ELEVATION, grid)))
    reference = whole(source, grid)
    with ThreadPoolExecutor(4) as pool:
        windows = list(grid.windows(16)) * 3
        for window, block in zip(windows, pool.map(source.read, windows), strict=True):
            np.testing.assert_array_equal(block, reference[window.slices])


def test_categories(grid, write_raster):
    values = np.tile(np.array([0, 1, 2, 5, 255], np.uint8), (60, 16))
    path = write_raster(values, grid.transform, nodata=255)
    block = whole(open_raster(RasterSource(path=path), COVER, grid), grid)
    assert block.dtype == np.uint8
    np.testing.assert_array_equal(block[0, :5], [0, 1, 2, 5, 0])


def test_a_landslide_raster_is_unlabelled_where_it_has_no_value(grid, write_raster):
    values = np.tile(np.array([0, 1, 9], np.int16), (60, 20))
    path = write_raster(values, grid.transform, nodata=9)
    block = whole(open_raster(RasterSource(path=path), LANDSLIDE, grid), grid)
    np.testing.assert_array_equal(block[0, :3], [0, 1, 255])
    assert np.all(block[:, 60:] == 255)


def test_provenance(grid, write_raster):
    path = write_raster(np.ones(grid.shape, np.uint8), grid.transform)
    (entry,) = open_raster(RasterSource(path=path), ELEVATION, grid).provenance()
    assert entry["path"] == path
    assert entry["size"] > grid.height * grid.width
    assert entry["mtime"].endswith("+00:00")


class TestRefusals:
    def refuse(self, grid, match, variable=ELEVATION, error=DataError, **settings):
        with pytest.raises(error, match=match) as caught:
            whole(open_raster(RasterSource(**settings), variable, grid), grid)
        assert "\n" not in str(caught.value)
        assert "previous exception" not in str(caught.value)

    def test_missing_file(self, grid, tmp_path):
        self.refuse(grid, "nowhere.tif.*No such file", path=str(tmp_path / "nowhere.tif"))

    def test_not_a_raster(self, grid, tmp_path):
        (tmp_path / "text.tif").write_text("hello")
        self.refuse(grid, "text.tif.*cannot be read", path=str(tmp_path / "text.tif"))

    @pytest.mark.parametrize("share", [0.02, 0.5])
    def test_truncated_tiff(self, grid, write_raster, tmp_path, share):
        values = np.random.default_rng(0).normal(size=grid.shape)
        path = write_raster(values, grid.transform, compress="deflate")
        whole_file = (tmp_path / "raster.tif").read_bytes()
        (tmp_path / "raster.tif").write_bytes(whole_file[: int(len(whole_file) * share)])
        self.refuse(grid, "raster.tif.*cannot be read", path=path)

    def test_band_that_does_not_exist(self, grid, write_raster):
        path = write_raster(np.ones((2, *grid.shape)), grid.transform)
        self.refuse(grid, "has 2 bands, not 3", path=path, band=3)

    def test_no_crs(self, grid, write_raster):
        path = write_raster(np.ones(grid.shape), grid.transform, crs=None)
        self.refuse(grid, "states no CRS; give the source's crs", path=path)
        source = open_raster(RasterSource(path=path, crs=UTM), ELEVATION, grid)
        assert np.all(whole(source, grid) == 1)

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_no_georeference(self, grid, write_raster):
        path = write_raster(np.ones(grid.shape), Affine.identity(), crs=None)
        self.refuse(grid, "not georeferenced", path=path)

    def test_contradicting_and_unknown_crs(self, grid, write_raster):
        path = write_raster(np.ones(grid.shape), grid.transform)
        self.refuse(grid, "zone 32N' but the source's crs is 'EPSG:4326'", path=path,
                    crs="EPSG:4326")  # fmt: skip
        self.refuse(grid, "EPSG:1.* is not known", error=ConfigError, path=path, crs="EPSG:1")

    def test_wrong_crs_and_no_overlap(self, grid, write_raster):
        far = write_raster(np.ones(grid.shape), grid.transform, crs="EPSG:32633")
        self.refuse(grid, "in EPSG:32633, which has no pixel in common with the grid", path=far)
        beside = grid.transform @ Affine.translation(80, 0)
        path = write_raster(np.ones(grid.shape), beside, name="beside.tif")
        self.refuse(grid, "no pixel in common", path=path)

    def test_values_without_a_code(self, grid, write_raster):
        path = write_raster(np.tile(np.arange(80, dtype=np.uint8), (60, 1)), grid.transform)
        match = "land_cover' that are not among its codes.*: 3, 4, 6, 7, 8 and 71 more"
        self.refuse(grid, match, COVER, path=path)
        self.refuse(grid, "not in its mapping.*: 0, 2, 3", COVER, path=path, mapping={1: 1})
        self.refuse(grid, "sends 1 to 'forrest'", COVER, ConfigError, path=path,
                    mapping={1: "forrest"})  # fmt: skip
        self.refuse(grid, "sends 1 to 3", COVER, ConfigError, path=path, mapping={1: 3})
        self.refuse(grid, "landslide' that are not among", LANDSLIDE, path=path)

    def test_nan_where_codes_are_needed(self, grid, write_raster):
        values = np.ones(grid.shape, np.float32)
        values[3, 4] = np.nan
        path = write_raster(values, grid.transform)
        self.refuse(grid, "holds nan where 'land_cover' needs whole numbers", COVER, path=path)
        declared = RasterSource(path=path, nodata=float("nan"))
        assert whole(open_raster(declared, COVER, grid), grid)[3, 4] == 0
        values[3, 4] = 1.5
        path = write_raster(values, grid.transform)
        self.refuse(grid, "holds 1.5 where", COVER, path=path)

    def test_settings_that_do_not_go_together(self, grid, write_raster):
        path = write_raster(np.ones(grid.shape, np.uint8), grid.transform)
        self.refuse(grid, "cannot be averaged", COVER, ConfigError, path=path,
                    resampling="bilinear")  # fmt: skip
        self.refuse(grid, "remove it", ELEVATION, ConfigError, path=path, mapping={1: 2})
