"""Baselines without weights: Naive (LACNN paper, 4.3) and Random (SACNN paper, 5.1)."""

import torch
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.models.blocks import logit
from landslide_dist.models.recipe import Recipe
from landslide_dist.models.susceptibility import SusceptibilityModel

_MASK = 0xFFFFFFFF


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
        drawn = _hash(self.seed, rows, columns) < round(self.recipe.share * (_MASK + 1))
        return torch.where(drawn, logit(0.999), logit(0.001))


def _hash(seed: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Uniform 32-bit numbers in int64, shape of rows and columns broadcast."""
    # Rows and columns are mixed apart and with different salts, so that no row repeats another.
    salted = [_mix(torch.full_like(rows, (2 * seed + i) & _MASK)) for i in range(2)]
    return _mix(_mix(salted[0] ^ rows) ^ _mix(salted[1] ^ columns))


def _mix(x: Tensor) -> Tensor:
    """The 32-bit finaliser of MurmurHash3 (Appleby 2011) on non-negative int64."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = x ^ (x >> shift)
        # In halves: the whole product would overflow int64.
        x = ((x & 0xFFFF) * factor + (((x >> 16) * factor & 0xFFFF) << 16)) & _MASK
    return x ^ (x >> 16)
