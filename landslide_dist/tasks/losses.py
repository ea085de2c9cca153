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


def focal_tversky_sum(
    logits: Tensor, target: Tensor, alpha: float = 0.7, beta: float = 0.3, gamma: float = 4 / 3
) -> tuple[Tensor, Tensor]:
    """Focal Tversky loss of each sample (Abraham and Khan 2019, ISBI, 683-687), summed.

    Of a sample's labelled pixels: ``TI = TP / (TP + alpha FN + beta FP)`` with probabilities in
    place of calls and 1 added above and below, loss ``(1 - TI) ** (1 / gamma)``. One pixel more in
    both keeps samples without landslides defined: their loss falls with the false positives.

    Args:
        logits: ``(sample, ...)`` log odds of a landslide.
        target: Same shape, uint8: 1, 0, or 255 where nothing counts.
        alpha: Weight of missed landslides.
        beta: Weight of false ones.
        gamma: Above 1 it stresses samples that are mapped badly.

    Returns:
        The sum over samples that have labelled pixels (float64 scalar, differentiable), and the
        number of those samples (int64 scalar).
    """
    labelled = (target != UNLABELLED).flatten(1)
    probability = logits.float().flatten(1).masked_fill(~labelled, 0.0).sigmoid()
    landslide = (target == 1).flatten(1)
    true_positive, missed, false = (
        part.masked_fill(~where, 0.0).sum(1, dtype=torch.float64)
        for part, where in (
            (probability, landslide),
            (1 - probability, landslide),
            (probability, labelled & ~landslide),
        )
    )
    index = (true_positive + 1) / (true_positive + alpha * missed + beta * false + 1)
    # The root has no slope at 0: a sample that is mapped without any error would give NaN.
    per_sample = (1 - index).clamp(min=1e-12) ** (1 / gamma)
    counted = labelled.any(1)
    return per_sample.masked_fill(~counted, 0.0).sum(), counted.sum()
