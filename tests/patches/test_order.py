import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.errors import ConfigError
from landslide_dist.patches import order as order_module
from landslide_dist.patches.order import (
    PADDING,
    permutation,
    sample_keys,
    sequential_order,
    training_order,
)

#: Of patches 0 and 1, copies 0 and 2, seed and epoch 0.
PINNED_KEYS = [6101518786674451128, 8975669849055855702]


@st.composite
def cases(draw):
    """Blocks and copies of some patches, lanes, seed and epoch."""
    num_patches = draw(st.integers(0, 60))
    blocks = draw(st.lists(st.integers(0, 12), min_size=num_patches, max_size=num_patches))
    copies = draw(st.lists(st.integers(1, 5), min_size=num_patches, max_size=num_patches))
    num_lanes = draw(st.integers(1, 8))
    seed, epoch = draw(st.integers(-3, 5)), draw(st.integers(0, 5))
    return (
        np.array(blocks, dtype=np.int64),
        np.array(copies, dtype=np.int64),
        training_order(np.array(blocks, int), np.array(copies, int), seed, epoch, num_lanes),
    )


def batches(order, batch_size, world_size):
    """Every rank's shares of every global batch."""
    count = -(-len(order) // batch_size)
    return [
        [order.share(number, batch_size, rank, world_size) for rank in range(world_size)]
        for number in range(count)
    ]


def members(shares):
    """The samples of a global batch, whoever takes them, in no order."""
    return sorted(
        (patch, copy)
        for share in shares
        for patch, copy in zip(share.patch.tolist(), share.copy.tolist(), strict=True)
        if patch != PADDING
    )


@given(cases())
@settings(max_examples=100, deadline=None)
def test_each_sample_is_exactly_its_copies(case):
    _, copies, order = case
    samples = sorted(zip(order.patch.tolist(), order.copy.tolist(), strict=True))
    assert samples == [(p, c) for p, n in enumerate(copies.tolist()) for c in range(n)]


@given(cases())
@settings(max_examples=100, deadline=None)
def test_a_block_has_one_lane(case):
    blocks, _, order = case
    lanes = {}
    for patch, lane in zip(order.patch.tolist(), order.lane.tolist(), strict=True):
        assert lanes.setdefault(blocks[patch], lane) == lane


@given(cases())
@settings(max_examples=100, deadline=None)
def test_round_robin_skips_exhausted_lanes(case):
    _, _, order = case
    left = dict(enumerate(np.bincount(order.lane, minlength=order.num_lanes).tolist()))
    expected = []
    while any(left.values()):
        for lane, samples in list(left.items()):
            if samples:
                left[lane] -= 1
                expected.append(lane)
    assert order.lane.tolist() == expected


@given(cases(), st.integers(1, 20), st.data())
@settings(max_examples=150, deadline=None)
def test_global_batches_are_the_same_for_every_world_size(case, batch_size, data):
    _, _, order = case
    world_size = data.draw(st.integers(1, order.num_lanes))
    shared = batches(order, batch_size, world_size)
    alone = batches(order, batch_size, 1)
    assert [members(shares) for shares in shared] == [members(shares) for shares in alone]
    for shares in shared:
        sizes = [int((share.patch != PADDING).sum()) for share in shares]
        # Every rank steps with the same number of samples, no more than the busiest needs.
        assert {len(share.patch) for share in shares} == {max(sizes)}
    sizes = [len(members(shares)) for shares in alone]
    assert all(size == batch_size for size in sizes[:-1])
    assert sum(sizes) == len(order)


@given(cases(), st.integers(1, 9), st.data())
@settings(max_examples=50, deadline=None)
def test_a_resume_on_another_world_size_and_batch_size_completes_the_epoch(case, size, data):
    _, _, order = case
    before, after = (data.draw(st.integers(1, order.num_lanes)) for _ in range(2))
    cut = data.draw(st.integers(0, -(-len(order) // size)))
    done = batches(order, size, before)[:cut] + batches(order, size, after)[cut:]
    assert sorted(sample for shares in done for sample in members(shares)) == members([order])


def test_ranks_read_their_own_lanes_in_the_order_of_the_batch():
    order = training_order(np.arange(40) // 4, np.ones(40, int), 1, 0, num_lanes=4)
    share = order.share(0, 8, 1, 2)
    assert share.patch.tolist() == order.patch[:8][order.lane[:8] % 2 == 1].tolist()


def test_copies_lie_in_different_visits(monkeypatch):
    # Without mixing, a lane is its visits one after the other; with equal copies everywhere each
    # visit of the only block holds every patch once.
    monkeypatch.setattr(order_module, "MIXED_VISITS", 1)
    order = training_order(np.zeros(20, int), np.full(20, 3), 0, 0, num_lanes=1)
    for visit in order.patch.reshape(3, 20):
        assert sorted(visit.tolist()) == list(range(20))
    assert len({tuple(visit) for visit in order.patch.reshape(3, 20).tolist()}) == 3


def test_patches_without_copies_are_spread_over_the_visits(monkeypatch):
    monkeypatch.setattr(order_module, "MIXED_VISITS", 1)
    copies = np.ones(100, int)
    copies[0] = 5
    order = training_order(np.zeros(100, int), copies, 0, 0, num_lanes=1)
    places = np.flatnonzero(order.patch == 0)
    assert len(places) == 5
    assert places.max() - places.min() > 40


def test_lanes_are_of_nearly_equal_length():
    rng = np.random.default_rng(0)
    blocks = np.repeat(np.arange(200), 8)
    copies = np.where(rng.random(1600) < 0.2, 5, 1)
    order = training_order(blocks, copies, 0, 0, num_lanes=16)
    lengths = np.bincount(order.lane)
    largest_block = np.bincount(blocks, weights=copies).max()
    assert lengths.max() - lengths.min() <= largest_block


def test_epochs_and_seeds_differ_and_repeat():
    blocks, copies = np.arange(50) // 5, np.ones(50, int)

    def sequence(seed, epoch):
        return training_order(blocks, copies, seed, epoch).patch.tolist()

    assert sequence(1, 2) == sequence(1, 2)
    assert len({tuple(sequence(s, e)) for s in (0, 1, -1) for e in (0, 1)}) == 6


def test_the_order_is_pinned():
    # A change of these numbers breaks every resume: they follow from Philox bits alone.
    assert permutation(8, 3, 1).tolist() == [5, 6, 3, 7, 0, 1, 2, 4]
    order = training_order(np.arange(8) // 2, np.array([1, 1, 3, 1, 1, 1, 2, 1]), 7, 3, num_lanes=2)
    assert order.patch.tolist() == [3, 7, 2, 5, 2, 4, 2, 6, 1, 6, 0]
    assert order.lane.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0]
    # Large enough for lanes of many visits, where the draw of the visits matters too.
    order = training_order(np.arange(300) // 5, np.arange(300) % 3 + 1, 7, 3, num_lanes=3)
    assert int(order.patch @ np.arange(len(order))) == 26422434


@given(cases())
@settings(max_examples=100, deadline=None)
def test_a_visit_is_one_block_and_holds_a_patch_once(case):
    blocks, _, order = case
    for visit in np.unique(order.visit):
        mine = order.patch[order.visit == visit]
        assert len(np.unique(blocks[mine])) == 1
        assert len(np.unique(mine)) == len(mine)


@given(cases())
@settings(max_examples=100, deadline=None)
def test_few_visits_of_a_lane_are_under_way_at_a_time(case):
    """What a reader has to hold does not grow with the epoch."""
    _, _, order = case
    for lane in np.unique(order.lane):
        visits = order.visit[order.lane == lane]
        spans = [np.flatnonzero(visits == visit)[[0, -1]] for visit in np.unique(visits)]
        under_way = [sum(a <= t <= b for a, b in spans) for t in range(len(visits))]
        assert max(under_way) <= order_module.MIXED_VISITS


def test_validation_goes_block_by_block_and_is_spread_over_ranks():
    order = sequential_order(np.arange(10) // 2, num_lanes=2)
    # Blocks 0, 2 and 4 are one lane, 1 and 3 the other.
    assert order.patch.tolist() == [0, 2, 1, 3, 4, 6, 5, 7, 8, 9]
    assert order.visit.tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4, 4]
    assert order.share(0, 8, 0, 2).patch.tolist() == [0, 1, 4, 5]
    assert order.share(1, 8, 0, 2).patch.tolist() == [8, 9]
    assert order.share(1, 8, 1, 2).patch.tolist() == [PADDING, PADDING]


def test_more_ranks_than_lanes_are_refused():
    with pytest.raises(ConfigError, match="17 processes share 16 lanes"):
        sequential_order(np.arange(10)).share(0, 4, 0, 17)


def test_keys_are_of_seed_epoch_patch_and_copy_alone():
    patch, copy = (axis.ravel() for axis in np.mgrid[0:300, 0:5])
    keys = sample_keys(patch, copy, 3, 1, 4)
    assert keys.min() >= 0
    assert len(np.unique(keys)) == len(keys)
    for other in ((3, 2, 4), (4, 1, 4)):
        assert not np.isin(sample_keys(patch, copy, *other), keys).any()
    # Written once, so that a training goes on alike with any later version.
    assert sample_keys(np.array([0, 1]), np.array([0, 2]), 0, 0, 4).tolist() == PINNED_KEYS


def test_a_sample_keeps_its_key_on_any_number_of_ranks():
    blocks = np.repeat(np.arange(20), 5)
    order = training_order(blocks, np.full(100, 2), seed=1, epoch=3, num_lanes=8)
    expected = dict(zip(zip(order.patch, order.copy, strict=True), order.key, strict=True))
    assert len(set(expected.values())) == 200
    for world_size in (1, 3, 8):
        for rank in range(world_size):
            share = order.share(2, 13, rank, world_size)
            for patch, copy, key in zip(share.patch, share.copy, share.key, strict=True):
                assert key == (0 if patch == PADDING else expected[patch, copy])
