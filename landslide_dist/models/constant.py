"""Baselines without weights: Naive (LACNN paper, 4.3) and Random (SACNN paper, 5.1)."""

import torch
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.draws import RANGE, drawn
from landslide_dist.models.blocks import logit
from landslide_dist.models.recipe import Recipe
from landslide_dist.models.susceptibility import SusceptibilityModel


class Naive(SusceptibilityModel):
    """The training share of landslides, everywhere.

    Args:
        recipe: Holds the share.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def forward(self, batch: Batch) -> Tensor:
        """Logits of the cores, all the same."""
        return torch.full(batch.target.shape, logit(self.recipe.share), device=batch.target.device)


class Random(SusceptibilityModel):
    """0.999 with the probability of the training share, else 0.001.

    The draw is a hash of seed, row and column: the same whatever the tiling.

    Args:
        recipe: Holds the share.
        seed: Seed of the draw.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        super().__init__()
        self.recipe = recipe
        self.seed = seed

    def forward(self, batch: Batch) -> Tensor:
        """Logits of the cores: logit(0.999) or logit(0.001)."""
        height, width = batch.target.shape[-2:]
        device = batch.target.device
        rows = batch.origin[:, 0, None, None] + torch.arange(height, device=device)[:, None]
        columns = batch.origin[:, 1, None, None] + torch.arange(width, device=device)
        landslide = drawn(self.seed, rows, columns) < round(self.recipe.share * RANGE)
        return torch.where(landslide, logit(0.999), logit(0.001))
