import numpy as np
import pytest

from landslide_dist.grid import Grid
from landslide_dist.patches.index import Patches, PatchIndex
from landslide_dist.patches.reader import HostReader

SHAPE = (45, 52)
GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, SHAPE[1] * 10, SHAPE[0] * 10))


@pytest.fixture(scope="module")
def planes():
    rng = np.random.default_rng(0)
    landslide = (rng.random(SHAPE) < 0.01).astype("uint8")
    split = rng.integers(0, 3, SHAPE).astype("uint8")
    split[:20, :30] = 255
    landslide[:15, :30] = 255
    return {"landslide": landslide, "split": split}


def build(planes, block_px=17, core_px=10):
    reader = HostReader(planes)
    return PatchIndex.build(reader, GRID.windows(block_px), SHAPE, core_px, 3)


def test_counts_of_every_core(planes):
    index = build(planes)
    patches = index.select({0})
    expected = []
    for window in GRID.windows(10):
        mine = planes["split"][window.slices] == 0
        positive = planes["landslide"][window.slices][mine] == 1
        if mine.any():
            expected.append((window.y0, window.x0, mine.sum(), positive.sum()))
    found = zip(*patches.origins.T, patches.num_labelled, patches.num_positive, strict=True)
    assert list(found) == expected
    # Cores at the far edges are there: 5 x 6 less the 2 x 3 without a label.
    assert len(patches) == 24
    assert patches.origins.max(axis=0).tolist() == [40, 50]


def test_blocks_of_the_pass_do_not_matter(planes):
    one, two = build(planes, block_px=64), build(planes, block_px=7)
    np.testing.assert_array_equal(one.num_labelled, two.num_labelled)
    np.testing.assert_array_equal(one.num_positive, two.num_positive)


def test_a_part_may_be_several_values(planes):
    index = build(planes)
    both = planes["split"] <= 1
    positive = (planes["landslide"][both] == 1).sum()
    assert index.totals({0, 1}) == (both.sum(), positive)
    assert index.totals(frozenset()) == (0, 0)
    assert len(index.select(frozenset())) == 0


def test_patches_with_a_landslide_of_their_part_are_copied():
    patches = Patches(10, 10, np.array([[0, 0], [0, 10]]), np.array([5, 5]), np.array([0, 1]))
    assert patches.copies(5).tolist() == [1, 5]
    assert patches.copies(1).tolist() == [1, 1]


@pytest.mark.parametrize(("cores", "side"), [(64, 4), (16, 2), (4, 1)])
def test_blocks_shrink_until_every_lane_has_some(cores, side):
    rows, columns = np.divmod(np.arange(cores * cores), cores)
    origins = np.stack([rows, columns], axis=1) * 100
    ones = np.ones(len(origins), int)
    blocks = Patches(100, 100, origins, ones, ones).blocks(num_lanes=16)
    squares = (rows // side) * cores + columns // side
    np.testing.assert_array_equal(blocks, squares)
