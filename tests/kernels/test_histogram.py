import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.exposure import match_histograms

from landslide_dist.errors import DataError
from landslide_dist.kernels.histogram import (
    apply_table,
    count_values,
    matching_table,
    num_values,
)


@st.composite
def images(draw, max_side=40):
    """Pixels of few or many values, with gaps, all over the range or close together."""
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16"])))
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=max_side))
    palette = draw(st.lists(st.integers(0, np.iinfo(dtype).max), min_size=1, max_size=60))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).choice(np.array(palette, dtype), shape)


def counts(values, valid=None):
    return count_values(values, valid, num_values(values.dtype))


@settings(max_examples=200, deadline=None)
@given(images(), images(), st.data())
def test_valid_pixels_become_what_scikit_image_makes_of_them(source, reference, data):
    seed = data.draw(st.integers(0, 99))
    valid, reference_valid = (
        np.random.default_rng(seed + i).random(a.shape) < 0.7
        for i, a in enumerate((source, reference))
    )
    valid.flat[0] = reference_valid.flat[0] = True
    table = matching_table(counts(source, valid), counts(reference, reference_valid))
    ours = apply_table(source, table, valid, np.float64, np.nan)
    peers = match_histograms(source[valid], reference[reference_valid])
    assert ours[valid].tobytes() == peers.tobytes()
    assert np.isnan(ours[~valid]).all()


@settings(max_examples=50, deadline=None)
@given(images())
def test_counts_are_those_of_bincount(values):
    np.testing.assert_array_equal(
        counts(values), np.bincount(values.ravel(), minlength=num_values(values.dtype))
    )


def test_counts_of_parts_add_up_also_where_they_are_not_contiguous():
    values = np.random.default_rng(0).integers(0, 65536, (50, 60), dtype=np.uint16)
    valid = np.random.default_rng(1).random(values.shape) < 0.5
    parts = [counts(values[:, i::3], valid[:, i::3]) for i in range(3)]
    np.testing.assert_array_equal(sum(parts), counts(values, valid))
    np.testing.assert_array_equal(sum(parts), np.bincount(values[valid], minlength=65536))


def test_masks_may_be_uint8():
    values = np.array([[5, 6, 7]], np.uint8)
    mask = np.array([[0, 1, 255]], np.uint8)
    assert counts(values, mask)[5:8].tolist() == [0, 1, 1]
    table = np.arange(256.0)
    assert apply_table(values, table, mask, np.uint8, 0).tolist() == [[0, 6, 7]]


@pytest.mark.parametrize("valid", [None, np.ones(6, bool)])
def test_integers_are_rounded_half_to_even_and_clipped_away_from_nodata(valid):
    values = np.arange(6, dtype=np.uint8)
    table = np.full(256, 9.0)
    table[:6] = 0.2, 1.5, 2.5, 254.6, 300, np.nan
    for dtype, nodata, expected in [
        (np.uint8, 0, [1, 2, 2, 255, 255, 0]),
        (np.uint8, 255, [0, 2, 2, 254, 254, 255]),
        (np.uint16, 0, [1, 2, 2, 255, 300, 0]),
    ]:
        result = apply_table(values, table, valid, dtype, nodata)
        assert result.dtype == dtype
        assert result.tolist() == expected
    floats = apply_table(values, table, valid, np.float32, -1)
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, np.float32([0.2, 1.5, 2.5, 254.6, 300, -1]))


def test_invalid_pixels_are_nodata_and_the_highest_value_is_not():
    values = np.array([65535, 65535, 0, 0], np.uint16)
    valid = np.array([True, False, True, False])
    result = apply_table(values, np.arange(65536.0), valid, np.uint16, 0)
    assert result.tolist() == [65535, 0, 1, 0]


def test_wrong_inputs_are_refused():
    floats = np.zeros((2, 2), np.float32)
    pixels = np.zeros((2, 2), np.uint16)
    some, none = np.ones(256, np.int64), np.zeros(256, np.int64)
    for call, message in [
        (lambda: count_values(floats, None, 65536), "takes uint8 or uint16 values, got float32"),
        (lambda: apply_table(floats, np.zeros(9), None, "uint16", 0), "got float32"),
        (lambda: count_values(pixels, None, 256), "counts of 256 values cannot hold uint16"),
        (lambda: apply_table(pixels, np.zeros(9), None, "uint16", 0), "65536 are needed"),
        (lambda: counts(pixels, np.ones((2, 1), bool)), r"must be bool or uint8 \(2, 2\)"),
        (lambda: counts(pixels, np.ones((2, 2))), "is float64"),
        (lambda: matching_table(none, some), "the source has no valid pixels"),
        (lambda: matching_table(some, none), "the reference has no valid pixels"),
        (
            lambda: apply_table(pixels, np.zeros(65536), None, "uint16", 7),
            "nodata 7 lies amid the values of uint16: take 0 or 65535",
        ),
    ]:
        with pytest.raises(DataError, match=message):
            call()
