import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from landslide_dist.config.split import SplitConfig
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid, Window
from landslide_dist.patches import split as split_module
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.split import check_parts, largest_remainder, plan_split

SHAPE = (210, 175)
GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, SHAPE[1] * 10, SHAPE[0] * 10))
WHOLE = Window(0, 0, *SHAPE)


@pytest.fixture(scope="module")
def dense():
    """Labels nearly everywhere: a corner is outside the region."""
    landslide = (np.random.default_rng(0).random(SHAPE) < 0.1).astype("uint8")
    landslide[:60, :70] = 255
    return landslide


@pytest.fixture(scope="module")
def sparse():
    rng = np.random.default_rng(1)
    landslide = np.full(SHAPE, 255, dtype="uint8")
    landslide.ravel()[rng.choice(landslide.size - 1, 99, replace=False)] = rng.random(99) < 0.3
    landslide[-1, -1] = 1
    return landslide


def plan(landslide, core_px=10, pass_px=64, **settings):
    config = SplitConfig(**settings)
    reader = HostReader({"landslide": landslide})
    buffer_px = config.buffer_px or 0
    return plan_split(config, GRID, core_px, buffer_px, reader, GRID.windows(pass_px))


def raster(landslide, **settings):
    return plan(landslide, **settings).block(WHOLE, landslide)


def distance(from_mask, to_mask):
    """Least Chebyshev distance of two sets of pixels, by brute transform."""
    return int(distance_transform_cdt(~to_mask, metric="chessboard")[from_mask].min())


def cell_parts(split, cell_px):
    """Part of each labelled cell; fails where a cell has two."""
    parts = {}
    for window in GRID.windows(cell_px):
        values = np.unique(split[window.slices])
        values = values[values != 255]
        assert len(values) <= 1
        if len(values):
            parts[window.y0 // cell_px, window.x0 // cell_px] = int(values[0])
    return parts


KINDS = [
    {"kind": "random"},
    {"kind": "random", "folds": 4},
    {"kind": "block", "block_px": 30, "buffer_px": 7},
    {"kind": "block", "block_px": 30, "folds": 3, "buffer_px": 7},
    {"kind": "random_labels"},
    {"kind": "random_labels", "folds": 5},
    {"kind": "kmeans_labels", "folds": 3},
]


@pytest.mark.parametrize("settings", KINDS)
@pytest.mark.parametrize("block_px", [16, 37, 300])
def test_blocks_of_any_size_give_the_same_raster(dense, sparse, settings, block_px):
    landslide = sparse if settings["kind"].endswith("labels") else dense
    whole = raster(landslide, **settings)
    # The plan travels to workers.
    same = pickle.loads(pickle.dumps(plan(landslide, pass_px=block_px, **settings)))
    pieces = np.full(SHAPE, 99, dtype="uint8")
    for window in GRID.windows(block_px):
        pieces[window.slices] = same.block(window, landslide[window.slices])
    np.testing.assert_array_equal(pieces, whole)
    assert whole.dtype == np.uint8
    assert (whole[landslide == 255] == 255).all()


def test_random_gives_whole_cores_in_exact_shares(dense):
    split = raster(dense, kind="random")
    parts = list(cell_parts(split, 10).values())
    # 6 x 7 of the 21 x 18 cores have no label.
    assert len(parts) == 336
    assert np.bincount(parts).tolist() == [269, 34, 33]
    assert (split != 255).sum() == (dense != 255).sum()


def test_folds_are_of_equal_size(dense):
    parts = list(cell_parts(raster(dense, kind="random", folds=5), 10).values())
    assert np.bincount(parts).tolist() == [68, 67, 67, 67, 67]


def test_seeds_divide_differently_and_repeat(dense):
    one, again, two = (raster(dense, kind="random", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()


def test_default_blocks_are_four_cores(dense):
    parts = cell_parts(raster(dense, kind="block"), 40)
    assert len(set(parts.values())) == 3


@pytest.mark.parametrize("buffer_px", [1, 2, 7, 25])
def test_parts_of_blocks_are_a_buffer_apart_and_test_is_whole(dense, buffer_px):
    plain = raster(dense, kind="block", block_px=30, seed=3)
    split = raster(dense, kind="block", block_px=30, seed=3, buffer_px=buffer_px)
    np.testing.assert_array_equal(split == 2, plain == 2)
    # Nothing else is lost than what lies within the buffer of a part that goes before.
    cells = np.full(SHAPE, 255)
    for (row, column), part in cell_parts(plain, 30).items():
        cells[row * 30 : row * 30 + 30, column * 30 : column * 30 + 30] = part
    near_test = distance_transform_cdt(cells != 2, metric="chessboard") <= buffer_px
    near_validation = distance_transform_cdt(cells != 1, metric="chessboard") <= buffer_px
    np.testing.assert_array_equal(split == 1, (plain == 1) & ~near_test)
    np.testing.assert_array_equal(split == 0, (plain == 0) & ~near_test & ~near_validation)


@given(st.integers(1, 40), st.integers(2, 5), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_any_two_folds_are_a_buffer_apart(buffer_px, folds, seed):
    rng = np.random.default_rng(seed)
    # Only some of the cells have labels, so that folds also face each other over empty ones.
    holes = np.kron(rng.random((14, 12)) < 0.5, np.ones((15, 15), bool))[: SHAPE[0], : SHAPE[1]]
    landslide = np.where(holes, 255, 0).astype("uint8")
    split = raster(
        landslide,
        core_px=5,
        kind="block",
        block_px=15,
        folds=folds,
        validation="none",
        seed=seed,
        buffer_px=buffer_px,
    )
    for a in range(folds):
        for b in range(folds):
            if a != b and (split == a).any() and (split == b).any():
                assert distance(split == a, split == b) > buffer_px


def test_both_sides_of_a_fold_border_yield_half():
    # Two blocks side by side, and nothing else with labels.
    landslide = np.full(SHAPE, 255, dtype="uint8")
    landslide[30:60, 30:90] = 0
    for buffer_px, lost_px in ((6, 3), (5, 3), (1, 1)):
        split = raster(
            landslide,
            kind="block",
            block_px=30,
            folds=2,
            validation="none",
            buffer_px=buffer_px,
        )
        assert np.flatnonzero(split[40] != 255).tolist() == [
            *range(30, 60 - lost_px),
            *range(60 + lost_px, 90),
        ]


def test_labels_are_divided_one_by_one(sparse):
    split = raster(sparse, kind="random_labels", fractions=(0.7, 0.2, 0.1))
    assert np.bincount(split[split != 255]).tolist() == [70, 20, 10]


def test_clusters_are_compact_and_seeded(sparse):
    split = raster(sparse, kind="kmeans_labels", folds=4, seed=5)
    np.testing.assert_array_equal(split, raster(sparse, kind="kmeans_labels", folds=4, seed=5))
    centres = np.array([np.argwhere(split == fold).mean(axis=0) for fold in range(4)])
    pixels = np.argwhere(split != 255)
    nearest = np.linalg.norm(pixels[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, split[split != 255])


def test_too_few_and_too_many_labels(sparse, monkeypatch):
    few = np.full(SHAPE, 255, dtype="uint8")
    few[3, 4] = 1
    with pytest.raises(ConfigError, match="1 labels cannot make 3 folds"):
        raster(few, kind="kmeans_labels", folds=3)
    monkeypatch.setattr(split_module, "MAX_LABELS", 50)
    with pytest.raises(ConfigError, match="'random_labels' is for sparse labels .* 50"):
        raster(sparse, kind="random_labels")


def checked(landslide, **settings):
    config = SplitConfig(**settings)
    split = raster(landslide, **settings)
    reader = HostReader({"landslide": landslide, "split": split})
    index = PatchIndex.build(reader, GRID.windows(64), SHAPE, 10, config.folds or 3)
    check_parts(config, index)


def test_usable_splits_pass(dense):
    checked(dense, kind="random")
    checked(dense, kind="block", block_px=40, buffer_px=5)
    checked(dense, kind="random", fractions=(0.9, 0.0, 0.1))
    checked(dense, kind="random", folds=3, validation="none")


def test_a_part_without_labels_is_refused(dense):
    only_two_cells = np.full(SHAPE, 255, dtype="uint8")
    only_two_cells[:10, :20] = dense[100:110, :20]
    with pytest.raises(ConfigError, match=r"leaves test no labels \(0 labelled pixels\); try"):
        checked(only_two_cells, kind="random", fractions=(0.5, 0.5 - 1e-10, 1e-10))


def test_a_part_without_a_class_is_refused(dense):
    one_landslide = np.zeros(SHAPE, dtype="uint8")
    one_landslide[0, 0] = 1
    with pytest.raises(ConfigError, match="leaves .* no landslides"):
        checked(one_landslide, kind="random")
    with pytest.raises(ConfigError, match="leaves train no pixels without landslide"):
        checked(np.ones(SHAPE, dtype="uint8"), kind="block")
    with pytest.raises(ConfigError, match="leaves fold [012] no landslides .*fewer split.folds"):
        checked(one_landslide, kind="random", folds=3)


@given(st.integers(0, 300), st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_largest_remainder_is_within_one_of_exact(count, weights):
    fractions = np.array(weights) / sum(weights)
    shares = largest_remainder(fractions, count)
    assert shares.sum() == count
    assert (abs(shares - fractions * count) < 1).all()
