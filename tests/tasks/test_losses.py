"""Sums and counts of the negative log-likelihood."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from landslide_dist.tasks.losses import focal_tversky_sum, nll_sum


def case(num=10_000):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(-3, 2, (2, num // 2)).astype(np.float32))
    target = torch.from_numpy(rng.choice([0, 1, 255], (2, num // 2)).astype(np.uint8))
    return logits, target


def test_equals_scikit_learn_over_labelled_pixels():
    logits, target = case()
    total, count = nll_sum(logits, target)
    labelled = (target != 255).numpy()
    probability = logits.double().sigmoid().numpy()[labelled]
    expected = log_loss(target.numpy()[labelled], probability, normalize=False)
    assert total.dtype == torch.float64
    assert int(count) == labelled.sum()
    assert float(total) == pytest.approx(expected, rel=1e-7)


def test_parts_add_up():
    logits, target = case()
    whole, count = nll_sum(logits, target)
    parts = [nll_sum(a, b) for a, b in zip(logits.split(1), target.split(1), strict=True)]
    assert sum(float(t) for t, _ in parts) == pytest.approx(float(whole), rel=1e-9)
    assert sum(int(n) for _, n in parts) == int(count)


def test_a_long_sum_loses_nothing():
    logits = torch.full((4_000_000,), -4.33)
    total, count = nll_sum(logits, torch.zeros_like(logits, dtype=torch.uint8))
    assert float(total) == pytest.approx(4_000_000 * np.log1p(np.exp(-4.33)), rel=1e-6)
    assert int(count) == 4_000_000


def test_masked_pixels_have_no_gradient_whatever_their_logit():
    logits = torch.tensor([0.5, float("nan"), float("inf"), -2.0], requires_grad=True)
    target = torch.tensor([1, 255, 255, 0], dtype=torch.uint8)
    total, count = nll_sum(logits, target)
    total.backward()
    assert int(count) == 2
    assert logits.grad is not None
    expected = [torch.sigmoid(torch.tensor(0.5)) - 1, 0, 0, torch.sigmoid(torch.tensor(-2.0))]
    torch.testing.assert_close(logits.grad, torch.tensor(expected))


def test_nothing_labelled():
    logits = torch.randn(3, requires_grad=True)
    total, count = nll_sum(logits, torch.full((3,), 255, dtype=torch.uint8))
    total.backward()
    assert float(total.detach()) == int(count) == 0
    assert not logits.grad.any()


def test_half_precision_logits():
    logits, target = case()
    total, _ = nll_sum(logits.bfloat16(), target)
    assert float(total) == pytest.approx(float(nll_sum(logits, target)[0]), rel=1e-2)


def tversky(probability, target, alpha=0.7, beta=0.3, gamma=4 / 3):
    """The published formula on one sample, in float64."""
    p, t = probability.double().flatten(), target.double().flatten()
    hit, missed, false = (p * t).sum(), ((1 - p) * t).sum(), (p * (1 - t)).sum()
    return float(1 - (hit + 1) / (hit + alpha * missed + beta * false + 1)) ** (1 / gamma)


def test_focal_tversky_is_the_published_formula_of_each_sample():
    torch.manual_seed(0)
    logits = torch.randn(3, 20, 20)
    target = (torch.rand(3, 20, 20) < 0.2).to(torch.uint8)
    target[1] = 0
    total, count = focal_tversky_sum(logits, target)
    expected = sum(tversky(p, t) for p, t in zip(logits.sigmoid(), target, strict=True))
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert int(count) == 3
    swapped = focal_tversky_sum(logits, target, alpha=0.3, beta=0.7)[0]
    assert float(swapped) != pytest.approx(expected, rel=1e-3)


def test_focal_tversky_counts_labelled_samples_and_pixels_alone():
    torch.manual_seed(0)
    logits = torch.randn(2, 8, 8)
    target = (torch.rand(2, 8, 8) < 0.5).to(torch.uint8)
    target[0, :, 4:] = 255
    target[1] = 255
    logits[0, 0, 7] = float("nan")
    logits.requires_grad_()
    total, count = focal_tversky_sum(logits, target)
    total.backward()
    assert int(count) == 1
    assert float(total.detach()) == pytest.approx(
        tversky(logits[0, :, :4].detach().sigmoid(), target[0, :, :4]), rel=1e-5
    )
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[1].any()
    assert not logits.grad[0, :, 4:].any()


def test_focal_tversky_of_a_perfect_map_has_a_gradient():
    target = torch.ones(1, 4, 4, dtype=torch.uint8)
    logits = torch.full((1, 4, 4), 100.0, requires_grad=True)
    focal_tversky_sum(logits, target)[0].backward()
    assert torch.isfinite(logits.grad).all()
