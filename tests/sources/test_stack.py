"""netCDF time series: dates, variables and dimension orders of other people's files."""

from datetime import date

import netCDF4
import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the accessor `rio`
import xarray as xr

from landslide_dist.config.imagery import ReflectanceConfig, StackSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.imagery import open_images
from landslide_dist.sources.scene import Span
from landslide_dist.sources.stack import stack_scenes

from .conftest import UTM, whole

DAYS = ["2023-05-01T10:00", "2023-05-08T10:00", "2023-05-24T10:00"]
NUMBERS = np.random.default_rng(0).integers(1001, 9000, (3, 60, 80)).astype(np.int16)


@pytest.fixture
def write_stack(tmp_path):
    """A file on conftest's grid; whatever order and names of dimensions."""

    def write(dims=("time", "y", "x"), encoding=None, crs=UTM, drop=(), **names):
        y, x = 5_000_000 - 10 * np.arange(60) - 5.0, 500_000 + 10 * np.arange(80) + 5.0
        mapping = {"grid_mapping": "spatial_ref"} if crs else {}
        arrays = {
            name: xr.DataArray(values, dims=("time", "y", "x"), attrs=mapping)
            for name, values in (("B04", NUMBERS), ("B08", NUMBERS + 1),
                                 ("SCL", np.full(NUMBERS.shape, 4, np.int16)))
        }  # fmt: skip
        times = np.array(DAYS, "datetime64[ns]")
        ds = xr.Dataset(arrays, {"time": times, "y": y, "x": x}).transpose(*dims)
        if crs:
            ds = ds.rio.write_crs(crs)
        ds = ds.drop_vars(drop).rename(names)
        ds.to_netcdf(tmp_path / "stack.nc", encoding=encoding)
        return str(tmp_path / "stack.nc")

    return write


def scenes(path, bands=("red", "nir"), boa_offset=1000, span=None, **settings):
    source = StackSource(kind="stack", path=path, **settings)
    return stack_scenes(source, bands, boa_offset, span or Span())


def image(path, grid, **settings):
    source = {"kind": "stack", "path": path} | settings
    images = [{"role": "pre", "source": source}]
    tree = {"bands": ["red", "nir"], "boa_offset": 1000, "images": images}
    return open_images(ReflectanceConfig.model_validate(tree), grid)


def test_scenes(write_stack):
    found = scenes(write_stack())
    assert [scene.day for scene in found] == [date(2023, 5, day) for day in (1, 8, 24)]
    assert len({scene.acquisition for scene in found}) == 3
    assert found[1].bands["nir"].variable == "B08"
    assert found[1].bands["nir"].select == {"time": 1}
    assert found[1].classes.variable == "SCL"


@pytest.mark.parametrize("dims", [("time", "y", "x"), ("time", "x", "y"), ("y", "x", "time")])
def test_whatever_the_order_of_dimensions(grid, write_stack, dims):
    values, valid = whole(image(write_stack(dims), grid), grid)
    np.testing.assert_array_equal(values[0, 0], NUMBERS[2] - 1000)
    np.testing.assert_array_equal(values[0, 1], NUMBERS[2] - 999)
    assert valid.all()


def test_other_names(grid, write_stack):
    path = write_stack(time="t", y="north", x="east", B04="rot", SCL="classes", drop=["B08"])
    settings = {
        "time": "t", "dims": {"y": "north", "x": "east"}, "scl": "classes",
        "variables": {"red": "rot", "nir": "rot"},
    }  # fmt: skip
    values, _ = whole(image(path, grid, **settings), grid)
    np.testing.assert_array_equal(values[0, 1], NUMBERS[2] - 1000)


def test_a_crs_is_given_where_the_file_states_none(grid, write_stack):
    path = write_stack(crs=None)
    with pytest.raises(DataError, match="states no CRS; give the source's crs"):
        image(path, grid)
    assert whole(image(path, grid, crs=UTM), grid)[1].all()


def test_fill_values_and_nodata_are_no_data(grid, write_stack):
    first = int(NUMBERS[2, 0, 0])
    for encoding, settings in (({"B04": {"_FillValue": first}}, {}), (None, {"nodata": first})):
        path = write_stack(encoding=encoding)
        values, valid = whole(image(path, grid, **settings), grid)
        holes = NUMBERS[2] == first
        np.testing.assert_array_equal(values[0, 0] == 0, holes)
        assert not valid[0][holes].any()


def test_packed_reflectance_is_refused(grid, write_stack):
    path = write_stack()
    with netCDF4.Dataset(path, "a") as file:
        file["B04"].scale_factor = 0.0001
    blocks = image(path, grid)
    with pytest.raises(DataError, match="where digital numbers"):
        whole(blocks, grid)


def test_span(write_stack):
    path = write_stack()
    (scene,) = scenes(path, span=Span(date(2023, 5, 8), date(2023, 5, 8)))
    assert scene.bands["red"].select == {"time": 1}
    match = "no scene of the first day to 2023-04-30: its 3 are of 2023-05-01 to 2023-05-24"
    with pytest.raises(DataError, match=match):
        scenes(path, span=Span(last=date(2023, 4, 30)))


class TestRefusals:
    def test_missing_file(self, tmp_path):
        with pytest.raises(DataError, match="nowhere.nc' cannot be opened"):
            scenes(str(tmp_path / "nowhere.nc"))

    def test_missing_variables(self, write_stack):
        path = write_stack()
        with pytest.raises(DataError, match="no variable 'B02' for blue; give variables: {blue"):
            scenes(path, bands=("blue",))
        with pytest.raises(DataError, match="no variable 'qa'; give scl: NAME, or scl: null"):
            scenes(path, scl="qa")
        assert scenes(path, scl=None)[0].classes is None

    def test_no_dates(self, write_stack):
        path = write_stack(drop=["time"])
        with pytest.raises(DataError, match="no dates along 'time' .it has the coordinates y, x"):
            scenes(path)
        with pytest.raises(DataError, match="'y' holds no dates"):
            scenes(write_stack(), time="y")

    def test_the_offset_is_not_known(self, write_stack):
        with pytest.raises(ConfigError, match="stack.nc' does not say which .* give boa_offset"):
            scenes(write_stack(), boa_offset="metadata")
