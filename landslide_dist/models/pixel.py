"""Networks that see one pixel's channels alone: LLR, NN and LANN (LACNN paper, section 4.3)."""

from torch import Tensor, nn

from landslide_dist.models.blocks import start_weights


class PixelNetwork(nn.Module):
    """Fully connected layers on each pixel's channels.

    Without hidden layers it is the linear logistic regression. That one starts from zero weights:
    its loss is convex, so nothing is to be broken by chance, and the weight of a class that no
    training pixel has stays 0 instead of a random number that could pass for an aligned feature.

    Attributes:
        halo_px: 0: a pixel sees no other.
        stride_px: 1: no pooling.

    Args:
        num_channels: Channels in.
        hidden: Width of each hidden layer, each followed by ReLU.
        share: Share of landslides in the training pixels, where training starts.
    """

    halo_px = 0
    stride_px = 1

    def __init__(self, num_channels: int, hidden: tuple[int, ...], share: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in zip((num_channels, *hidden), hidden, strict=False):
            layers += [nn.Linear(width_in, width_out), nn.ReLU(inplace=True)]
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear((num_channels, *hidden)[-1], 1)
        start_weights(self, self.output, share)
        if not hidden:
            nn.init.zeros_(self.output.weight)

    def forward(self, channels: Tensor) -> Tensor:
        """``(sample, channel, y, x)`` -> logits ``(sample, y, x)``."""
        # Linear on the innermost channels is one matrix product; a 1x1 convolution is up to ten
        # times slower on CPUs where the layout is not its own.
        logits: Tensor = self.output(self.hidden(channels.permute(0, 2, 3, 1)))
        return logits[..., 0]
