import io

import numpy as np
import pytest
from matplotlib.image import imread

from landslide_dist import schema
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.maps import partition_map
from landslide_dist.evaluation.overview import Overview, Part
from landslide_dist.evaluation.panel import (
    TRUTH,
    model_panel,
    telling_window,
    true_probability,
    window_at,
)
from landslide_dist.grid import Window
from landslide_dist.store import cube
from landslide_dist.store.location import open_group


def pixels(png):
    return imread(io.BytesIO(png), format="png")[..., :3]


def set_labels(run, landslide):
    stored = cube.array(open_group(run.cube, "r+"), "landslide")
    for window in cube.shard_windows(run.cube):
        cube.write_block(stored, window, landslide[window.slices].astype(np.uint8))


@pytest.fixture
def run(make_run):
    return make_run()


def test_the_window_lies_where_landslides_of_the_part_are(run):
    landslide = np.zeros(run.landslide.shape, np.uint8)
    landslide[5:35, 10:40] = 1  # many, of the training part
    landslide[70:80, 130:140] = 1  # few, of the test part
    set_labels(run, landslide)
    test = Part(run.split, run.parts["test"])
    assert landslide[telling_window(run.cube, 30).slices].sum() > 800
    window = telling_window(run.cube, 30, test)
    assert landslide[window.slices].sum() == 100
    assert window.shape == (30, 30)
    whole = telling_window(run.cube, 5000, test)
    assert whole.shape == (120, 120)


def test_a_window_is_given_by_map_coordinates(run):
    # Left 600000, top 5101200, pixels of 10 m.
    assert window_at(run.cube, 20, (600505.0, 5100895.0)) == Window(20, 40, 20, 20)
    assert window_at(run.cube, 20, (600005.0, 5101195.0)) == Window(0, 0, 20, 20)
    with pytest.raises(ConfigError, match=r"window_centre \(0.0, 0.0\) is outside .*600000"):
        window_at(run.cube, 20, (0.0, 0.0))


@pytest.mark.parametrize("max_px", [200, 31])
def test_pixels_of_a_window_shrink_as_the_store_does(run, max_px):
    overview = Overview.of(run.cube, max_px, Window(7, 11, 90, 80))
    values = run.truth[overview.window.slices].astype(np.float32)
    expected = true_probability(overview)[TRUTH]
    np.testing.assert_allclose(overview.shrunk(values), expected, rtol=1e-5)


def test_the_panel_outlines_the_test_part(run):
    overview = Overview.of(run.cube, 100, Window(0, 60, 100, 80))
    maps = {"good": overview.mean("probability", run.predictions["good"])}
    test = Part(run.split, run.parts["test"])
    plain, outlined = (pixels(model_panel(overview, maps, p, 300)) for p in (None, test))
    # A border from top to bottom, in the map and in the truth, is a run of dark columns.
    dark = [(p.max(axis=-1) < 0.4).sum(axis=0) > 600 for p in (plain, outlined)]
    assert [int((np.diff(columns.astype(int)) == 1).sum()) for columns in dark] == [0, 2]


def test_single_labels_are_dots_that_can_be_seen(run, write_variable):
    landslide = np.full(run.landslide.shape, schema.UNLABELLED, np.uint8)
    split = landslide.copy()
    for value, (y, x) in enumerate([(30, 30), (60, 70), (90, 120)]):
        landslide[y, x] = 1
        split[y, x] = value
    set_labels(run, landslide)
    write_variable(run.split, [(schema.SPLIT, split)], run.storage)
    picture = pixels(partition_map(run.cube, run.split, run.parts))
    orange = (picture[..., 0] > picture[..., 2] + 0.5) & (picture[..., 1] < 0.5)
    assert orange.sum() > 60
    overview = Overview.of(run.cube)
    panel = pixels(model_panel(overview, true_probability(overview)))
    blue = (panel[..., 2] > 0.7) & (panel[..., 0] < 0.2)
    assert blue.sum() > 60
