"""The U-Net of CNN and LACNN (LACNN paper, section 4.1 and figure 2) and its exact reach."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landslide_dist.models.blocks import DoubleConv, start_weights, upsample


class UNet(nn.Module):
    """U-Net without batch-norm: one logit a pixel.

    Each level is a :class:`DoubleConv`; levels are joined by 2x2 max-pooling on the way down and
    by bilinear upsampling beside the skip connection on the way up. Level i has ``widths[i]``
    filters on both ways. A 1x1 convolution ends it.

    Attributes:
        halo_px: Exact one-sided reach of a logit on the channels, see :func:`unet_halo_px`.
        stride_px: Pixels of the coarsest level; windows at multiples of it share the pooling grid.

    Args:
        num_channels: Channels in.
        widths: Filters of each level, finest first.
        share: Share of landslides in the training pixels, where training starts.
        dropout: Share of feature maps dropped after each level; 0 in the paper.
    """

    def __init__(
        self, num_channels: int, widths: tuple[int, ...], share: float, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.halo_px = unet_halo_px(len(widths))
        self.stride_px = unet_stride_px(len(widths))
        self.down = nn.ModuleList(
            DoubleConv(num_in, num_out, dropout, level)
            for level, (num_in, num_out) in enumerate(
                zip((num_channels, *widths[:-1]), widths, strict=True)
            )
        )
        self.up = nn.ModuleList(
            DoubleConv(coarse + fine, fine, dropout, len(widths) + level)
            for level, (fine, coarse) in enumerate(pairwise(widths))
        )
        self.output = nn.Conv2d(widths[0], 1, 1)
        start_weights(self, self.output, share)

    def forward(self, channels: Tensor) -> Tensor:
        """``(sample, channel, y, x)`` of any size -> logits ``(sample, y, x)``."""
        height, width = channels.shape[-2:]
        features = self._pad(channels)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        for block in reversed(self.up):
            features = block(torch.cat([upsample(features), skips.pop()], dim=1))
        logits: Tensor = self.output(features)
        return logits[:, 0, :height, :width]

    def _pad(self, channels: Tensor) -> Tensor:
        """Zeros at the bottom and right, so that pooling divides the size."""
        height, width = channels.shape[-2:]
        bottom, right = -height % self.stride_px, -width % self.stride_px
        return F.pad(channels, (0, right, 0, bottom)) if bottom or right else channels


def unet_stride_px(num_levels: int) -> int:
    """Pixels on a side that one pixel of the coarsest level stands for."""
    return int(2 ** (num_levels - 1))


def unet_halo_px(num_levels: int) -> int:
    """Exact one-sided reach: how far from a logit a channel pixel can still change it.

    Interval arithmetic along one axis, for every position on the pooling grid; the reach to the
    left and to the right differ by position, and the largest counts. For the published five levels
    it is 122, where the paper takes 64 to be enough (section 4.2).

    Args:
        num_levels: Levels of the U-Net.
    """
    stride_px = unet_stride_px(num_levels)
    reaches = []
    for position in range(stride_px):
        first, last = _seen_by(position, num_levels)
        reaches.append(max(position - first, last - position))
    return max(reaches)


def _seen_by(position: int, num_levels: int) -> tuple[int, int]:
    """First and last channel pixel that the logit at ``position`` depends on.

    Skip connections need no look: what they see lies inside what the coarser path sees.
    """
    first = last = position
    for _ in range(num_levels - 1):
        first, last = first - DoubleConv.REACH_PX, last + DoubleConv.REACH_PX
        # Bilinear: pixel 2k mixes coarse k - 1 and k, pixel 2k + 1 mixes k and k + 1.
        first, last = (first - 1) // 2, (last + 1) // 2
    for _ in range(num_levels - 1):
        first, last = first - DoubleConv.REACH_PX, last + DoubleConv.REACH_PX
        # Max-pooling: coarse pixel k is the largest of 2k and 2k + 1.
        first, last = 2 * first, 2 * last + 1
    return first - DoubleConv.REACH_PX, last + DoubleConv.REACH_PX
