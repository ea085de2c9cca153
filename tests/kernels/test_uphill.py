import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from landslide_dist.errors import ConfigError
from landslide_dist.kernels.rings import index_dtype, radius_px, ring_offsets, ring_radii
from landslide_dist.kernels.uphill import gather, uphill_index, uphill_indices


def by_definition(elevation, radius):
    """The definition, pixel by pixel."""
    offsets = ring_offsets(radius)
    out = np.full(elevation.shape, np.iinfo(index_dtype(radius)).max, index_dtype(radius))
    height, width = elevation.shape
    for y, x in zip(*np.nonzero(np.isfinite(elevation)), strict=True):
        best = -np.inf
        for position, (dy, dx) in enumerate(offsets):
            v, u = y + dy, x + dx
            there = 0 <= v < height and 0 <= u < width and np.isfinite(elevation[v, u])
            if there and elevation[v, u] > best:
                best, out[y, x] = elevation[v, u], position
    return out


@pytest.mark.parametrize(("radius", "num"), [(3, 16), (10, 56), (30, 200)])
def test_ring_sizes(radius, num):
    offsets = ring_offsets(radius)
    assert offsets.shape == (num, 2)
    four_squares = 4 * (offsets**2).sum(axis=1)
    assert (four_squares >= (2 * radius - 1) ** 2).all()
    assert (four_squares < (2 * radius + 1) ** 2).all()
    assert len(np.unique(offsets, axis=0)) == num


@pytest.mark.parametrize("radius", [1, 2, 3, 10, 30, 77])
def test_rings_run_clockwise_from_north(radius):
    dy, dx = ring_offsets(radius).T
    assert (dy[0], dx[0]) == (-radius, 0)
    angle = np.degrees(np.arctan2(dx, -dy)) % 360
    assert (np.diff(angle) > 0).all()
    assert dx[len(dx) // 4] == radius  # a quarter of the way is east


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=14),
        # Few different heights, so that ties are everywhere.
        elements=st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf, -np.inf, -3e38]),
    ),
    st.integers(1, 16),
)
def test_index_is_the_definition(elevation, radius):
    np.testing.assert_array_equal(uphill_index(elevation, radius), by_definition(elevation, radius))


def test_wide_rasters_are_cut_into_stretches_without_seams():
    elevation = np.random.default_rng(0).random((12, 2500), dtype=np.float32)
    whole = uphill_index(elevation, 3)
    part = uphill_index(elevation[:, 900:1200].copy(), 3)
    np.testing.assert_array_equal(whole[:, 903:1197], part[:, 3:-3])


def test_integers_give_what_their_floats_give():
    elevation = np.random.default_rng(1).integers(-30, 3000, (40, 40)).astype(np.int16)
    np.testing.assert_array_equal(
        uphill_index(elevation, 5), uphill_index(elevation.astype(np.float32), 5)
    )


@pytest.mark.parametrize("nodata", [-9999, 32767])
def test_integers_state_what_does_not_exist(nodata):
    elevation = np.random.default_rng(1).integers(-30, 3000, (40, 40)).astype(np.int16)
    elevation[::7, ::3] = nodata
    as_nan = np.where(elevation == nodata, np.nan, elevation).astype(np.float32)
    np.testing.assert_array_equal(uphill_index(elevation, 5, nodata), by_definition(as_nan, 5))


def test_values_beyond_float32_do_not_exist():
    elevation = np.array([[1e300, 1.0], [2.0, -1e300]])
    np.testing.assert_array_equal(uphill_index(elevation, 1), [[255, 5], [1, 255]])


def test_large_rings_take_uint16_and_none_is_its_maximum():
    assert index_dtype(38) == np.uint8
    assert index_dtype(45) == np.uint16
    flat = np.zeros((3, 3), np.float32)
    both = uphill_indices(flat, (1, 45), np.dtype(np.uint16))
    assert both.dtype == np.uint16
    assert (both[1] == 65535).all()
    flat[1, 1] = np.nan
    assert uphill_indices(flat, (1, 45), np.dtype(np.uint16))[0, 1, 1] == 65535


def test_gather_takes_the_value_uphill():
    ramp = np.tile(np.arange(9, dtype=np.float32), (9, 1))
    index = uphill_index(ramp, 2)
    found = gather(ramp, index, 2, fill=-1)
    assert found[4, 4] == 6
    assert found[4, 8] == 8 - 0  # at the eastern edge the highest are north and south
    lonely = np.full((5, 5), np.nan, np.float32)
    lonely[2, 2] = 1
    assert (gather(lonely, uphill_index(lonely, 1), 1, fill=-1) == -1).all()


@pytest.mark.parametrize(
    ("distance", "pixel", "radius"), [(30, 10, 3), (100, 10, 10), (344, 344.4, 1), (15, 10, 2)]
)
def test_radius(distance, pixel, radius):
    assert radius_px(distance, pixel) == radius


def test_unusable_distances_name_usable_ones():
    with pytest.raises(ConfigError, match="30 m is below one pixel of 344 m; usable are 344"):
        ring_radii((30, 1032), 344)
    with pytest.raises(ConfigError, match="30 and 32 m are the same ring of 3 px"):
        ring_radii((30, 32, 100), 10)
    with pytest.raises(ConfigError, match="30 and 32 m are the same ring of 3 px"):
        ring_radii((30, 100, 32), 10)


@pytest.mark.parametrize(("distance", "pixel"), [(np.nan, 10), (np.inf, 10), (30, 0), (30, -10)])
def test_what_is_not_a_length_is_refused(distance, pixel):
    with pytest.raises(ConfigError, match="both must be finite"):
        radius_px(distance, pixel)
