"""Slope and hillshade on the device, of elevation that may have been turned and stretched.

The same numbers as :mod:`landslide_dist.kernels.terrain` (Horn 1981), to rounding.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

#: Reach of the 3 x 3 neighbourhood.
HALO_PX = 1
#: The sun of hillshades, degrees.
AZIMUTH_DEG, ALTITUDE_DEG = 315.0, 45.0


def gradient(elevation: Tensor, pixel_m: Tensor) -> tuple[Tensor, Tensor]:
    """Rise towards the right and towards the bottom, metres a metre.

    Args:
        elevation: ``(sample, y, x)`` metres.
        pixel_m: ``(sample,)`` or ``(1,)`` side of a pixel, metres.

    Returns:
        Each ``(sample, y - 2, x - 2)``; not finite where one of the nine is not.
    """
    z = elevation
    right = (
        (z[:, :-2, 2:] - z[:, :-2, :-2])
        + 2 * (z[:, 1:-1, 2:] - z[:, 1:-1, :-2])
        + (z[:, 2:, 2:] - z[:, 2:, :-2])
    )
    down = (
        (z[:, 2:, :-2] - z[:, :-2, :-2])
        + 2 * (z[:, 2:, 1:-1] - z[:, :-2, 1:-1])
        + (z[:, 2:, 2:] - z[:, :-2, 2:])
    )
    scale = (8 * pixel_m).reshape(-1, 1, 1)
    # The centre has no weight but must be there.
    here = 0 * z[:, 1:-1, 1:-1]
    return right / scale + here, down / scale + here


def slope_deg(right: Tensor, down: Tensor) -> Tensor:
    """Steepest slope of a :func:`gradient`, degrees."""
    return torch.rad2deg(torch.atan(torch.sqrt(right**2 + down**2)))


def hillshade(right: Tensor, down: Tensor, sun: Tensor) -> Tensor:
    """Light that the ground reflects towards the viewer above, in [0, 1].

    Args:
        right: Of :func:`gradient`.
        down: Of :func:`gradient`.
        sun: ``(sample, 2)`` or ``(1, 2)`` horizontal direction of the sun (right, down), of
            length 1.
    """
    altitude = math.radians(ALTITUDE_DEG)
    towards = sun * math.cos(altitude)
    x, y = (towards[:, axis].reshape(-1, 1, 1) for axis in (0, 1))
    light = math.sin(altitude) - x * right - y * down
    return (light / torch.sqrt(1 + right**2 + down**2)).clamp(0, 1)


def sun(like: Tensor) -> Tensor:
    """Where the sun stands, ``(1, 2)`` (right, down), of length 1: in the north-west."""
    azimuth = math.radians(AZIMUTH_DEG)
    return like.new_tensor([[math.sin(azimuth), -math.cos(azimuth)]])


def turned(sun: Tensor, geometry: Tensor) -> Tensor:
    """Where the sun stands over patches that were turned with it, ``(sample, 2)``, of length 1.

    Args:
        sun: ``(1, 2)`` over the ground.
        geometry: ``(sample, 2, 2)``; see :attr:`landslide_dist.batch.Batch.geometry`.
    """
    # The geometry leads from the patch to the ground; the sun comes the other way.
    over_patch = torch.linalg.solve(geometry, sun[..., None].expand(len(geometry), 2, 1))
    return F.normalize(over_patch[..., 0], dim=1)
