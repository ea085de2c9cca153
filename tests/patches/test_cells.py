import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.grid import Grid
from landslide_dist.patches.cells import CellGrid


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 25), st.integers(1, 25), st.integers(0)
)
@settings(max_examples=100, deadline=None)
def test_counts_are_those_of_each_cell_whatever_the_blocks(height, width, cell_px, block_px, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.4
    grid = Grid.from_bounds("EPSG:32632", 10, (0, 0, width * 10, height * 10))
    cells = CellGrid(grid.shape, cell_px)
    counts = np.zeros(cells.num_cells, dtype=np.int64)
    for window in grid.windows(block_px):
        cells.add(counts, window, mask[window.slices])
    expected = [mask[window.slices].sum() for window in grid.windows(cell_px)]
    assert counts.ravel().tolist() == expected
