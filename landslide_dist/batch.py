"""What flows from the patches to the models: :class:`Batch`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from landslide_dist.schema import NO_IMAGE


@dataclass(frozen=True)
class Batch:
    """Some patches as compact planes, and what to compare the model with.

    Attributes:
        planes: Cube variable -> tensor ``(sample, y, x)`` (``uphill``: ``(sample, distance, y,
            x)``) in the cube's own dtype, over the core and ``context_px`` around it. Beyond the
            raster floats are NaN, categories ``OUTSIDE_CODE`` and ``uphill`` "none".
        target: ``(sample, y, x)`` uint8 over the core: 1, 0, or 255 where the loss does not count
            (unlabelled, of another part of the split, or beyond the raster).
        origin: ``(sample, 2)`` int64 row and column of the core's upper-left pixel; negative of the
            samples, last in a batch, that only make it as large as those of other ranks.
        context_px: How far the planes reach beyond the core on each side.
        key: ``(sample,)`` int64 that augmentation and dropout of each sample draw from; None where
            nothing is drawn.
        geometry: ``(sample, 2, 2)`` float32 by which augmentation laid each sample anew: from an
            offset in the patch (x, y) to the one on the ground that lies there now, in pixels;
            None: all as they were.
    """

    planes: Mapping[str, Tensor]
    target: Tensor
    origin: Tensor
    context_px: int
    key: Tensor | None = None
    geometry: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device; planes stay compact."""
        return replace(
            self,
            planes={k: v.to(device, non_blocking=non_blocking) for k, v in self.planes.items()},
            target=self.target.to(device, non_blocking=non_blocking),
            origin=self.origin.to(device, non_blocking=non_blocking),
            key=None if self.key is None else self.key.to(device, non_blocking=non_blocking),
            geometry=None if self.geometry is None else self.geometry.to(device),
        )

    def micro_batches(self, size: int) -> Iterator["Batch"]:
        """Pieces of at most ``size`` samples, in order."""
        for start in range(0, len(self), size):
            part = slice(start, start + size)
            yield replace(
                self,
                planes={k: v[part] for k, v in self.planes.items()},
                target=self.target[part],
                origin=self.origin[part],
                key=None if self.key is None else self.key[part],
                geometry=None if self.geometry is None else self.geometry[part],
            )

    def without_padding(self) -> "Batch":
        """Without the samples that fill it up; one is left, so that every rank takes each step."""
        num_real = int((self.origin >= 0).all(dim=1).sum())
        return next(self.micro_batches(max(1, num_real)))


def image_values(plane: Tensor) -> Tensor:
    """Numbers of an image's plane as float32, NaN without data.

    Args:
        plane: Integers as they are stored, or floats that are NaN without data already.
    """
    values = plane.float()
    if plane.is_floating_point():
        return values
    # Beyond the raster integers are their maximum.
    absent = (values == NO_IMAGE) | (values == torch.iinfo(plane.dtype).max)
    return values.masked_fill_(absent, torch.nan)
