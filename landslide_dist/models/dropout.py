"""Dropout that any number of processes draws alike."""

import torch
from torch import Tensor, nn

from landslide_dist.draws import RANGE, drawn, halves


class SampleDropout2d(nn.Dropout2d):
    """Drops whole feature maps of a sample by its own key (Tompson et al. 2015, CVPR, 648-656).

    What a sample loses depends on its key and the layer, not on the samples beside it or the rank
    that holds it: any number of processes trains alike, and a resumed training goes on alike.

    Args:
        p: Share of the maps that are dropped.
        layer: Number of the layer in its network.
    """

    def __init__(self, p: float, layer: int) -> None:
        super().__init__(p)
        self.layer = layer
        #: ``(sample,)`` int64; None draws from torch's own state.
        self.keys: Tensor | None = None

    def forward(self, features: Tensor) -> Tensor:
        """``(sample, channel, y, x)``, some maps zero and the others scaled up."""
        if not self.training or self.keys is None or not self.p:
            return super().forward(features)
        channels = torch.arange(features.shape[1], device=features.device)
        lower, upper = halves(self.keys[:, None])
        layer = torch.full_like(lower, self.layer)
        kept = drawn(0, lower, upper, layer, channels) >= round(self.p * RANGE)
        return features * (kept[:, :, None, None].to(features.dtype) / (1 - self.p))


def draw_by(network: nn.Module, keys: Tensor | None) -> None:
    """Say what each sample of the next batch draws its dropout from.

    Args:
        network: Holds any number of :class:`SampleDropout2d`.
        keys: ``(sample,)`` int64; None draws from torch's own state.
    """
    for layer in dropouts(network):
        layer.keys = keys


def dropouts(network: nn.Module) -> list[SampleDropout2d]:
    """The layers of a network that drop anything."""
    layers = (layer for layer in network.modules() if isinstance(layer, SampleDropout2d))
    return [layer for layer in layers if layer.p]
