import numpy as np
import pytest

from landslide_dist.errors import DataError
from landslide_dist.grid import Grid
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.statistics import split_moments, training_statistics

SHAPE = (70, 90)
GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, SHAPE[1] * 10, SHAPE[0] * 10))


@pytest.fixture
def planes():
    rng = np.random.default_rng(0)
    elevation = (rng.random(SHAPE) * 5 + 3000).astype("float32")
    elevation[10:20] = np.nan
    split = rng.integers(0, 4, SHAPE).astype("uint8")
    # A whole block without training labels.
    split[:16, :16] = 2
    landslide = (rng.random(SHAPE) < 0.1).astype("uint8")
    return {
        "elevation": elevation,
        "flat": np.full(SHAPE, 7, dtype="float32"),
        "landslide": landslide,
        "split": split,
    }


def statistics(planes, block_px=16, values=(0, 3), names=("elevation", "flat")):
    reader, windows = HostReader(planes), list(GRID.windows(block_px))
    index = PatchIndex.build(reader, windows, SHAPE, 10, 10)
    return training_statistics(index, split_moments(reader, windows, 10, names), values)


@pytest.mark.parametrize("block_px", [16, 33, 100])
def test_it_is_the_moments_of_the_training_pixels(planes, block_px):
    found = statistics(planes, block_px)
    training = np.isin(planes["split"], [0, 3])
    values = planes["elevation"][training & np.isfinite(planes["elevation"])].astype("float64")
    assert found.mean_std["elevation"] == pytest.approx((values.mean(), values.std()), rel=1e-12)
    assert found.num_labelled == training.sum()
    assert found.share == pytest.approx(planes["landslide"][training].mean())


def test_pixels_of_other_parts_do_not_count(planes):
    before = statistics(planes)
    planes["elevation"][np.isin(planes["split"], [1, 2])] = 1e6
    assert statistics(planes) == before


def test_a_constant_variable_is_divided_by_one(planes):
    assert statistics(planes).mean_std["flat"] == (7.0, 1.0)


def test_a_variable_without_values_is_refused(planes):
    planes["elevation"][:] = np.nan
    with pytest.raises(DataError, match=r"'elevation' has no valid value at any of the \d+ train"):
        statistics(planes)


def test_a_part_without_labels_is_refused(planes):
    with pytest.raises(DataError, match="no labelled training pixel"):
        statistics(planes, values=(9,))
