"""The residual U-Net of event mapping (Prakash et al. 2021, figure 8) and its deep supervision."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landslide_dist.models.blocks import logit, upsample
from landslide_dist.models.dropout import SampleDropout2d
from landslide_dist.models.unet import unet_halo_px, unet_stride_px


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside an identity (He et al. 2016, ECCV, 630-645).

    Batch-norm and ReLU come before each convolution, so that the identity is left alone. Where the
    number of filters changes it is a 1x1 convolution.

    Args:
        num_in: Channels in.
        num_out: Filters of both convolutions.
        dropout: Share of feature maps dropped between them.
        layer: Number of the block in its network.
        first: Whether it sees the network's input, which is normalised already.
    """

    #: One-sided reach of the two convolutions.
    REACH_PX = 2

    def __init__(
        self, num_in: int, num_out: int, dropout: float, layer: int, first: bool = False
    ) -> None:
        super().__init__()
        before = [] if first else [nn.BatchNorm2d(num_in), nn.ReLU(inplace=False)]
        self.residual = nn.Sequential(
            *before,
            nn.Conv2d(num_in, num_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_out),
            nn.ReLU(inplace=True),
            SampleDropout2d(dropout, layer),
            nn.Conv2d(num_out, num_out, 3, padding=1),
        )
        self.identity = (
            nn.Identity() if num_in == num_out else nn.Conv2d(num_in, num_out, 1, bias=False)
        )

    def forward(self, features: Tensor) -> Tensor:
        """The same size."""
        summed: Tensor = self.residual(features) + self.identity(features)
        return summed


class ResidualUNet(nn.Module):
    """U-Net of residual blocks, supervised at every block on the way up.

    Levels are joined by 2x2 max-pooling on the way down and bilinear upsampling beside the skip
    connection on the way up, as in :class:`~landslide_dist.models.unet.UNet`, and reach as far.

    Attributes:
        halo_px: Exact one-sided reach of a logit on the channels.
        stride_px: Pixels of the coarsest level.
        num_heads: Outputs of a training pass: the last layer's, then one of each block on the way
            up, finest first.

    Args:
        num_channels: Channels in.
        widths: Filters of each level, finest first.
        dropout: Share of feature maps dropped in each block.
        share: Share of landslides in the training pixels, where training starts.
    """

    def __init__(
        self, num_channels: int, widths: tuple[int, ...], dropout: float, share: float
    ) -> None:
        super().__init__()
        self.halo_px = unet_halo_px(len(widths))
        self.stride_px = unet_stride_px(len(widths))
        self.num_heads = len(widths)
        down = zip((num_channels, *widths[:-1]), widths, strict=True)
        self.down = nn.ModuleList(
            ResidualBlock(num_in, num_out, dropout, level, first=level == 0)
            for level, (num_in, num_out) in enumerate(down)
        )
        self.up = nn.ModuleList(
            ResidualBlock(coarse + fine, fine, dropout, len(widths) + level)
            for level, (fine, coarse) in enumerate(pairwise(widths))
        )
        self.output = nn.Sequential(
            nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=False), nn.Conv2d(widths[0], 1, 1)
        )
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths[:-1])
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for head in (self.output[-1], *self.sides):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.constant_(head.bias, logit(share))

    def forward(self, channels: Tensor) -> Tensor:
        """``(sample, channel, y, x)`` of any size -> logits ``(sample, y, x)``."""
        features, _ = self._features(channels)
        logits: Tensor = self.output(features)
        return logits[:, 0, : channels.shape[-2], : channels.shape[-1]]

    def all_heads(self, channels: Tensor) -> Tensor:
        """Logits of every head ``(sample, head, y, x)``: the last layer's, then the blocks'."""
        height, width = channels.shape[-2:]
        features, blocks = self._features(channels)
        heads = [self.output(features)]
        for side, block in zip(self.sides, blocks, strict=True):
            coarse = side(block)
            scale = features.shape[-1] // coarse.shape[-1]
            heads.append(
                F.interpolate(coarse, scale_factor=scale, mode="bilinear", align_corners=False)
                if scale > 1
                else coarse
            )
        return torch.cat(heads, dim=1)[..., :height, :width]

    def _features(self, channels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The finest features, and those of each block on the way up, finest first."""
        height, width = channels.shape[-2:]
        bottom, right = -height % self.stride_px, -width % self.stride_px
        features = F.pad(channels, (0, right, 0, bottom)) if bottom or right else channels
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        blocks: list[Tensor] = []
        for block in reversed(self.up):
            features = block(torch.cat([upsample(features), skips.pop()], dim=1))
            blocks.insert(0, features)
        return features, blocks
