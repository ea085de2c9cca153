import numpy as np
import pytest

from landslide_dist.config.sources import SyntheticSource
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Window
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_index
from landslide_dist.sources import geology, hazard
from landslide_dist.sources.fractal import elevation

CONFIG = SyntheticSource(seed=4, height=150, width=140)
WHOLE = Window(0, 0, 150, 140)


@pytest.fixture(scope="module")
def region():
    """What `ingest` and `derive` give the models, over the whole raster."""
    ground = elevation(CONFIG.seed, CONFIG.pixel_m, WHOLE)
    return {
        "elevation": ground.astype(np.float64),
        "slope": slope(ground, CONFIG.pixel_m),
        "lithology": geology.lithology(CONFIG.seed, WHOLE),
        "land_cover": geology.land_cover(CONFIG.seed, WHOLE),
        "uphill": {radius: uphill_index(ground, radius) for radius in (3, 10, 30)},
    }


def formula(region, y, x):
    """The log odds of one pixel, written out."""

    def quantities(row, column):
        steepness = region["slope"][row, column]
        return (
            hazard.WEAKNESS.get(region["lithology"][row, column], 0.0),
            hazard.OPENNESS.get(region["land_cover"][row, column], 0.0),
            0.0 if np.isnan(steepness) else (min(steepness, 50) - 22) / 12,
        )

    z = region["elevation"]
    w, c, s = quantities(y, x)
    e = (z[y, x] / 10 - 135) / 22
    total = 0.45 * w + 0.4 * s + 0.32 * c - 0.27 * e - 0.36 * s**2 - 1.2 * w * s + 0.63 * w * c
    for radius, weight in zip((3, 10, 30), hazard.RING_WEIGHTS, strict=True):
        dy, dx = ring_offsets(radius)[region["uphill"][radius][y, x]]
        d = ((z[y + dy, x + dx] - z[y, x]) / (10 * radius) - 0.35) / 0.2
        w, c, s_there = quantities(y + dy, x + dx)
        interactions = w * s_there + w * c + w * s
        total += weight * (0.63 * w + 0.5 * c + 0.4 * s_there + 0.27 * d + 0.22 * interactions)
    box = slice(max(0, y - 10), y + 11), slice(max(0, x - 10), x + 11)
    rocks, covers = region["lithology"][box], region["land_cover"][box]
    weak = np.isin(rocks, (geology.DEBRIS, geology.CLAY, geology.CLAYSTONE)).mean()
    open_ = np.isin(covers, (geology.AGRICULTURE, geology.ARTIFICIAL)).mean()
    relief = (np.ptp(z[box]) / 10 - 10) / 5
    weak, open_ = (weak - 0.43) / 0.25, (open_ - 0.5) / 0.25
    return total + 1.12 * weak + 0.9 * open_ + 0.45 * relief + 0.27 * weak * relief


def test_log_odds_are_the_formula_of_what_models_get(region):
    odds = hazard.log_odds(CONFIG, WHOLE)
    inside = np.random.default_rng(0).integers((0, 0), WHOLE.shape, (60, 2))
    for y, x in [(0, 0), (149, 139), (0, 70), (75, 1), (31, 139), *inside]:
        assert odds[y, x] == pytest.approx(formula(region, y, x), abs=1e-4), (y, x)


def test_any_window_holds_the_same_log_odds():
    whole = hazard.log_odds(CONFIG, WHOLE)
    for window in (Window(0, 0, 1, 1), Window(149, 0, 1, 140), Window(40, 51, 33, 60)):
        np.testing.assert_array_equal(hazard.log_odds(CONFIG, window), whole[window.slices])


def test_every_part_carries_signal():
    """Neither what a pixel holds nor its uphill points are enough: that is what is compared."""
    ground = elevation(CONFIG.seed, CONFIG.pixel_m, WHOLE)
    features = hazard._features(CONFIG, ground, WHOLE)
    own, local = np.empty(WHOLE.shape), np.zeros(WHOLE.shape)
    hazard._own(features, 0, 0, own)
    hazard._add_local(CONFIG, features, ground, WHOLE, local)
    uphill = hazard.log_odds(CONFIG, WHOLE) - own - local
    assert min(own.std(), uphill.std(), local.std()) > 0.5


def test_other_rings_at_other_pixel_sizes():
    fine = CONFIG.model_copy(update={"pixel_m": 5.0})
    assert np.isfinite(hazard.log_odds(fine, Window(0, 0, 20, 20))).all()
    with pytest.raises(ConfigError, match="100 m"):
        hazard.log_odds(CONFIG.model_copy(update={"pixel_m": 100.0}), WHOLE)
