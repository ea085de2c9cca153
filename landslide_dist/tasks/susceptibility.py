"""The susceptibility task: probability of a landslide in each pixel."""

from typing import Protocol

import torch
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.schema import UNLABELLED
from landslide_dist.tasks.losses import nll_sum


class OfLabels(Protocol):
    """A model that is asked for the labelled pixels alone."""

    def labelled_logits(self, batch: Batch) -> Tensor:
        """Logits ``(pixel,)`` of the labelled pixels of a batch, in row order."""


class SusceptibilityTask:
    """Loss of the LACNN paper (sections 4.1 and 4.2): mean over the labelled pixels.

    Attributes:
        weights: Of each term of the loss, ``(term,)`` float64; there is one.
    """

    weights = torch.ones(1, dtype=torch.float64)

    def counts(self, target: Tensor) -> Tensor:
        """``(1,)`` float64 number of labelled pixels.

        Args:
            target: ``(sample, y, x)`` labels; 255 does not count.
        """
        return (target != UNLABELLED).sum().double()[None]

    def sums(self, model: OfLabels, batch: Batch) -> Tensor:
        """``(1,)`` float64 sum of the negative log-likelihood, differentiable."""
        labels = batch.target[batch.target != UNLABELLED]
        return nll_sum(model.labelled_logits(batch), labels)[0][None]
