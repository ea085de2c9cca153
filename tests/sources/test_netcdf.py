"""netCDF: any order of dimensions and coordinates, CF packing and fill values."""

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the accessor `rio`
import xarray as xr

from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import DataError
from landslide_dist.schema import ELEVATION, categorical
from landslide_dist.sources.raster import open_raster

from .conftest import UTM, whole

COVER = categorical("land_cover", {1: "forest", 2: "water"})


@pytest.fixture
def values(grid):
    return np.arange(grid.height * grid.width, dtype=np.int16).reshape(grid.shape)


@pytest.fixture
def write(grid, tmp_path):
    def make(array, crs=UTM, dims=("y", "x"), encoding=None, **coords):
        path = tmp_path / "cube.nc"
        place = {"y": grid.y, "x": grid.x} | coords
        dataset = xr.DataArray(array, dims=dims, coords=place, name="DEM").to_dataset()
        if crs:
            dataset = dataset.rio.write_crs(crs)
            dataset.DEM.attrs["grid_mapping"] = "spatial_ref"
        dataset.to_netcdf(path, encoding={"DEM": encoding or {}})
        return str(path)

    return make


def read(grid, path, variable=ELEVATION, **settings):
    config = RasterSource(path=path, variable="DEM", **settings)
    return whole(open_raster(config, variable, grid), grid)


def test_pixels_on_the_grid_are_exact(grid, values, write):
    np.testing.assert_array_equal(read(grid, write(values)), values)


def test_transposed_and_with_another_dimension(grid, values, write):
    cube = np.stack([values * 0, values])
    path = write(cube.transpose(2, 0, 1), dims=("lon", "time", "lat"), lat=grid.y, lon=grid.x,
                 y=0, x=0)  # fmt: skip
    dims = {"y": "lat", "x": "lon"}
    np.testing.assert_array_equal(read(grid, path, dims=dims, select={"time": 1}), values)
    for match, settings in [
        (r"not 'y'; give dims: \{y: NAME\}", {}),
        (r"2 positions along 'time'; give select: \{time: 0 to 1\}", {"dims": dims}),
        ("2 positions along 'time'", {"dims": dims, "select": {"time": 2}}),
        (r"select names \['band'\]", {"dims": dims, "select": {"time": 0, "band": 0}}),
    ]:
        with pytest.raises(DataError, match=match):
            read(grid, path, **settings)


def test_ascending_rows_are_turned(grid, values, write):
    path = write(values[::-1], y=grid.y[::-1])
    np.testing.assert_array_equal(read(grid, path), values)


def test_fill_values_and_packing(grid, values, write):
    physical = np.where(values < 80, np.nan, values / 10)
    path = write(physical, encoding={"dtype": "int16", "scale_factor": 0.1, "_FillValue": -1})
    np.testing.assert_allclose(read(grid, path), physical, rtol=1e-6)
    codes = np.where(values < 80, np.nan, 2.0)
    path = write(codes, encoding={"dtype": "uint8", "_FillValue": 255})
    block = read(grid, path, COVER)
    assert np.all(block[0] == 0)
    assert np.all(block[1:] == 2)
    with pytest.raises(DataError, match="holds nan"):
        read(grid, write(codes, encoding={"_FillValue": None}), COVER)


def test_given_nodata_counts_beside_the_fill_value(grid, values, write):
    codes = np.full(values.shape, 2.0)
    codes[0, :2] = [np.nan, 9]
    path = write(codes, encoding={"dtype": "uint8", "_FillValue": 255})
    assert read(grid, path, COVER, nodata=9)[0, :3].tolist() == [0, 0, 2]


def test_another_crs(grid, write):
    lon, lat = np.linspace(8.99, 9.02, 100), np.linspace(45.16, 45.14, 90)
    path = write(np.tile(np.arange(100.0), (90, 1)), crs="EPSG:4326", y=lat, x=lon)
    block = read(grid, path)
    assert np.isfinite(block).all()
    assert (np.diff(block, axis=1) > 0).all()


def test_crs_from_the_configuration(grid, values, write):
    path = write(values, crs=None)
    with pytest.raises(DataError, match="states no CRS"):
        read(grid, path)
    np.testing.assert_array_equal(read(grid, path, crs=UTM), values)


def test_refusals(grid, values, write, tmp_path):
    path = write(values)
    with pytest.raises(DataError, match="no variable 'B04'; it has DEM"):
        open_raster(RasterSource(path=path, variable="B04"), ELEVATION, grid)
    uneven = grid.x.copy()
    uneven[40:] += 5
    with pytest.raises(DataError, match="uneven coordinates along 'x'"):
        read(grid, write(values, x=uneven))
    with pytest.raises(DataError, match="no pixel in common"):
        read(grid, write(values, x=grid.x + 5000))
    content = (tmp_path / "cube.nc").read_bytes()
    (tmp_path / "cube.nc").write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match="cannot be opened by xarray") as caught:
        read(grid, path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="nowhere.nc"):
        read(grid, str(tmp_path / "nowhere.nc"))
