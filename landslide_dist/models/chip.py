"""Classifiers of image chips (Wang and Wei, sections 4.1, 4.2 and 4.4).

Chips of any size come as they are; the model reduces them to the pixel size that it was trained to
see, enlarges them to its own input, and normalises them, all on its device.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config.chip_model import ChipCNNConfig, ChipModelConfig, TransferConfig
from landslide_dist.errors import ConfigError
from landslide_dist.models.backbone import build_backbone

_MODEL_CONFIG: TypeAdapter[ChipModelConfig] = TypeAdapter(ChipModelConfig)
#: Plane of a batch that holds the chips.
CHIP = "chip"
NUM_COLOURS = 3
#: Not a landslide, a landslide.
NUM_CLASSES = 2


@dataclass(frozen=True)
class ChipRecipe:
    """Everything that builds a classifier; with its weights it classifies any chips.

    Attributes:
        config: Kind of model and its hyper-parameters.
        extent_m: Side of a training chip on the ground.
        size_px: Side of a training chip as it was read.
    """

    config: ChipModelConfig
    extent_m: float
    size_px: int

    @property
    def reduced_px(self) -> int | None:
        """Side that chips are reduced to before they are enlarged; None: they are not.

        Raises:
            ConfigError: It would be less than 2 pixels.
        """
        if self.config.seen_at_m is None:
            return None
        return self.pixels(self.config.seen_at_m)

    def pixels(self, pixel_m: float) -> int:
        """Side of a chip's ground in pixels of another sensor, to the nearest whole one."""
        side = int(self.extent_m / pixel_m + 0.5)
        if side < 2:
            raise ConfigError(
                f"a chip of {self.extent_m:g} m is {side} pixel(s) of {pixel_m:g} m on a side; "
                "give a finer pixel size"
            )
        return side

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, strings and numbers."""
        return {
            "config": self.config.model_dump(mode="json"),
            "extent_m": float(self.extent_m),
            "size_px": int(self.size_px),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "ChipRecipe":
        """The inverse of :meth:`to_dict`; other entries are left alone."""
        config = _MODEL_CONFIG.validate_python(plain["config"])
        return cls(config, float(plain["extent_m"]), int(plain["size_px"]))


class ChipModel(nn.Module, ABC):
    """A map from chips to the logits of two classes."""

    def __init__(self, recipe: ChipRecipe) -> None:
        super().__init__()
        self.recipe = recipe

    def forward(self, batch: Batch) -> Tensor:
        """Logits ``(sample, 2)`` float32: not a landslide, a landslide."""
        return self.classify(batch.planes[CHIP])

    def classify(self, chips: Tensor) -> Tensor:
        """Logits ``(sample, 2)`` float32.

        Args:
            chips: ``(sample, 3, y, x)`` red, green, blue from 0 to 255, of any size.
        """
        logits: Tensor = self.head(self.feature_maps(self.seen(chips)))
        return logits.float()

    def probability(self, chips: Tensor) -> Tensor:
        """Probability of a landslide ``(sample,)``."""
        return self.classify(chips).softmax(dim=1)[:, 1]

    def seen(self, chips: Tensor) -> Tensor:
        """Chips as the network sees them: ``(sample, 3, input, input)`` from 0 to 1."""
        images = chips.float() / 255
        reduced_px, input_px = self.recipe.reduced_px, self.recipe.config.input_px
        if reduced_px is not None and images.shape[-1] > reduced_px:
            images = _resized(images, reduced_px)
        return images if images.shape[-1] == input_px else _resized(images, input_px)

    @abstractmethod
    def feature_maps(self, images: Tensor) -> Tensor:
        """Maps ``(sample, map, y, x)`` of the last convolution, after its activation."""

    @abstractmethod
    def head(self, maps: Tensor) -> Tensor:
        """Logits of the maps."""


def _resized(images: Tensor, side_px: int) -> Tensor:
    """Bilinear and not antialiased, as the paper's framework does it."""
    size = (side_px, side_px)
    return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=False)


class ChipCNN(ChipModel):
    """Convolutions of 3 x 3 with pooling, then two dense layers (section 4.1)."""

    def __init__(self, recipe: ChipRecipe, config: ChipCNNConfig) -> None:
        super().__init__(recipe)
        widths = (NUM_COLOURS, *config.filters)
        side = config.input_px >> len(config.filters)
        if side < 1:
            raise ConfigError(
                f"chip_cnn: {len(config.filters)} poolings leave nothing of {config.input_px} px; "
                "give fewer filters or a larger input_px"
            )
        self.convolutions = nn.ModuleList(
            nn.Conv2d(num_in, num_out, 3, padding=1)
            for num_in, num_out in zip(widths, config.filters, strict=False)
        )
        self.hidden = nn.Linear(widths[-1] * side * side, config.hidden)
        self.output = nn.Linear(config.hidden, NUM_CLASSES)

    def feature_maps(self, images: Tensor) -> Tensor:
        """Maps before the last pooling."""
        maps = images
        for number, convolution in enumerate(self.convolutions):
            maps = F.relu(convolution(F.max_pool2d(maps, 2) if number else maps))
        return maps

    def head(self, maps: Tensor) -> Tensor:
        """Pooling and the dense layers."""
        logits: Tensor = self.output(F.relu(self.hidden(F.max_pool2d(maps, 2).flatten(1))))
        return logits


class TransferModel(ChipModel):
    """A network trained on ImageNet under a new head; all but the head frozen (section 4.2)."""

    mean: Tensor
    std: Tensor

    def __init__(self, recipe: ChipRecipe, config: TransferConfig, weights: str | None) -> None:
        super().__init__(recipe)
        self.backbone = build_backbone(config.backbone, weights)
        self.hidden = nn.Linear(self.backbone.num_features, config.hidden)
        self.output = nn.Linear(config.hidden, NUM_CLASSES)
        self.frozen = not config.fine_tune
        if self.frozen:
            self.backbone.requires_grad_(False)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(self.backbone, name)).reshape(1, NUM_COLOURS, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def train(self, mode: bool = True) -> Self:
        """A frozen network keeps its statistics: it stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def feature_maps(self, images: Tensor) -> Tensor:
        """The network's last maps, of colours normalised as it was trained."""
        return self.backbone.feature_maps((images - self.mean) / self.std)

    def head(self, maps: Tensor) -> Tensor:
        """Global average and the dense layers."""
        logits: Tensor = self.output(F.relu(self.hidden(maps.mean(dim=(2, 3)))))
        return logits


def build_chip_model(recipe: ChipRecipe) -> ChipModel:
    """A classifier with fresh weights of its head, from torch's global generator.

    Raises:
        ConfigError: The input is too small for its poolings, a package is not installed, or
            weights cannot be had.
        DataError: A file of weights is damaged or of another network.
    """
    config = recipe.config
    if isinstance(config, ChipCNNConfig):
        return ChipCNN(recipe, config)
    return TransferModel(recipe, config, config.weights)


def empty_chip_model(recipe: ChipRecipe) -> ChipModel:
    """A classifier whose weights are about to be loaded: no file of pretrained ones is read."""
    config = recipe.config
    if isinstance(config, ChipCNNConfig):
        return ChipCNN(recipe, config)
    return TransferModel(recipe, config, None)
