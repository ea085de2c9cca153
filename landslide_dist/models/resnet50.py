"""ResNet-50 without its classifier (He et al. 2016, CVPR, 770-778, table 1).

Layers bear the names of the files that torchvision and timm publish. As there, and unlike the
paper, a block halves the size in its 3x3 convolution.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

#: Channels a block puts out for each filter of its 3x3 convolution.
_EXPANSION = 4
#: Blocks of each stage.
_DEPTHS = (3, 4, 6, 3)
_STEM_WIDTH = 64


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside an identity.

    Args:
        num_in: Channels in.
        width: Filters of the 3x3 convolution; four times as many channels come out.
        stride: Of the 3x3 convolution.
    """

    def __init__(self, num_in: int, width: int, stride: int) -> None:
        super().__init__()
        num_out = width * _EXPANSION
        self.conv1 = nn.Conv2d(num_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, num_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(num_out)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride, bias=False), nn.BatchNorm2d(num_out)
            )
            if stride > 1 or num_in != num_out
            else nn.Identity()
        )

    def forward(self, features: Tensor) -> Tensor:
        """``(sample, num_in, y, x)`` -> ``(sample, 4 width, y / stride, x / stride)``."""
        residual = F.relu(self.bn1(self.conv1(features)), inplace=True)
        residual = F.relu(self.bn2(self.conv2(residual)), inplace=True)
        return F.relu(self.bn3(self.conv3(residual)) + self.downsample(features))


class ResNet50(nn.Module):
    """The 49 convolutions; the size is divided by 32."""

    NUM_FEATURES = 2048

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _STEM_WIDTH, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM_WIDTH)
        widths = [_STEM_WIDTH << stage for stage in range(len(_DEPTHS))]
        channels = [_STEM_WIDTH, *(width * _EXPANSION for width in widths)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(
                Bottleneck(num_in, num_out // _EXPANSION, stride=1 if stage == 0 else 2),
                *(Bottleneck(num_out, num_out // _EXPANSION, stride=1) for _ in range(depth - 1)),
            )
            for stage, (depth, (num_in, num_out)) in enumerate(
                zip(_DEPTHS, pairwise(channels), strict=True)
            )
        )

    def forward(self, images: Tensor) -> Tensor:
        """``(sample, 3, y, x)`` -> last maps ``(sample, 2048, ceil(y / 32), ceil(x / 32))``."""
        features = F.relu(self.bn1(self.conv1(images)), inplace=True)
        features = F.max_pool2d(features, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = stage(features)
        return features
