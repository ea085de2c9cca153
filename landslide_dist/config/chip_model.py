"""Classifiers of image chips; the defaults are those of Wang and Wei (reporting bias paper)."""

from typing import Annotated, Literal

from pydantic import Field

from landslide_dist.config.augment import AugmentConfig
from landslide_dist.config.model import TrainedModel


class ChipAugmentConfig(AugmentConfig):
    """What tells an augmented chip from the one it was made of: the paper's three kinds."""

    scale: float = Field(1.0, ge=1, le=4)
    shear: float = Field(0.0, ge=0, le=1)
    brightness: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.3, ge=0, lt=1)
    colour: float = Field(0.0, ge=0, lt=1)
    sharpness: float = Field(0.0, ge=0, le=1)
    noise: float = Field(0.0, ge=0, le=1)


class ChipModel(TrainedModel):
    """What every classifier of chips has."""

    input_px: int = Field(224, ge=16, description="side that chips are enlarged or reduced to")
    seen_at_m: float | None = Field(
        None,
        gt=0,
        description="pixel size that chips are reduced to before they are enlarged to input_px, "
        "e.g. 10 for Sentinel-2; null: their own",
    )
    augment: ChipAugmentConfig | None = Field(
        None, description="each training chip comes once more, augmented; null: once only"
    )
    learning_rate: float = Field(0.001, gt=0)
    epochs: int = Field(10, ge=1, description="the paper: 10, and 15 with augmentation")
    batch_size: int = Field(32, ge=1, description="chips of one global batch, over all ranks")
    weight_decay: float = Field(0.0, ge=0)
    epsilon: float = Field(1e-7, gt=0, description="of Adam's denominator")
    plateau_patience: int | None = Field(None, ge=0, description="null: the rate never falls")


class ChipCNNConfig(ChipModel):
    """Three convolutions with pooling, two dense layers: the paper's baseline."""

    kind: Literal["chip_cnn"]
    filters: tuple[int, ...] = Field((32, 32, 32), min_length=1, description="of each convolution")
    hidden: int = Field(128, ge=1, description="width of the first dense layer; paper: not stated")


class TransferConfig(ChipModel):
    """A network trained on ImageNet with a new head of two dense layers."""

    kind: Literal["transfer"]
    backbone: Literal["resnet50", "efficientnet_lite0"] = "resnet50"
    weights: str | None = Field(
        "imagenet", description="imagenet, a file of weights, or null: drawn at random"
    )
    hidden: int = Field(256, ge=1, description="width of the head's first layer")
    fine_tune: bool = Field(False, description="train the whole network, not the head alone")


ChipModelConfig = Annotated[ChipCNNConfig | TransferConfig, Field(discriminator="kind")]


def chip_models() -> dict[str, ChipModelConfig]:
    """The three systems of the paper's table 1."""
    return {
        "cnn": ChipCNNConfig(kind="chip_cnn"),
        "resnet50": TransferConfig(kind="transfer"),
        "resnet50_10m": TransferConfig(
            kind="transfer", seen_at_m=10, augment=ChipAugmentConfig(), epochs=15
        ),
    }
