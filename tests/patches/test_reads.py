import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.grid import Window
from landslide_dist.patches.order import PADDING
from landslide_dist.patches.reads import plan_reads

SIDE_PX = 6


@st.composite
def samples(draw):
    """Origins, batch and visit of some samples, padding among them."""
    count = draw(st.integers(0, 30))
    visit = draw(st.lists(st.integers(PADDING, 5), min_size=count, max_size=count))
    batch = np.sort(draw(st.lists(st.integers(0, 8), min_size=count, max_size=count)))
    corner = st.tuples(st.integers(-20, 40), st.integers(-20, 40))
    origins = [
        (-99, -99) if v == PADDING else draw(corner) if draw(st.booleans()) else (3 * v, 2 * v)
        for v in visit
    ]
    return (
        np.array(origins, dtype=np.int64).reshape(count, 2),
        batch.astype(np.int64),
        np.array(visit, dtype=np.int64),
    )


def area_px(windows):
    return sum(window.height * window.width for window in windows)


def window_of(origin):
    return Window(int(origin[0]), int(origin[1]), SIDE_PX, SIDE_PX)


@given(samples(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_each_sample_lies_in_its_read(case, together):
    origins, batch, visit = case
    plan = plan_reads(origins, SIDE_PX, batch, visit, together)
    assert len(plan.read) == len(origins)
    for origin, read in zip(origins, plan.read.tolist(), strict=True):
        assert plan.windows[read].intersect(window_of(origin)) == window_of(origin)


@given(samples(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_reads_come_in_the_order_of_first_need_and_go_after_the_last(case, together):
    origins, batch, visit = case
    plan = plan_reads(origins, SIDE_PX, batch, visit, together)
    assert sorted(set(plan.read.tolist())) == list(range(len(plan.windows)))
    for read in range(len(plan.windows)):
        needed = batch[plan.read == read]
        assert (plan.first[read], plan.last[read]) == (needed.min(), needed.max())
    assert (np.diff(plan.first) >= 0).all()
    # Within a batch too, in the order of its samples.
    _, first_sample = np.unique(plan.read, return_index=True)
    assert (np.diff(first_sample) > 0).all()


@given(samples())
@settings(max_examples=200, deadline=None)
def test_a_visit_is_read_together_where_that_is_less(case):
    origins, batch, visit = case
    plan = plan_reads(origins, SIDE_PX, batch, visit)
    for number in set(visit.tolist()):
        mine = visit == number
        reads = {plan.windows[read] for read in plan.read[mine].tolist()}
        low, high = origins[mine].min(axis=0), origins[mine].max(axis=0) + SIDE_PX
        box = Window(int(low[0]), int(low[1]), *(high - low).tolist())
        alone = [window_of(origin) for origin in origins[mine]]
        if area_px([box]) <= area_px(alone):
            assert reads == {box}
            assert len(set(plan.read[mine].tolist())) == 1
        else:
            assert reads == set(alone)
    # Never more than a read for each sample.
    assert area_px(plan.windows) <= len(origins) * SIDE_PX**2


@given(samples())
@settings(max_examples=100, deadline=None)
def test_apart_is_a_read_for_each_sample(case):
    origins, batch, visit = case
    plan = plan_reads(origins, SIDE_PX, batch, visit, together=False)
    assert plan.windows == [window_of(origin) for origin in origins]
    assert plan.read.tolist() == list(range(len(origins)))
    assert plan.first.tolist() == plan.last.tolist() == batch.tolist()


@given(samples(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_peak_is_what_the_busiest_batch_needs(case, together):
    origins, batch, visit = case
    plan = plan_reads(origins, SIDE_PX, batch, visit, together)
    needed = [
        area_px(
            window
            for window, first, last in zip(plan.windows, plan.first, plan.last, strict=True)
            if first <= number <= last
        )
        for number in range(10)
    ]
    assert plan.peak_px() == max(needed)


def test_all_padding_is_one_small_read_beyond_the_raster():
    origins = np.array([[5, 5], [-99, -99], [6, 5], [-99, -99]])
    plan = plan_reads(origins, SIDE_PX, np.array([0, 0, 4, 4]), np.array([2, PADDING, 2, PADDING]))
    assert plan.windows == [Window(5, 5, 7, 6), Window(-99, -99, 6, 6)]
    assert plan.read.tolist() == [0, 1, 0, 1]
    assert plan.last.tolist() == [4, 4]
