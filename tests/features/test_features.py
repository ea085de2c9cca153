import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.features.terrain import aspect, hillshade, slope
from landslide_dist.features.uphill import uphill
from landslide_dist.kernels import terrain
from landslide_dist.kernels.uphill import uphill_index


def dem(height, width, pixel_m=10.0, seed=0):
    data = np.random.default_rng(seed).integers(0, 50, (height, width)).astype(np.float32)
    data[np.random.default_rng(seed + 1).random(data.shape) < 0.02] = np.nan
    coords = {
        "y": 4.9e6 - pixel_m * np.arange(height),
        "x": 5e5 + pixel_m * np.arange(width),
    }
    return xr.DataArray(data, dims=("y", "x"), coords=coords)


@st.composite
def chunked(draw):
    sizes = draw(st.tuples(st.integers(3, 50), st.integers(3, 50)))
    raster = dem(*sizes, seed=draw(st.integers(0, 99)))
    chunks = {axis: tuple(_parts(draw, size)) for axis, size in zip("yx", sizes, strict=True)}
    return raster, chunks


def _parts(draw, size):
    while size:
        part = draw(st.integers(1, size))
        size -= part
        yield part


@settings(max_examples=25, deadline=None)
@given(chunked())
def test_chunks_do_not_matter(raster_and_chunks):
    raster, chunks = raster_and_chunks
    lazy = raster.chunk(chunks)
    values = raster.to_numpy()
    for feature, kernel in [
        (slope, terrain.slope),
        (aspect, terrain.aspect),
        (hillshade, terrain.hillshade),
    ]:
        result = feature(lazy)
        assert result.chunks == lazy.chunks
        np.testing.assert_array_equal(result.to_numpy(), kernel(values, 10.0))
    result = uphill(lazy, (30, 120))
    assert result.chunks is not None
    for distance, radius in ((30, 3), (120, 12)):
        np.testing.assert_array_equal(
            result.sel(distance=distance).to_numpy(), uphill_index(values, radius)
        )


def test_rasters_in_memory_work_too():
    raster = dem(20, 30)
    assert slope(raster).chunks is None
    np.testing.assert_array_equal(slope(raster), slope(raster.chunk({"y": 7})))


def test_nothing_is_computed_before_it_is_asked_for():
    def refuse(block):
        raise AssertionError("computed")

    raster = dem(20, 30).chunk({"y": 7})
    lazy = raster.copy(data=raster.data.map_blocks(refuse, dtype=np.float32, meta=np.empty((0, 0))))
    for feature in (slope, aspect, hillshade, uphill):
        assert feature(lazy).chunks is not None


def test_integer_dems_honour_their_nodata():
    raster = dem(20, 20).fillna(-9999).astype(np.int16).assign_attrs(nodata=-9999)
    np.testing.assert_array_equal(slope(raster), slope(dem(20, 20)))


def test_results_say_what_they_are():
    result = uphill(dem(20, 20))
    assert result.dims == ("distance", "y", "x")
    assert result.distance.to_numpy().tolist() == [30, 100, 300]
    assert result.attrs["nodata"] == 255
    assert slope(dem(20, 20)).attrs["units"] == "degree"


@pytest.mark.parametrize(
    ("raster", "message"),
    [
        (dem(20, 20).transpose("x", "y"), "must be y, x"),
        (dem(20, 20).expand_dims("band"), "take one band"),
        (
            dem(20, 20).assign_coords(x=("x", np.arange(20) * 10, {"units": "degrees_east"})),
            "coordinates in degrees",
        ),
        (
            dem(20, 20).assign_coords(
                spatial_ref=((), 0, {"grid_mapping_name": "latitude_longitude"})
            ),
            "coordinates in degrees",
        ),
        (dem(20, 20).drop_vars("y"), "no y coordinates"),
        (dem(20, 20).sortby("y"), "not north-up"),
        (dem(20, 20).isel(y=[0, 1, 3, 4]), "unevenly spaced y"),
        (dem(20, 20).assign_coords(x=np.arange(20) * 12.5), "12.5 m in x but 10 m in y"),
    ],
)
def test_rasters_that_break_the_contract_are_refused(raster, message):
    with pytest.raises(DataError, match=message):
        slope(raster)


def test_distances_below_a_pixel_are_refused():
    with pytest.raises(ConfigError, match="below one pixel"):
        uphill(dem(20, 20, pixel_m=344.0))
