import numpy as np
import pytest

from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.sources import slides


def test_bodies_lie_downslope():
    offsets, counts = slides.bodies()
    assert len(counts) == len(ring_offsets(slides.DIRECTION_PX)) + 1
    for body, up in enumerate(ring_offsets(slides.DIRECTION_PX)):
        body_offsets = offsets[body, : counts[body]]
        assert [0, 0] in body_offsets.tolist()
        centre = body_offsets.mean(axis=0)
        assert centre @ up / np.hypot(*up) == pytest.approx(-slides.SHIFT_PX, abs=0.2)
    assert np.abs(offsets).max() <= slides.REACH_PX
    assert counts == pytest.approx(np.pi * slides.LENGTH_PX * slides.WIDTH_PX, rel=0.12)


def test_direction_is_downhill_and_none_on_nothing():
    rows = np.arange(20, dtype=np.float32)[:, None]
    rising_south = np.broadcast_to(rows, (20, 20)).copy()
    rising_south[0, 0] = np.nan
    direction = slides.directions(rising_south)
    dy, dx = ring_offsets(slides.DIRECTION_PX)[direction[10, 10]]
    assert dy == slides.DIRECTION_PX
    assert abs(dx) <= 1
    assert direction[0, 0] == len(ring_offsets(slides.DIRECTION_PX))


def test_coverage_is_the_frequency_of_being_covered():
    rng = np.random.default_rng(0)
    shape = (30, 34)
    num_bodies = len(slides.bodies()[1])
    direction = rng.integers(0, num_bodies, shape)
    starts = slides.start_rate(rng.gamma(0.3, 1.0, shape), direction)
    expected = slides.coverage(starts, direction)
    draws = 3000
    frequency = (
        sum(
            slides.covered(rng.random(shape) < -np.expm1(-starts), direction).astype(float)
            for _ in range(draws)
        )
        / draws
    )
    z = (frequency - expected) / np.sqrt(expected * (1 - expected) / draws + 1e-12)
    assert 0.05 < expected.mean() < 0.6
    assert np.abs(z).max() < 5
    assert z.std() == pytest.approx(1, abs=0.3)


def test_uniform_rate_is_met_away_from_the_edges():
    direction = np.full((60, 60), 5)
    starts = slides.start_rate(np.full((60, 60), 0.2), direction)
    inner = slides.coverage(starts, direction)[15:45, 15:45]
    assert inner == pytest.approx(1 - np.exp(-0.2))
