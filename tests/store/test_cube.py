import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers the accessor that the test reads)
import xarray as xr

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.errors import DataError, StoreError
from landslide_dist.grid import Grid, Window
from landslide_dist.store import cube
from landslide_dist.store.levels import flags_of
from landslide_dist.store.location import delete, exists, open_group

STORAGE = StorageConfig(chunk_px=16, shard_px=64)
GRID = Grid.from_bounds("EPSG:32632", 10, (500000, 4900000, 501500, 4901000))
LITHOLOGY = schema.categorical("lithology", {1: "clay", 2: "sand stone"})


@pytest.fixture(params=["file", "memory"])
def location(request, tmp_path):
    place = str(tmp_path / "cube.zarr") if request.param == "file" else "memory://tests/cube.zarr"
    yield place
    delete(place)


@pytest.fixture
def filled(location):
    variables = [schema.ELEVATION, schema.LANDSLIDE, LITHOLOGY]
    cube.create(location, GRID, variables, STORAGE, {"title": "test"})
    cube.add_variables(location, [schema.uphill(2, "uint8")], STORAGE, {"distance": [30, 100]})
    group = open_group(location, "r+")
    rows = np.arange(GRID.height * GRID.width, dtype="float32").reshape(GRID.shape)
    for window in cube.shard_windows(location):
        cube.write_block(cube.array(group, "elevation"), window, rows[window.slices].copy())
    return location


def test_plain_xarray_and_rioxarray_understand_it(filled):
    ds = xr.open_zarr(open_group(filled).store)
    assert ds.rio.crs.to_epsg() == 32632
    assert ds.elevation.rio.transform() == GRID.transform
    assert ds.lithology.dtype == np.uint8
    assert ds.landslide.dtype == np.uint8
    assert (ds.landslide == 255).all()
    assert ds.uphill.dims == ("distance", "y", "x")
    assert ds.uphill.sel(distance=100).shape == GRID.shape
    assert ds.lithology.attrs["flag_meanings"] == "unknown clay sand_stone"
    np.testing.assert_array_equal(ds.elevation.to_numpy().ravel(), np.arange(ds.elevation.size))


WHITE = [chr(code) for code in range(0x3001) if chr(code).isspace()]


@pytest.mark.parametrize("white", WHITE, ids=ascii)
def test_names_of_classes_keep_to_their_codes_whatever_is_white_in_them(white):
    lithology = schema.categorical("lithology", {1: f"sand{white}stone", 2: "clay"})
    expected = {0: "unknown", 1: "sand stone", 2: "clay"}
    assert flags_of(lithology.attributes()) == expected


def test_more_names_than_codes_are_refused():
    """As of cubes whose names were written with what they had in them."""
    attributes = LITHOLOGY.attributes() | {"flag_meanings": "unknown clay sand\xa0stone"}
    with pytest.raises(DataError, match="'lithology' has 4 names for 3 codes.*--overwrite"):
        flags_of(attributes)


def test_dask_chunks_are_whole_shards(filled):
    ds = cube.open_cube(filled)
    assert ds.elevation.chunks == ((64, 36), (64, 64, 22))
    assert ds.uphill.chunks == ((2,), (64, 36), (64, 64, 22))


def test_grid_reads_back(filled):
    assert cube.read_grid(filled) == GRID


def test_windows_beyond_the_raster_are_filled(filled):
    elevation = cube.array(open_group(filled), "elevation")
    window = Window(-2, 148, 4, 5)
    block = cube.read_window(elevation, window, np.nan)
    assert block.shape == (4, 5)
    assert np.isfinite(block).sum() == 4
    np.testing.assert_array_equal(block[2:, :2], [[148, 149], [298, 299]])
    assert np.isnan(cube.read_window(elevation, Window(500, 500, 3, 3), np.nan)).all()


@pytest.mark.parametrize("window", [Window(0, 0, 32, 64), Window(16, 0, 48, 64)])
def test_a_window_that_cuts_a_shard_is_refused(filled, window):
    array = cube.array(open_group(filled, "r+"), "elevation")
    with pytest.raises(StoreError, match="cuts a shard"):
        cube.write_block(array, window, np.zeros(window.shape, "float32"))


def test_data_of_another_dtype_are_refused(filled):
    array = cube.array(open_group(filled, "r+"), "lithology")
    with pytest.raises(StoreError, match="block of /?lithology is float64"):
        cube.write_block(array, Window(0, 0, 64, 64), np.full((64, 64), np.nan))


def test_missing_variable_names_those_there(filled):
    with pytest.raises(StoreError, match="no variable 'slope' .*elevation.*uphill"):
        cube.array(open_group(filled), "slope")


def test_contract_is_checked_on_opening(filled):
    group = open_group(filled, "r+")
    del group["landslide"].attrs["nodata"]
    cube.add_variables(filled, [], STORAGE)
    with pytest.raises(DataError, match="'landslide' is uint8 without a nodata attribute"):
        cube.open_cube(filled)


def test_missing_stores_and_unknown_schemes(tmp_path):
    assert not exists(str(tmp_path / "none.zarr"))
    with pytest.raises(StoreError, match="there is no store at"):
        cube.open_cube(str(tmp_path / "none.zarr"))
    with pytest.raises(StoreError, match="has scheme 'ftp'"):
        open_group("ftp://host/cube.zarr")


def test_a_group_that_is_no_cube(tmp_path):
    open_group(str(tmp_path / "other.zarr"), "w")
    with pytest.raises(DataError, match="not a cube"):
        cube.read_grid(str(tmp_path / "other.zarr"))


def test_same_input_same_bytes(tmp_path):
    def build(name):
        place = str(tmp_path / name)
        cube.create(place, GRID, [schema.ELEVATION, LITHOLOGY], STORAGE, {"title": "test"})
        array = cube.array(open_group(place, "r+"), "elevation")
        for window in cube.shard_windows(place):
            cube.write_block(array, window, np.full(window.shape, 7, "float32"))
        root = tmp_path / name
        return {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    assert build("one.zarr") == build("two.zarr")


def test_images_have_named_bands_roles_and_days(tmp_path):
    location = str(tmp_path / "cube.zarr")
    coords = {
        "time": ("2023-04-28", "unknown"),
        "role": ("pre", "post"),
        "pair": (0, 0),
        "band": ("red", "nir", "swir16"),
    }
    variables = [schema.ELEVATION, schema.reflectance(2, 3), schema.valid(2)]
    cube.create(location, GRID, variables, STORAGE, {}, coords)
    ds = cube.open_cube(location)
    assert ds.reflectance.dims == ("time", "band", "y", "x")
    assert ds.reflectance.dtype == np.uint16
    is_post = (ds.role == "post").to_numpy()
    assert ds.reflectance.sel(band="nir").isel(time=is_post).time.to_numpy().tolist() == ["unknown"]
    assert set(ds.coords) == {"y", "x", "time", "role", "pair", "band", "spatial_ref"}


def test_a_damaged_shard_is_one_clear_line(tmp_path):
    location = str(tmp_path / "cube.zarr")
    cube.create(location, GRID, [schema.ELEVATION], STORAGE, {})
    array = cube.array(open_group(location, "r+"), "elevation")
    window = cube.shard_windows(location)[0]
    cube.write_block(array, window, np.ones(window.shape, "float32"))
    shard = next(p for p in (tmp_path / "cube.zarr" / "elevation" / "c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:-7] + b"damaged")
    with pytest.raises(StoreError, match="holds a damaged shard"):
        cube.read_window(array, window, np.nan)


def test_a_cube_whose_creation_was_killed_is_told_from_others(tmp_path):
    location = str(tmp_path / "cube.zarr")
    killed = pytest.MonkeyPatch()
    killed.setattr(cube, "_write_axes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cube.create(location, GRID, [schema.ELEVATION], STORAGE, {"title": "whole"})
    killed.undo()
    assert cube.is_cut_short(location)
    cube.create(location, GRID, [schema.ELEVATION], STORAGE, {"title": "whole"})
    assert not cube.is_cut_short(location)
    # A stranger's group is never taken for ours.
    open_group(str(tmp_path / "other.zarr"), "w", {"title": "mine"})
    open_group(str(tmp_path / "bare.zarr"), "w")
    assert not cube.is_cut_short(str(tmp_path / "other.zarr"))
    assert not cube.is_cut_short(str(tmp_path / "bare.zarr"))
