"""The chip task: is there a landslide in the picture?"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.schema import UNLABELLED


class OfChips(Protocol):
    """A classifier."""

    def __call__(self, batch: Batch) -> Tensor:
        """Logits ``(sample, 2)``."""


class ChipTask:
    """Categorical cross-entropy, mean over the chips (Wang and Wei, section 4.1).

    Attributes:
        weights: Of each term of the loss, ``(term,)`` float64; there is one.
    """

    weights = torch.ones(1, dtype=torch.float64)

    def counts(self, target: Tensor) -> Tensor:
        """``(1,)`` float64 number of chips.

        Args:
            target: ``(sample, 1, 1)`` labels; 255 fills up a batch and does not count.
        """
        return (target != UNLABELLED).sum().double()[None]

    def sums(self, model: OfChips, batch: Batch) -> Tensor:
        """``(1,)`` float64 sum of the cross-entropy, differentiable."""
        labels = batch.target.flatten()
        labelled = labels != UNLABELLED
        logits = model(batch)[labelled].double()
        return F.cross_entropy(logits, labels[labelled].long(), reduction="sum")[None]
