"""Losses as sums and counts, so that micro-batches, ranks and blocks add up to one exact mean."""

import torch
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.schema import UNLABELLED


def nll_sum(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood over the labelled pixels (LACNN paper, section 4.2).

    Args:
        logits: Log odds of a landslide, any shape.
        target: Same shape, uint8: 1, 0, or 255 where nothing counts.

    Returns:
        The sum in nats (float64 scalar, differentiable) and the number of labelled pixels (int64
        scalar); the mean is theirs to form over a whole global batch or split.
    """
    labelled = target != UNLABELLED
    # Masked before the loss: a logit that is not finite there must not spoil the gradient.
    wrong_way = torch.where(target == 1, -logits, logits).float().masked_fill(~labelled, 0.0)
    # -log p(target). binary_cross_entropy_with_logits takes a difference instead, which loses
    # digits where landslides are improbable, that is nearly everywhere.
    per_pixel = F.softplus(wrong_way)
    total = per_pixel.masked_fill(~labelled, 0.0).sum(dtype=torch.float64)
    return total, labelled.sum()
