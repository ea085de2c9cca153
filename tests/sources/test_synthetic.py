import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.config.sources import SyntheticSource
from landslide_dist.grid import Window
from landslide_dist.sources.synthetic import synthetic_grid, synthetic_sources

SHAPE = (170, 150)
NAMES = {
    "elevation",
    "lithology",
    "land_cover",
    "rock_family",
    "rock_age",
    "landslide",
    "true_probability",
}


@pytest.fixture(scope="module", params=["pixels", "polygons"])
def region(request):
    config = SyntheticSource(seed=3, height=SHAPE[0], width=SHAPE[1], inventory=request.param)
    sources = synthetic_sources(config)
    whole = {name: source.read(Window(0, 0, *SHAPE)) for name, source in sources.items()}
    return sources, whole


def test_grid_is_that_of_the_configuration():
    grid = synthetic_grid(SyntheticSource(height=40, width=50, pixel_m=25.0))
    assert grid.shape == (40, 50)
    assert grid.pixel_m == 25.0
    assert grid.crs == "EPSG:32632"


def test_variables_are_as_declared(region):
    sources, whole = region
    assert set(sources) == NAMES
    assert list(sources)[-1] == "landslide"
    for name, source in sources.items():
        assert source.variable.name == name
        assert whole[name].shape == SHAPE
        assert whole[name].dtype == source.variable.dtype
        assert source.provenance()[0]["seed"] == 3


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_blocks_equal_the_whole(region, data):
    sources, whole = region
    y0, x0 = (data.draw(st.integers(0, size - 1)) for size in SHAPE)
    height = data.draw(st.integers(1, SHAPE[0] - y0))
    width = data.draw(st.integers(1, SHAPE[1] - x0))
    window = Window(y0, x0, height, width)
    name = data.draw(st.sampled_from(sorted(NAMES)))
    np.testing.assert_array_equal(sources[name].read(window), whole[name][window.slices])


def test_sources_survive_pickling(region):
    sources, whole = region
    window = Window(100, 90, 40, 60)
    for name, source in pickle.loads(pickle.dumps(sources)).items():
        np.testing.assert_array_equal(source.read(window), whole[name][window.slices])


def test_truth_is_a_probability_and_labels_are_complete(region):
    _, whole = region
    truth = whole["true_probability"]
    assert 0 <= truth.min() < 0.01
    assert 0.4 < truth.max() <= 1
    assert set(np.unique(whole["landslide"])) == {0, 1}


@pytest.mark.parametrize("inventory", ["pixels", "polygons"])
@pytest.mark.parametrize("base_rate", [0.02, 0.1, 0.4])
def test_base_rate_is_about_the_share_of_landslides(inventory, base_rate):
    config = SyntheticSource(
        seed=1, height=700, width=600, base_rate=base_rate, inventory=inventory
    )
    sources = synthetic_sources(config)
    window = Window(0, 0, 700, 600)
    assert sources["true_probability"].read(window).mean() == pytest.approx(base_rate, rel=0.25)
    assert sources["landslide"].read(window).mean() == pytest.approx(base_rate, rel=0.25)


def test_labels_are_drawn_from_the_truth():
    config = SyntheticSource(seed=2, height=600, width=600)
    sources = synthetic_sources(config)
    truth, labels = (
        sources[name].read(Window(0, 0, 600, 600)).ravel().astype(np.float64)
        for name in ("true_probability", "landslide")
    )
    for part in np.array_split(np.argsort(truth), 20):
        p, spread = truth[part].mean(), np.sqrt((truth[part] * (1 - truth[part])).sum())
        assert abs(labels[part].sum() - p * part.size) < 4.5 * spread + 1
    # Neighbours are independent draws: what is left after the truth does not correlate.
    left = (labels - truth).reshape(600, 600)
    assert abs(np.corrcoef(left[:, 1:].ravel(), left[:, :-1].ravel())[0, 1]) < 0.01


def test_two_seeds_are_two_regions():
    window = Window(0, 0, 64, 64)
    first, second = (
        synthetic_sources(SyntheticSource(seed=seed, height=64, width=64)) for seed in (0, 1)
    )
    for name in NAMES:
        assert not np.array_equal(first[name].read(window), second[name].read(window))
