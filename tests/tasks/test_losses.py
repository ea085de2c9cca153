"""Sums and counts of the negative log-likelihood."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from landslide_dist.tasks.losses import nll_sum


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
