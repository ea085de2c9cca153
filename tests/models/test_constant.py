"""The baselines without weights."""

import numpy as np
import pytest
import torch

from landslide_dist.batch import Batch


def empty_batch(cores):
    target = torch.zeros(len(cores), *cores[0][2:], dtype=torch.uint8)
    return Batch({}, target, torch.tensor([core[:2] for core in cores]), 0)


def test_naive_is_the_share_everywhere(make):
    model = make(kind="naive")
    logits = model(empty_batch([(0, 0, 5, 7)]))
    np.testing.assert_allclose(logits.sigmoid(), np.full((1, 5, 7), 0.013), rtol=1e-6)
    assert model.inputs == ()


def test_random_does_not_depend_on_the_tiling(make):
    model = make(kind="random")
    whole = model(empty_batch([(0, 0, 60, 80)]))[0]
    cores = [(y, x, 20, 16) for y in range(0, 60, 20) for x in range(0, 80, 16)]
    for (y, x, _, _), tile in zip(cores, model(empty_batch(cores)), strict=True):
        assert torch.equal(tile, whole[y : y + 20, x : x + 16])


def test_random_draws_the_share_anywhere_in_a_large_raster(make):
    model = make(kind="random")
    for origin in [(0, 0), (20_000, 19_000), (2**31, 2**31)]:
        probability = model(empty_batch([(*origin, 1000, 1000)])).sigmoid()
        assert probability.unique().tolist() == pytest.approx([0.001, 0.999], abs=1e-6)
        drawn = (probability > 0.5).double()
        assert drawn.mean() == pytest.approx(0.013, abs=5e-4)
        # Neither rows nor columns are alike.
        assert drawn.mean(1).std() < 0.005
        assert drawn.mean(2).std() < 0.005


def test_another_seed_draws_other_pixels(make):
    batch = empty_batch([(0, 0, 300, 300)])
    first, second = (make(kind="random", seed=seed)(batch) > 0 for seed in (0, 1))
    assert int((first & second).sum()) < 0.2 * int(first.sum())


def test_expected_nll_of_the_paper(make):
    """Random 0.18 (SACNN paper, 5.1), Naive 0.069 (LACNN paper, 4.3) on the training set."""
    batch = empty_batch([(0, 0, 1500, 1500)])
    labels = (torch.rand(1500, 1500, generator=torch.Generator().manual_seed(0)) < 0.013).float()
    for kind, expected in (("random", 0.18), ("naive", 0.069)):
        logits = make(kind=kind)(batch)[0]
        nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        assert float(nll) == pytest.approx(expected, abs=0.004)
