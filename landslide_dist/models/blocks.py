"""Pieces that networks share: the double convolution, and how weights start."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from landslide_dist.models.dropout import SampleDropout2d


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, stride 1, each followed by ReLU; the size stays (zero padding).

    Args:
        num_in: Channels in.
        num_out: Filters of both convolutions.
        dropout: Share of feature maps dropped at the end.
        layer: Number of the block in its network, for dropout.
    """

    #: One-sided reach of the two convolutions.
    REACH_PX = 2

    def __init__(self, num_in: int, num_out: int, dropout: float = 0.0, layer: int = 0) -> None:
        super().__init__(
            nn.Conv2d(num_in, num_out, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(num_out, num_out, 3, padding=1),
            nn.ReLU(inplace=True),
            SampleDropout2d(dropout, layer),
        )


def upsample(features: Tensor) -> Tensor:
    """Twice the size, bilinear.

    ``align_corners=False`` weighs neighbours by 1/4 and 3/4 whatever the size; with True the
    weights depend on the size, and tiles would not agree with the whole image.
    """
    return F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)


def start_weights(network: nn.Module, output: nn.Linear | nn.Conv2d, share: float) -> None:
    """Initialise a network.

    Hidden layers follow He et al. (2015): without batch-norm, ReLU layers at PyTorch's default
    scale shrink their input so that a U-Net of 18 convolutions hardly trains with plain SGD.

    The output bias is logit(share): training starts at the score of the Naive baseline. From a
    bias of 0 every pixel starts at 0.5, and the first steps, large at the paper's rates, would go
    into unlearning landslides where 99 % of the pixels have none.

    Args:
        network: The network that holds ``output``.
        output: Its last layer, one logit.
        share: Share of landslides in the training pixels.
    """
    for layer in network.modules():
        if layer is not output and isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(_bias(layer))
    nn.init.constant_(_bias(output), logit(share))


def logit(probability: float) -> float:
    """Log odds of a probability inside (0, 1)."""
    return math.log(probability) - math.log1p(-probability)


def _bias(layer: nn.Linear | nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise ValueError(f"{layer} has no bias")
    return layer.bias
