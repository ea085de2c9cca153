import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.kernels import reduction


def two_by_two(values):
    """Index of each result -> its pixels, in row order; written plainly."""
    rows, columns = reduction.halved(values.shape)
    return {
        (i, j): values[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel()
        for i in range(rows)
        for j in range(columns)
    }


shapes = st.tuples(st.integers(1, 13), st.integers(1, 13))


@settings(deadline=None)
@given(shapes, st.integers(0, 2**31))
def test_mean_of_what_is_valid(shape, seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=shape).astype(np.float32)
    values[random.random(shape) < 0.4] = np.nan
    found = reduction.halve_mean(values, np.nan)
    for place, pixels in two_by_two(values).items():
        valid = pixels[np.isfinite(pixels)].astype(np.float64)
        expected = np.float32(valid.mean()) if valid.size else np.nan
        np.testing.assert_allclose(found[place], expected, rtol=1e-6)


@settings(deadline=None)
@given(shapes, st.integers(0, 2**31))
def test_most_frequent_valid_code_and_the_first_among_equals(shape, seed):
    codes = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)
    found = reduction.halve_mode(codes, 0)
    for place, pixels in two_by_two(codes).items():
        valid = [int(code) for code in pixels if code]
        assert found[place] == (max(valid, key=valid.count) if valid else 0)


@settings(deadline=None)
@given(shapes, st.integers(0, 2**31))
def test_the_same_pixel_is_picked_of_every_raster(shape, seed):
    random = np.random.default_rng(seed)
    valid = random.random(shape) < 0.4
    numbers = np.arange(valid.size, dtype=np.float32).reshape(shape)
    found = reduction.pick(numbers, reduction.first_valid(valid), np.nan)
    for (place, flags), pixels in zip(
        two_by_two(valid).items(), two_by_two(numbers).values(), strict=True
    ):
        if flags.any():
            assert found[place] == pixels[np.argmax(flags)]
        else:
            assert np.isnan(found[place])


@settings(deadline=None)
@given(shapes, st.integers(1, 4), st.integers(0, 2**31))
def test_windows_give_what_the_whole_raster_gives(shape, half_side, seed):
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, (2, *shape)).astype(np.uint16)
    heights = random.normal(size=(2, *shape))
    valid = codes[0] > 1

    def both(rows, columns):
        part = (slice(None), rows, columns)
        choice = reduction.first_valid(valid[rows, columns])
        return (
            reduction.halve_mean(heights[part], np.nan),
            reduction.halve_mean(codes[part], 0),
            reduction.halve_mode(codes[part], 0),
            reduction.pick(codes[part], choice, 9),
        )

    whole = both(slice(None), slice(None))
    side = 2 * half_side
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            place = slice(y // 2, (y + side) // 2), slice(x // 2, (x + side) // 2)
            for part, all_of_it in zip(
                both(slice(y, y + side), slice(x, x + side)), whole, strict=True
            ):
                np.testing.assert_array_equal(part, all_of_it[(slice(None), *place)])


def test_integers_keep_their_kind_and_means_do_not():
    codes = np.array([[3, 3], [255, 1]], dtype=np.uint8)
    assert reduction.halve_mode(codes, 255).dtype == np.uint8
    assert reduction.halve_mean(codes, 255)[0, 0] == pytest.approx(7 / 3)
    assert np.isnan(reduction.halve_mean(np.full((1, 1), 255, np.uint8), 255)[0, 0])
