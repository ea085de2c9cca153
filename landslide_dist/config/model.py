"""Models and their training hyper-parameters; the defaults are table 1 of the LACNN paper."""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from landslide_dist.config.augment import AugmentConfig
from landslide_dist.config.base import Config


class AlignedFeatures(Config):
    """Which channels are gathered uphill, and at which distances."""

    features: tuple[str, ...] | None = Field(
        None, description="channel names; null: chosen from an LLR checkpoint"
    )
    llr: str = Field("llr", description="model of this run, or checkpoint path, to choose from")
    min_weight: float = Field(0.2, ge=0, description="|LLR weight| from which a channel is taken")
    looking_distances_m: tuple[float, ...] | None = Field(
        None, min_length=1, description="some of the cube's looking distances; null: all of them"
    )

    def distances_of(self, cube_m: Collection[float]) -> tuple[float, ...]:
        """The looking distances of a model on a cube, in the cube's order.

        Args:
            cube_m: Looking distances of the cube.

        Raises:
            ValueError: The cube has not all of them; says which it has.
        """
        if self.looking_distances_m is None:
            return tuple(cube_m)
        return chosen_distances(self.looking_distances_m, cube_m)


def chosen_distances(chosen_m: Collection[float], cube_m: Collection[float]) -> tuple[float, ...]:
    """Some of a cube's looking distances, in the cube's order.

    Raises:
        ValueError: One is not the cube's, or is named twice.
    """
    listed = ", ".join(f"{distance:g}" for distance in cube_m)
    for distance in chosen_m:
        if distance not in cube_m:
            raise ValueError(
                f"looking distance {distance:g} m is not among the cube's ({listed} m); choose of "
                "those or add it to cube.looking_distances_m"
            )
    if len(set(chosen_m)) != len(chosen_m):
        raise ValueError(f"looking distances {list(chosen_m)} name one twice")
    return tuple(distance for distance in cube_m if distance in chosen_m)


class NaiveConfig(Config):
    """The training share of landslides, everywhere."""

    kind: Literal["naive"]


class RandomConfig(Config):
    """0.999 with the probability of the training share, else 0.001; by pixel, seeded."""

    kind: Literal["random"]
    seed: int = Field(0, description="seed of the draw")


class TrainedModel(Config):
    """What every trained model has."""

    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1, description="patches of one global batch, over all ranks")
    weight_decay: float = Field(0.001, ge=0, description="L2 penalty inside the optimiser")
    epsilon: float = Field(1e-8, gt=0, description="of Adam's denominator")
    plateau_patience: int | None = Field(
        2, ge=0, description="epochs without a better validation loss before the rate falls; "
        "null: it never does"
    )  # fmt: skip
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="what the rate is multiplied by")
    stop_patience: int | None = Field(
        None, ge=1, description="epochs without a better validation loss before training stops"
    )
    init_from: str | None = Field(None, description="checkpoint whose weights training starts from")
    seed: int | None = Field(
        None, description="seed of weights and of the order of samples; null: training.seed"
    )


class LLRConfig(TrainedModel):
    """Linear logistic regression."""

    kind: Literal["llr"]
    learning_rate: float = Field(0.125, gt=0)
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(15, ge=1)


class NNConfig(TrainedModel):
    """Neural network on each pixel alone."""

    kind: Literal["nn"]
    hidden: tuple[int, ...] = (64, 32)
    learning_rate: float = Field(0.125, gt=0)
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(13, ge=1)


class LANNConfig(TrainedModel):
    """Locally aligned neural network: each pixel and its uphill points."""

    kind: Literal["lann"]
    hidden: tuple[int, ...] = (64, 32)
    aligned: AlignedFeatures = AlignedFeatures()
    learning_rate: float = Field(0.0156, gt=0)
    epochs: int = Field(15, ge=1)
    batch_size: int = Field(10, ge=1)


class CNNConfig(TrainedModel):
    """U-Net."""

    kind: Literal["cnn"]
    widths: tuple[int, ...] = Field((16, 32, 64, 128, 128), description="filters of each level")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of feature maps dropped after each level; paper: none"
    )
    optimizer: Literal["adam", "sgd"] = "sgd"
    learning_rate: float = Field(0.125, gt=0)
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(12, ge=1)


class LACNNConfig(TrainedModel):
    """Locally aligned U-Net: each pixel and its uphill points."""

    kind: Literal["lacnn"]
    widths: tuple[int, ...] = Field((16, 32, 64, 128, 128), description="filters of each level")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="share of feature maps dropped after each level; paper: none"
    )
    aligned: AlignedFeatures = AlignedFeatures()
    learning_rate: float = Field(0.001, gt=0)
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(9, ge=1)


class ResUNetConfig(TrainedModel):
    """Residual U-Net of event mapping with deep supervision (Prakash et al. 2021)."""

    kind: Literal["resunet"]
    widths: tuple[int, ...] = Field((32, 64, 128, 256, 512), description="filters of each level")
    dropout: float = Field(
        0.2, ge=0, lt=1, description="share of feature maps dropped in each block; paper: some"
    )
    deep_supervision: bool = Field(True, description="the loss sees every block on the way up")
    output_weight: float = Field(5.0, gt=0, description="of the last layer's loss; others have 1")
    bce_weight: float = Field(
        0.2, ge=0, le=1, description="of the cross-entropy; the focal Tversky loss has the rest"
    )
    tversky_alpha: float = Field(0.7, gt=0, lt=1, description="of missed landslides; beta: 1 - it")
    tversky_gamma: float = Field(4 / 3, gt=0, description="above 1: stress on badly mapped tiles")
    hillshade_sun: Literal["fixed", "turns"] = Field(
        "fixed", description="the sun of the hillshade when a sample is turned; paper: fixed"
    )
    augment: AugmentConfig | None = Field(AugmentConfig(), description="null: none")
    learning_rate: float = Field(1e-4, gt=0)
    epochs: int = Field(200, ge=1, description="at most; the paper leaves it to stop_patience")
    batch_size: int = Field(16, ge=1)
    weight_decay: float = Field(1e-4, ge=0, description="L2 penalty inside the optimiser")
    # The rate falls after the epoch that follows this many bad ones: three, as in the paper.
    plateau_patience: int | None = Field(2, ge=0)
    stop_patience: int | None = Field(10, ge=1)


class NDVIDifferenceConfig(TrainedModel):
    """Logistic regression on the change of NDVI: the baseline of event mapping."""

    kind: Literal["ndvi_difference"]
    learning_rate: float = Field(0.1, gt=0)
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(16, ge=1)
    weight_decay: float = Field(0.0, ge=0)


SusceptibilityConfig = (
    NaiveConfig | RandomConfig | LLRConfig | NNConfig | LANNConfig | CNNConfig | LACNNConfig
)
EventModelConfig = ResUNetConfig | NDVIDifferenceConfig
ModelConfig = Annotated[SusceptibilityConfig | EventModelConfig, Field(discriminator="kind")]
AlignedModel = LANNConfig | LACNNConfig
FittedModel = LLRConfig | NNConfig | LANNConfig | CNNConfig | LACNNConfig


def paper_models() -> dict[str, ModelConfig]:
    """The paper's seven systems with its hyper-parameters, in its order."""
    return {
        "naive": NaiveConfig(kind="naive"),
        "random": RandomConfig(kind="random"),
        "llr": LLRConfig(kind="llr"),
        "nn": NNConfig(kind="nn"),
        "lann": LANNConfig(kind="lann"),
        "cnn": CNNConfig(kind="cnn"),
        "lacnn": LACNNConfig(kind="lacnn"),
    }


def event_models() -> dict[str, ModelConfig]:
    """The network of event mapping with its hyper-parameters."""
    return {"resunet": ResUNetConfig(kind="resunet")}
