"""Model name -> model: the one place that knows every kind."""

import difflib
import math
from collections.abc import Mapping

from landslide_dist.config.channels import Channels
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import (
    AlignedModel,
    CNNConfig,
    EventModelConfig,
    LACNNConfig,
    LANNConfig,
    LLRConfig,
    ModelConfig,
    NaiveConfig,
    NDVIDifferenceConfig,
    NNConfig,
    RandomConfig,
    ResUNetConfig,
)
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models.constant import Naive, Random
from landslide_dist.models.encoder import CompactEncoder
from landslide_dist.models.event_encoder import EventEncoder, NDVIEncoder
from landslide_dist.models.pixel import PixelNetwork
from landslide_dist.models.recipe import Recipe
from landslide_dist.models.resunet import ResidualUNet
from landslide_dist.models.susceptibility import (
    EncodedModel,
    EventModel,
    NetworkModel,
    SusceptibilityModel,
)
from landslide_dist.models.terrain import HALO_PX
from landslide_dist.models.unet import UNet, unet_halo_px


def build_model(
    config: ModelConfig,
    channels: Channels | EventChannels,
    statistics: Mapping[str, tuple[float, float]],
    radii_px: Mapping[float, int],
    share: float,
    aligned_features: tuple[str, ...] | None = None,
) -> SusceptibilityModel:
    """A model with fresh weights, drawn from torch's global generator.

    Args:
        config: Which model.
        channels: Which channels it sees.
        statistics: Mean and standard deviation of each continuous variable over the training
            pixels.
        radii_px: Looking distance of the cube, metres -> radius of its ring.
        share: Share of landslides among the labelled training pixels.
        aligned_features: Channels that are gathered uphill; None: the list in the config. Models
            that do not look uphill leave it alone.

    Raises:
        ConfigError: Aligned features are missing or unknown, a looking distance is not the cube's,
            or the network has no level.
        DataError: A continuous variable is constant, or there are no landslides, in training.
    """
    features: tuple[str, ...] = ()
    if isinstance(config, AlignedModel) and isinstance(channels, Channels):
        chosen = aligned_features if aligned_features is not None else config.aligned.features
        features = _checked_features(config.kind, chosen, channels, radii_px)
    of_cube, of_model = tuple(radii_px.values()), aligned_radii(config, radii_px)
    return assemble(Recipe(config, channels, statistics, of_cube, share, features, of_model))


def assemble(recipe: Recipe) -> SusceptibilityModel:
    """A model with fresh weights from its recipe.

    Raises:
        ConfigError: The network has no level.
        DataError: A continuous variable is constant, or there are no landslides, in training.
    """
    _check_numbers(recipe)
    config = recipe.config
    if isinstance(config, NaiveConfig):
        return Naive(recipe)
    if isinstance(config, RandomConfig):
        return Random(recipe, config.seed)
    if isinstance(config, ResUNetConfig | NDVIDifferenceConfig):
        return _assemble_event_model(recipe, config)
    assert isinstance(recipe.channels, Channels)
    encoder = CompactEncoder(
        recipe.channels,
        recipe.statistics,
        recipe.radii_px,
        recipe.aligned_features,
        recipe.aligned_radii_px,
    )
    num_channels = len(encoder.names)
    network: PixelNetwork | UNet
    if isinstance(config, CNNConfig | LACNNConfig):
        _check_widths(config)
        network = UNet(num_channels, config.widths, recipe.share, config.dropout)
    else:
        network = PixelNetwork(num_channels, _hidden(config), recipe.share)
    return EncodedModel(recipe, encoder, network)


def _assemble_event_model(recipe: Recipe, config: EventModelConfig) -> NetworkModel:
    assert isinstance(recipe.channels, EventChannels)
    if isinstance(config, NDVIDifferenceConfig):
        return NetworkModel(recipe, NDVIEncoder(recipe.channels), PixelNetwork(1, (), recipe.share))
    _check_widths(config)
    encoder = EventEncoder(recipe.channels, recipe.statistics, config.hillshade_sun)
    num_channels = len(encoder.names)
    network = ResidualUNet(num_channels, config.widths, config.dropout, recipe.share)
    return EventModel(recipe, encoder, network)


def aligned_radii(config: ModelConfig, radii_px: Mapping[float, int]) -> tuple[int, ...]:
    """Radii of the rings that a model looks at, ascending; none if it does not look uphill.

    Args:
        config: Which model.
        radii_px: Looking distance of the cube, metres -> radius of its ring.

    Raises:
        ConfigError: A looking distance is not the cube's.
    """
    if not isinstance(config, AlignedModel):
        return ()
    try:
        return tuple(radii_px[distance] for distance in config.aligned.distances_of(radii_px))
    except ValueError as error:
        raise ConfigError(f"{config.kind}: {error}") from error


def reach_of(config: ModelConfig, radii_px: Mapping[float, int]) -> int:
    """How far from a pixel a model can see, halo and uphill look together, without building it.

    Args:
        config: Which model.
        radii_px: Looking distance of the cube, metres -> radius of its ring.

    Raises:
        ConfigError: The network has no level, or a looking distance is not the cube's.
    """
    reach_px = max(aligned_radii(config, radii_px), default=0)
    if isinstance(config, CNNConfig | LACNNConfig):
        _check_widths(config)
        reach_px += unet_halo_px(len(config.widths))
    elif isinstance(config, ResUNetConfig):
        _check_widths(config)
        reach_px += HALO_PX + unet_halo_px(len(config.widths))
    return reach_px


def aligned_features(llr: SusceptibilityModel, min_weight: float) -> tuple[str, ...]:
    """Channels that matter to a trained LLR, in channel order (LACNN paper, section 4).

    Args:
        llr: The linear logistic regression; a checkpoint's is ``checkpoint.load(path)[0]``.
        min_weight: |weight| from which a channel is taken, on standardised channels.

    Raises:
        ConfigError: The model is no LLR, or no weight is large enough.
    """
    if not (isinstance(llr, EncodedModel) and isinstance(llr.recipe.config, LLRConfig)):
        raise ConfigError(
            f"aligned features are chosen from an LLR, not from a model of kind "
            f"{llr.recipe.config.kind!r}; name an LLR in aligned.llr"
        )
    weights = llr.network.output.weight.detach().abs().flatten().tolist()
    chosen = tuple(
        name for name, w in zip(llr.encoder.names, weights, strict=True) if w >= min_weight
    )
    if not chosen:
        largest = max(range(len(weights)), key=weights.__getitem__)
        raise ConfigError(
            f"no LLR weight reaches aligned.min_weight {min_weight:g}: the largest is "
            f"{weights[largest]:.3g}, of {llr.encoder.names[largest]!r}; lower min_weight or "
            "list aligned.features"
        )
    return chosen


def _hidden(config: LLRConfig | NNConfig | LANNConfig) -> tuple[int, ...]:
    return () if isinstance(config, LLRConfig) else config.hidden


def _checked_features(
    kind: str, features: tuple[str, ...] | None, channels: Channels, radii_px: Mapping[float, int]
) -> tuple[str, ...]:
    if features is None:
        raise ConfigError(
            f"{kind} has no aligned features: train the LLR of aligned.llr first or list "
            "aligned.features"
        )
    if not features or len(set(features)) != len(features):
        raise ConfigError(f"aligned.features {list(features)} is empty or names a channel twice")
    if not radii_px:
        raise ConfigError(f"{kind} looks uphill: give cube.looking_distances_m at least one")
    for name in features:
        if name not in channels.names:
            near = difflib.get_close_matches(name, channels.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"channels are {channels.names[:3]}, …"
            raise ConfigError(f"aligned feature {name!r} is not a channel of this run; {hint}")
    return features


def _check_widths(config: CNNConfig | LACNNConfig | ResUNetConfig) -> None:
    if not config.widths or min(config.widths) < 1:
        raise ConfigError(
            f"widths {config.widths} of {config.kind}: give one positive width a level"
        )


def _check_numbers(recipe: Recipe) -> None:
    if not 0 < recipe.share < 1:
        raise DataError(
            f"the share of landslides in the training pixels is {recipe.share:g}; training needs "
            "pixels with and without: check the inventory and the split"
        )
    for variable in recipe.channels.continuous:
        if variable not in recipe.statistics:
            raise ConfigError(f"{variable!r} has no mean and standard deviation; run split again")
        mean, std = recipe.statistics[variable]
        if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
            raise DataError(
                f"{variable!r} has mean {mean:g} and standard deviation {std:g} over the training "
                "pixels; it must vary there: check the source or leave it out"
            )
