"""The susceptibility task."""

import torch

from landslide_dist.batch import Batch
from landslide_dist.tasks import SusceptibilityTask
from landslide_dist.tasks.losses import nll_sum


class Given:
    """A model that is its logits."""

    def __init__(self, logits):
        self.logits = logits

    def labelled_logits(self, batch):
        return self.logits[batch.target != 255]


def test_loss_is_over_the_labelled_pixels():
    logits = torch.randn(2, 3, 4)
    target = torch.randint(0, 2, (2, 3, 4), dtype=torch.uint8)
    target[0, 0] = 255
    batch = Batch({}, target, torch.zeros(2, 2, dtype=torch.int64), 0)
    task = SusceptibilityTask()
    assert task.counts(target).tolist() == [20]
    assert task.sums(Given(logits), batch).tolist() == [float(nll_sum(logits, target)[0])]
