"""Distances of sets of images, and the plane that shows them."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy.stats import wasserstein_distance

from landslide_dist.errors import DataError
from landslide_dist.evaluation.embedding import (
    embed,
    embedding_figure,
    flattened,
    sliced_wasserstein,
)
from landslide_dist.kernels.histogram import apply_table, count_values, matching_table

RNG = np.random.default_rng


def chips(seed, levels, number=60):
    """Pictures with smooth structure, each colour with its own mean."""
    rng = RNG(seed)
    coarse = rng.gamma(6, 1 / 6, (number, 1, 6, 6)).repeat(4, axis=2).repeat(4, axis=3)
    noise = rng.normal(1, 0.1, (number, 3, 24, 24))
    return (coarse * noise * np.reshape(levels, (1, 3, 1, 1))).clip(0, 255).astype(np.uint8)


def matched(images, reference):
    out = np.empty_like(images)
    for band in range(3):
        source, wanted = (
            count_values(np.ascontiguousarray(of[:, band]), None, 256) for of in (images, reference)
        )
        values = np.ascontiguousarray(images[:, band])
        table = matching_table(source, wanted)
        out[:, band] = apply_table(values, table, None, np.uint8, 0)
    return out


def test_in_one_dimension_it_is_the_wasserstein_distance():
    a, b = RNG(0).normal(100, 9, (40, 1)), RNG(1).gamma(9, 9, (65, 1))
    expected = wasserstein_distance(a[:, 0], b[:, 0])
    assert sliced_wasserstein(a, b, 5, seed=0) == pytest.approx(expected, rel=1e-12)


def test_a_shift_is_its_mean_length_along_a_direction():
    num_features = 50
    a = RNG(0).uniform(0, 200, (30, num_features))
    moved = RNG(2).permutation(a) + 20
    # E|u_1| of a unit vector u, times the length of the shift.
    mean = math.gamma(num_features / 2) / math.gamma((num_features + 1) / 2) / math.sqrt(math.pi)
    expected = 20 * math.sqrt(num_features) * mean
    assert sliced_wasserstein(a, moved, 4000, seed=0) == pytest.approx(expected, rel=0.04)
    assert expected == pytest.approx(0.8 * 20, rel=0.01)


def test_it_is_a_distance():
    a, b, c = (RNG(seed).uniform(0, 255, (n, 7)) for seed, n in enumerate((20, 31, 25)))
    assert sliced_wasserstein(a, RNG(0).permutation(a), 50, seed=0) == pytest.approx(0, abs=1e-10)
    assert sliced_wasserstein(a, np.repeat(a, 3, axis=0), 50, 0) == pytest.approx(0, abs=1e-10)
    ab, bc, ac = (sliced_wasserstein(*pair, 50, seed=0) for pair in ((a, b), (b, c), (a, c)))
    assert ab == pytest.approx(sliced_wasserstein(b, a, 50, seed=0))
    assert 0 < ac < ab + bc
    assert ab != sliced_wasserstein(a, b, 50, seed=1)


def test_chips_are_reduced_as_the_models_do_it():
    images = chips(0, (90, 80, 70), number=2)
    rows = flattened(images)
    assert rows.shape == (2, 3 * 18 * 18)
    assert flattened(images, 24).tolist() == images.reshape(2, -1).tolist()
    # Bilinear without antialiasing: a pixel's centre at (y + 0.5) * 24 / 18 - 0.5.
    y, x = (0 + 0.5) * 24 / 18 - 0.5, (7 + 0.5) * 24 / 18 - 0.5
    fy, fx, y, x = y - int(y), x - int(x), int(y), int(x)
    own = images[1, 2].astype(float)
    expected = (1 - fy) * ((1 - fx) * own[y, x] + fx * own[y, x + 1]) + fy * (
        (1 - fx) * own[y + 1, x] + fx * own[y + 1, x + 1]
    )
    assert rows[1].reshape(3, 18, 18)[2, 0, 7] == pytest.approx(expected, rel=1e-5)


def test_matching_brings_sets_together(tmp_path):
    reference = chips(0, (120, 110, 90))
    others = {"oregon": chips(1, (50, 60, 45), 50), "rwenzori": chips(2, (160, 60, 70), 40)}
    before = embed({"bijie": flattened(reference)} | {n: flattened(c) for n, c in others.items()},
                   seed=0, perplexity=10)  # fmt: skip
    groups = {n: flattened(matched(c, reference)) for n, c in others.items()}
    after = embed({"bijie": flattened(reference)} | groups, seed=0, perplexity=10)
    assert list(before.distances) == ["oregon", "rwenzori"]
    for name in others:
        assert after.distances[name] < 0.5 * before.distances[name]
    assert {name: points.shape for name, points in before.points.items()} == {
        "bijie": (60, 2), "oregon": (50, 2), "rwenzori": (40, 2),
    }  # fmt: skip
    assert 0.9 < before.explained <= 1

    def own_share(embedding):
        """Share of images whose nearest neighbour in the plane is of their own group."""
        points = np.concatenate(list(embedding.points.values()))
        group = np.repeat(np.arange(3), [len(p) for p in embedding.points.values()])
        apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(apart, np.inf)
        return float((group[apart.argmin(axis=1)] == group).mean())

    assert own_share(after) + 0.2 < own_share(before)
    again = embed({"bijie": flattened(reference)} | groups, seed=0, perplexity=10)
    np.testing.assert_array_equal(again.points["oregon"], after.points["oregon"])
    picture = embedding_figure(before, after)
    (tmp_path / "embedding.png").write_bytes(picture)
    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)):
        near = (np.abs(image - colour).max(axis=-1) < 12).sum()
        assert near > 20


def test_too_few_images_for_the_perplexity_are_told():
    with pytest.raises(DataError, match="20 images are too few for t-SNE of perplexity 30"):
        embed({"a": np.zeros((12, 5)), "b": np.ones((8, 5))}, seed=0)
