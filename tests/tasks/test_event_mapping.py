"""The event-mapping loss against values by hand."""

import math

import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.model import ResUNetConfig
from landslide_dist.tasks import EventMappingTask

#: One sample of four labelled pixels and one that does not count; one sample without labels.
TARGET = torch.tensor([[[1, 1, 0, 0, 255]], [[255] * 5]], dtype=torch.uint8)
PROBABILITY = torch.tensor([[[0.9, 0.4, 0.2, 0.1, 0.99]], [[0.5] * 5]])


class Heads:
    """A model that is its heads: the last layer's, and one that says 0.5 everywhere."""

    num_heads = 2

    def supervised(self, batch):
        side = torch.full_like(PROBABILITY, 0.5)
        return torch.stack([PROBABILITY, side], dim=1).logit()


def batch():
    return Batch({}, TARGET, torch.zeros(2, 2, dtype=torch.int64), 0)


def by_hand(probability):
    bce = -(sum(map(math.log, probability[:2])) + sum(math.log(1 - p) for p in probability[2:4]))
    hit = sum(probability[:2])
    missed, false = 2 - hit, sum(probability[2:4])
    index = (hit + 1) / (hit + 0.7 * missed + 0.3 * false + 1)
    return bce, (1 - index) ** 0.75


def test_terms_and_weights_by_hand():
    config = ResUNetConfig(kind="resunet")
    task = EventMappingTask(config, 2)
    assert task.weights.tolist() == pytest.approx([1.0, 4.0, 0.2, 0.8])
    assert task.counts(TARGET).tolist() == [4, 1, 4, 1]
    last, side = by_hand([0.9, 0.4, 0.2, 0.1]), by_hand([0.5] * 4)
    sums = task.sums(Heads(), batch())
    assert sums.tolist() == pytest.approx([*last, *side], rel=1e-5)
    loss = float((task.weights * sums / task.counts(TARGET)).sum())
    expected = 5 * (0.2 * last[0] / 4 + 0.8 * last[1]) + 0.2 * side[0] / 4 + 0.8 * side[1]
    assert loss == pytest.approx(expected, rel=1e-5)


def test_without_deep_supervision_only_the_last_layer_counts():
    task = EventMappingTask(ResUNetConfig(kind="resunet", deep_supervision=False), 2)
    assert len(task.weights) == len(task.sums(Heads(), batch())) == 2
