"""Augmentation of event patches (Prakash et al. 2021, figure 7B), on the device, batched.

Geometry is drawn once for all planes of a sample, so that images, surface model and labels stay
aligned; colours are drawn separately for the image before and the one after. Slope and hillshade
are computed from the surface model afterwards, by the model's encoder. What is drawn depends on the
sample's key alone, not on the samples beside it or on the rank.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.batch import Batch, image_values
from landslide_dist.config.augment import AugmentConfig
from landslide_dist.draws import uniform
from landslide_dist.schema import UNLABELLED

#: Numbers of a key's draws: the geometry's, then those of each image.
_TURN, _SCALE, _SHEAR, _FLIP_X, _FLIP_Y, _OF_IMAGES = range(6)
#: Draws that one image has for itself, before those of its bands.
_PER_IMAGE = 64
#: Length of the sequence that noise is taken from.
_NUM_NORMAL = 1 << 22


@dataclass(frozen=True)
class Augment:
    """Varies the samples of a batch.

    Attributes:
        config: What is drawn, and how far.
        images: Planes of the image before and of the one after, band by band.
    """

    config: AugmentConfig
    images: tuple[tuple[str, ...], tuple[str, ...]]

    def __call__(self, batch: Batch) -> Batch:
        """The varied batch; its images become float32, NaN without data.

        Args:
            batch: Planes of images, and ``elevation``; with a key.
        """
        assert batch.key is not None, "training patches have keys"
        values = {name: image_values(batch.planes[name]) for image in self.images for name in image}
        for number, image in enumerate(self.images):
            stacked = torch.stack([values[name] for name in image], dim=1)
            recoloured = recolour(stacked, batch.key, number, self.config)
            values |= dict(zip(image, recoloured.unbind(1), strict=True))
        planes = {**batch.planes, **values}
        if not self.config.moves:
            return replace(batch, planes=planes)
        geometry = draw_geometry(batch.key, self.config)
        names = tuple(values)
        moved = lay_anew(torch.stack([values[n] for n in names], 1), geometry)
        planes |= dict(zip(names, moved.unbind(1), strict=True))
        planes["elevation"] = lay_anew(planes["elevation"][:, None], geometry)[:, 0]
        target = lay_labels(batch.target, geometry)
        return replace(batch, planes=planes, target=target, geometry=geometry)


def draw_geometry(keys: Tensor, config: AugmentConfig) -> Tensor:
    """How each sample is laid anew: ``Batch.geometry``, ``(sample, 2, 2)`` float32.

    Args:
        keys: ``(sample,)`` int64.
        config: Limits.
    """
    turn = _between(keys, _TURN, math.radians(config.turn_deg))
    stretch = torch.exp(_between(keys, _SCALE, math.log(config.scale)))
    shear = _between(keys, _SHEAR, config.shear)
    flips = torch.ones(len(keys), 2, device=keys.device)
    if config.flips:
        drawn_ones = torch.stack([uniform(keys, n) < 0.5 for n in (_FLIP_X, _FLIP_Y)], dim=-1)
        flips = torch.where(drawn_ones, -1.0, 1.0)
    cos, sin = torch.cos(turn), torch.sin(turn)
    # Rotation times shear, by elements: how a matrix product rounds depends on the batch's size.
    rows = torch.stack([cos, cos * shear + sin, -sin, cos - sin * shear], dim=-1)
    return rows.reshape(-1, 2, 2) * flips[:, None] / stretch[:, None, None]


def lay_anew(planes: Tensor, geometry: Tensor) -> Tensor:
    """Planes where each pixel shows what the geometry says, about the centre of the patch.

    Bilinear: torch's bicubic kernel does not reproduce an inclined plane, and its slopes are off by
    up to a degree.

    Args:
        planes: ``(sample, plane, y, x)`` float32, NaN without data.
        geometry: ``Batch.geometry``.

    Returns:
        The same shape; NaN where anything that it was interpolated from is not known.
    """
    grid = sampling_grid(planes.shape, geometry)
    absent = ~torch.isfinite(planes)
    # Interpolated around a height near zero, so that float32 keeps its digits.
    middle = planes.masked_fill(absent, torch.nan).nanmean(dim=(1, 2, 3), keepdim=True)
    middle = middle.nan_to_num(0.0)
    laid, known = (
        F.grid_sample(part, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        for part in ((planes - middle).masked_fill(absent, 0.0), (~absent).float())
    )
    return (laid + middle).masked_fill(known < 1 - 1e-4, torch.nan)


def lay_labels(target: Tensor, geometry: Tensor) -> Tensor:
    """Labels ``(sample, y, x)`` uint8 of the nearest pixel; 255 beyond the core."""
    grid = sampling_grid((len(target), 1, *target.shape[-2:]), geometry)
    # One more than it is, so that what lies beyond reads as nothing.
    shifted = torch.where(target == UNLABELLED, 0, target.to(torch.int32) + 1)
    laid = F.grid_sample(
        shifted[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )
    values = laid[:, 0].to(torch.int32)
    return torch.where(values == 0, UNLABELLED, values - 1).to(torch.uint8)


def recolour(image: Tensor, keys: Tensor, number: int, config: AugmentConfig) -> Tensor:
    """Another sensor, another light: contrast, colour, brightness, sharpness and noise.

    Args:
        image: ``(sample, band, y, x)`` float32, NaN without data.
        keys: ``(sample,)`` int64.
        number: Of the image: each draws for itself.
        config: Limits.
    """
    if not config.recolours:
        return image
    first = _OF_IMAGES + number * _PER_IMAGE
    contrast, brightness, sharpness, deviation = (
        _between(keys, first + place, limit).reshape(-1, 1, 1, 1)
        for place, limit in enumerate(
            (config.contrast, config.brightness, config.sharpness, config.noise)
        )
    )
    bands = range(first + 4, first + 4 + image.shape[1])
    colour = torch.stack([_between(keys, band, config.colour) for band in bands], dim=1)
    mean = image.nanmean(dim=(2, 3), keepdim=True)
    varied = mean + (image - mean) * (1 + contrast) + brightness * mean
    varied = varied * (1 + colour[:, :, None, None])
    if config.sharpness:
        varied = varied + sharpness * (varied - _blurred(varied))
    return varied * (1 + deviation.abs() * _noise(image, keys, number)) if config.noise else varied


def _noise(image: Tensor, keys: Tensor, number: int) -> Tensor:
    """Of each pixel and band, normal with deviation 1: a piece of a fixed sequence."""
    size = image[0].numel()
    sequence = _normal_sequence(image.device, max(_NUM_NORMAL, 2 * size))
    share = uniform(keys, _OF_IMAGES + number * _PER_IMAGE + _PER_IMAGE - 1)
    starts = (share.double() * (len(sequence) - size)).long().tolist()
    return torch.stack([sequence[start : start + size] for start in starts]).view_as(image)


@cache
def _normal_sequence(device: torch.device, length: int) -> Tensor:
    # Drawn on the CPU, so that every device has the same.
    return torch.randn(length, generator=torch.Generator().manual_seed(0)).to(device)


def _blurred(image: Tensor) -> Tensor:
    """Binomial 3 x 3 mean of what is known."""
    weights = image.new_tensor([1.0, 2.0, 1.0])
    kernel = torch.outer(weights, weights).expand(image.shape[1], 1, 3, 3)
    known = torch.isfinite(image)
    summed, weight = (
        F.conv2d(part, kernel, padding=1, groups=image.shape[1])
        for part in (image.nan_to_num(0.0), known.float())
    )
    return torch.where(known, summed / weight.clamp(min=1), image)


def sampling_grid(shape: Sequence[int], geometry: Tensor) -> Tensor:
    """Where ``grid_sample`` looks: offsets from the centre, in units of half the side."""
    height, width = shape[-2:]
    x, y = (
        torch.arange(length, device=geometry.device) - (length - 1) / 2
        for length in (width, height)
    )
    # By elements: how a matrix product rounds depends on the batch's size.
    across, along = (geometry[:, None, None, :, axis] for axis in (0, 1))
    ground = across * x[:, None] + along * y[:, None, None]
    return ground / geometry.new_tensor([width / 2, height / 2])


def _between(keys: Tensor, number: int, limit: float) -> Tensor:
    """Between ``-limit`` and ``limit``, one for each key."""
    return (2 * uniform(keys, number) - 1) * limit
