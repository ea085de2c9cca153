"""The event-mapping task: cross-entropy and focal Tversky loss of every head."""

from typing import Protocol

import torch
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.config.model import ResUNetConfig
from landslide_dist.schema import UNLABELLED
from landslide_dist.tasks.losses import focal_tversky_sum, nll_sum


class DeeplySupervised(Protocol):
    """A model with several heads."""

    @property
    def num_heads(self) -> int:
        """How many."""

    def supervised(self, batch: Batch) -> Tensor:
        """Logits of every head ``(sample, head, y, x)``, the last layer's first."""


class EventMappingTask:
    """Loss of Prakash et al. 2021 (section "Training Process").

    Of each head ``0.2 BCE + 0.8 FTI``, the last layer's weighing 5 and the others' 1. BCE is the
    mean over the labelled pixels, FTI over the samples that have any.

    Attributes:
        weights: Of each term, ``(term,)`` float64: BCE and FTI of each head in turn.

    Args:
        config: Weights and the shape of the Tversky index.
        num_heads: Of the model; without deep supervision the loss sees the first alone.
    """

    def __init__(self, config: ResUNetConfig, num_heads: int) -> None:
        self.config = config
        self.num_heads = num_heads if config.deep_supervision else 1
        of_heads = torch.ones(self.num_heads, dtype=torch.float64)
        of_heads[0] = config.output_weight
        of_parts = torch.tensor([config.bce_weight, 1 - config.bce_weight], dtype=torch.float64)
        self.weights = torch.outer(of_heads, of_parts).flatten()

    def counts(self, target: Tensor) -> Tensor:
        """``(term,)`` float64: what each sum of :meth:`sums` is divided by.

        Args:
            target: ``(sample, y, x)`` labels; 255 does not count.
        """
        labelled = target != UNLABELLED
        both = torch.stack([labelled.sum(), labelled.flatten(1).any(1).sum()]).double()
        return both.repeat(self.num_heads)

    def sums(self, model: DeeplySupervised, batch: Batch) -> Tensor:
        """``(term,)`` float64, differentiable, of the samples of a batch."""
        logits = model.supervised(batch)[:, : self.num_heads]
        alpha, gamma = self.config.tversky_alpha, self.config.tversky_gamma
        sums = []
        for head in logits.unbind(1):
            tversky, _ = focal_tversky_sum(head, batch.target, alpha, 1 - alpha, gamma)
            sums += [nll_sum(head, batch.target)[0], tversky]
        return torch.stack(sums)
