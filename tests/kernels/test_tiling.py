import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from landslide_dist.kernels.tiling import aligned_context, aligned_core, tiles

sizes = st.integers(1, 80)


@given(st.tuples(sizes, sizes), sizes, st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_every_pixel_lies_in_one_core(shape, core, start):
    seen = np.zeros((shape[0] + 2 * 80 + 9, shape[1] + 2 * 80 + 9), int)
    for y0, x0 in tiles(shape, core, start):
        seen[y0 : y0 + core, x0 : x0 + core] += 1
    box = seen[start[0] : start[0] + shape[0], start[1] : start[1] + shape[1]]
    assert (box == 1).all()


@given(st.integers(0, 500), st.sampled_from([1, 2, 4, 8, 16]))
def test_alignment_rounds_up_to_the_pooling_grid(pixels, stride):
    for aligned in (aligned_context(pixels, stride), aligned_core(pixels, stride)):
        assert aligned % stride == 0
        assert 0 <= aligned - pixels < stride
