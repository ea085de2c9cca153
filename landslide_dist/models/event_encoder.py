"""Planes of an image pair and elevation -> channels of event models, on the device.

Slope and hillshade are computed here, so that they are those of the augmented surface (Prakash et
al. 2021, figure 7B).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from landslide_dist.batch import Batch, image_values
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.errors import ConfigError
from landslide_dist.models import terrain


class EventEncoder(nn.Module):
    """The channels of :class:`~landslide_dist.config.event_channels.EventChannels`.

    Bands and slope are standardised by the training pixels, hillshade goes from [0, 1] to [-1, 1].
    Pixels without data are 0 in the channels that lack it.

    Attributes:
        names: One name a channel.
        inputs: Planes that are read.
        reach_px: How far slope and hillshade look.

    Args:
        channels: Bands and pixel size.
        statistics: Mean and standard deviation of each continuous plane.
        hillshade_sun: Whether the sun turns with an augmented sample.
    """

    mean: Tensor
    std: Tensor
    reach_px: int = terrain.HALO_PX

    def __init__(
        self,
        channels: EventChannels,
        statistics: Mapping[str, tuple[float, float]],
        hillshade_sun: Literal["fixed", "turns"] = "fixed",
    ) -> None:
        super().__init__()
        self.images = channels.images
        self.names = channels.names
        self.inputs = channels.variables
        self.pixel_m = channels.pixel_m
        self.sun_turns = hillshade_sun == "turns"
        mean, std = zip(*(statistics[name] for name in channels.continuous), strict=True)
        # Buffers are remade from the recipe, so the weights of a checkpoint are weights alone.
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """``(sample, channel, y, x)`` over the core and ``context_px - 1`` around it."""
        elevation = batch.planes["elevation"]
        pixel_m = elevation.new_tensor([self.pixel_m])
        sun = terrain.sun(elevation)
        if batch.geometry is not None:
            pixel_m = pixel_m * torch.linalg.det(batch.geometry).abs().sqrt()
            if self.sun_turns:
                sun = terrain.turned(sun, batch.geometry)
        right, down = terrain.gradient(elevation, pixel_m)
        shade = terrain.hillshade(right, down, sun)
        images = torch.stack([image_values(batch.planes[n])[:, 1:-1, 1:-1] for n in self.images], 1)
        measured = torch.cat([images, terrain.slope_deg(right, down)[:, None]], dim=1)
        standardised = (measured - self.mean) / self.std
        channels = torch.cat([standardised, 2 * shade[:, None] - 1], dim=1)
        return channels.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)


class NDVIEncoder(nn.Module):
    """One channel: NDVI after the event less NDVI before; 0 where either is not known.

    Args:
        channels: Bands; red and nir are among them.
    """

    names: tuple[str, ...] = ("ndvi_difference",)
    inputs: tuple[str, ...]
    reach_px: int = 0

    def __init__(self, channels: EventChannels) -> None:
        super().__init__()
        if not {"red", "nir"} <= set(channels.bands):
            raise ConfigError(
                f"ndvi_difference needs the bands red and nir; the images have "
                f"{', '.join(channels.bands)}: add them to sources.reflectance.bands"
            )
        self.inputs = tuple(f"{role}_{b}" for role in ("pre", "post") for b in ("red", "nir"))

    def forward(self, batch: Batch) -> Tensor:
        """``(sample, 1, y, x)`` over the core and its context."""
        pre_red, pre_nir, post_red, post_nir = (image_values(batch.planes[n]) for n in self.inputs)
        return self._difference(pre_red, pre_nir, post_red, post_nir)[:, None]

    def pixels(self, batch: Batch, where: Tensor) -> Tensor:
        """``(pixel, 1)`` of some pixels of the cores ``(sample, y, x)``, in row order."""
        edge = batch.context_px
        height, width = where.shape[-2:]
        inner = (..., slice(edge, edge + height), slice(edge, edge + width))
        planes = (image_values(batch.planes[name][inner])[where] for name in self.inputs)
        return self._difference(*planes)[:, None]

    def _difference(
        self, pre_red: Tensor, pre_nir: Tensor, post_red: Tensor, post_nir: Tensor
    ) -> Tensor:
        before = (pre_nir - pre_red) / (pre_nir + pre_red)
        after = (post_nir - post_red) / (post_nir + post_red)
        return (after - before).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
