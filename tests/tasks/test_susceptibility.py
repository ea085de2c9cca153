"""The susceptibility task."""

import pytest
import torch

from landslide_dist.tasks import SusceptibilityTask
from landslide_dist.tasks.losses import nll_sum


def test_loss_is_over_the_labelled_pixels():
    logits = torch.randn(2, 3, 4)
    target = torch.randint(0, 2, (2, 3, 4), dtype=torch.uint8)
    target[0, 0] = 255
    total, count = SusceptibilityTask().loss(logits, target)
    assert (float(total), int(count)) == (float(nll_sum(logits, target)[0]), 20)


def test_predictions_are_probabilities():
    probability = SusceptibilityTask().predict(torch.tensor([0.0, -4.0], dtype=torch.bfloat16))
    assert probability.dtype == torch.float32
    assert probability.tolist() == pytest.approx([0.5, 0.0179862], rel=1e-5)
