import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.config.split import SplitConfig
from landslide_dist.grid import Grid
from landslide_dist.patches.audit import audit_split
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.split import plan_split

PARTS = SplitConfig().parts()


def grid_of(shape):
    return Grid.from_bounds("EPSG:32632", 10, (0, 0, shape[1] * 10, shape[0] * 10))


def audit(split, reach_px, parts=PARTS, block_px=13):
    windows = grid_of(split.shape).windows(block_px)
    return audit_split(HostReader({"split": split}), windows, parts, reach_px)


@given(st.integers(0, 10**6), st.integers(0, 9), st.integers(1, 40), st.floats(0.002, 0.3))
@settings(max_examples=30, deadline=None)
def test_it_agrees_with_every_pair_of_pixels(seed, reach_px, block_px, density):
    rng = np.random.default_rng(seed)
    split = np.where(rng.random((31, 40)) < density, rng.integers(0, 3, (31, 40)), 255)
    for sight in audit(split.astype("uint8"), reach_px, block_px=block_px).sights:
        part, of = (np.argwhere(split == min(PARTS[name])) for name in (sight.part, sight.of))
        assert sight.num_labelled == len(part)
        nearest = np.full(len(part), 10**6)
        if len(of):
            nearest = abs(part[:, None] - of).max(axis=2).min(axis=1)
        seeing = nearest[nearest <= reach_px]
        assert sight.num_seeing == len(seeing)
        assert sight.distance_px == (seeing.min() if len(seeing) else None)


def test_random_leaks_and_blocks_with_a_buffer_do_not():
    landslide = np.zeros((240, 240), dtype="uint8")
    grid = grid_of(landslide.shape)
    shares = {}
    for kind in ("random", "block"):
        reader = HostReader({"landslide": landslide})
        config = SplitConfig(kind=kind, block_px=60)
        plan = plan_split(config, grid, 20, 12, reader, grid.windows(100))
        split = np.vstack(
            [
                np.hstack(
                    [plan.block(w, landslide[w.slices]) for w in grid.windows(120) if w.y0 == top]
                )
                for top in (0, 120)
            ]
        )
        for sight in audit(split, 12, block_px=100).sights:
            shares[kind, sight.part, sight.of] = sight.share, sight.distance_px
    assert shares["random", "test", "train"][0] > 0.8
    assert shares["random", "test", "train"][1] == 1
    assert {v for k, v in shares.items() if k[0] == "block"} == {(0.0, None)}


def test_parts_that_do_not_exist_are_left_out():
    split = np.array([[0, 1, 2, 255]], dtype="uint8")
    parts = SplitConfig(folds=3, validation="none", test_fold=2).parts()
    (sight,) = audit(split, 1, parts).sights
    assert (sight.part, sight.of, sight.num_seeing, sight.share) == ("test", "train", 1, 1.0)
    nothing = audit(np.full((3, 3), 255, dtype="uint8"), 1).sights
    assert [s.share for s in nothing] == [pytest.approx(0.0)] * 3
