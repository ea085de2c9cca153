"""Chips for training: how they are divided, how they come, and how they are varied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config.augment import AugmentConfig
from landslide_dist.errors import DataError
from landslide_dist.patches.augment import draw_geometry, recolour, sampling_grid
from landslide_dist.patches.order import PADDING, IntArray, Share, permutation
from landslide_dist.patches.ordered import OrderedDataModule, Sampling
from landslide_dist.schema import PART_NAMES, UNLABELLED

#: Key of a chip that is not varied.
AS_IT_IS = -1


def divide(
    labels: NDArray[np.uint8], fractions: tuple[float, float, float], seed: int
) -> NDArray[np.uint8]:
    """Part of each chip: 0 train, 1 validation, 2 test; each class divided alike, at random.

    Args:
        labels: ``(chip,)`` 1 or 0.
        fractions: Of the three parts.
        seed: Two seeds are two divisions.

    Raises:
        DataError: A part would have no chip of a class.
    """
    parts = np.empty(len(labels), dtype=np.uint8)
    shares = np.cumsum(fractions)[:-1]
    for value in (0, 1):
        members = np.flatnonzero(labels == value)
        bounds = np.rint(shares * len(members)).astype(int)
        pieces = np.split(members[permutation(len(members), seed, value)], bounds)
        for part, piece in enumerate(pieces):
            if not len(piece):
                raise DataError(
                    f"{len(members)} chips of class {value} leave none for {PART_NAMES[part]}: "
                    "give more chips or other split.fractions"
                )
            parts[piece] = part
    return parts


@dataclass(frozen=True)
class ChipAugment:
    """Varies the copies among the chips of a batch; originals stay as they are.

    What is drawn depends on a copy's key alone. Corners that come from beyond a chip that is turned
    show its mirror image.
    """

    config: AugmentConfig

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its chips as float32 from 0 to 255."""
        assert batch.key is not None, "training chips have keys"
        varied = batch.key != AS_IT_IS
        planes = {name: chips.float() for name, chips in batch.planes.items()}
        if varied.any():
            for name, chips in planes.items():
                chips[varied] = self.vary(chips[varied], batch.key[varied])
                planes[name] = chips
        return replace(batch, planes=planes)

    def vary(self, chips: Tensor, keys: Tensor) -> Tensor:
        """Turned, mirrored and with another contrast, ``(sample, 3, y, x)`` float32."""
        if self.config.moves:
            grid = sampling_grid(chips.shape, draw_geometry(keys, self.config))
            chips = F.grid_sample(
                chips, grid, mode="bilinear", padding_mode="reflection", align_corners=False
            )
        return recolour(chips, keys, 0, self.config).clamp(0, 255)


class ChipDataModule(OrderedDataModule):
    """Chips in memory, in an order that does not depend on the number of ranks.

    Args:
        plane: Name of the batch's plane.
        images: ``(chip, 3, y, x)`` uint8.
        labels: ``(chip,)`` uint8.
        parts: ``(chip,)`` uint8, see :func:`divide`.
        sampling: Batch size and seed; oversampling is not used.
        augment: With it each training chip comes once more, varied anew in every epoch.
    """

    def __init__(
        self,
        plane: str,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        parts: NDArray[np.uint8],
        sampling: Sampling,
        augment: ChipAugment | None = None,
    ) -> None:
        self.plane = plane
        self.images = torch.from_numpy(images)
        self.labels = torch.from_numpy(labels)
        self.members = {name: np.flatnonzero(parts == i) for i, name in enumerate(PART_NAMES)}
        # No two chips are read together: each is a block of its own.
        blocks = {name: np.arange(len(members)) for name, members in self.members.items()}
        copies = np.full(len(self.members["train"]), 1 if augment is None else 2, dtype=np.int64)
        super().__init__(sampling, blocks, copies, augment)

    def batches(self, part: str, shares: Sequence[Share]) -> Iterator[Batch]:
        """The batches of some shares of a part."""
        for share in shares:
            yield self._batch(self.members[part], share)

    def _batch(self, members: IntArray, share: Share) -> Batch:
        is_padding = torch.from_numpy(share.patch == PADDING)
        # Padding shows the first chip, without a label.
        chips = torch.from_numpy(members[np.maximum(share.patch, 0)])
        target = self.labels[chips].masked_fill(is_padding, UNLABELLED)
        key = np.where(share.copy > 0, share.key, AS_IT_IS)
        origin = torch.stack([chips, torch.zeros_like(chips)], dim=1)
        origin[is_padding] = -1
        return Batch(
            {self.plane: self.images[chips]},
            target[:, None, None],
            origin,
            context_px=0,
            key=torch.from_numpy(key),
        )

    def _order_inputs(self) -> dict[str, int]:
        inputs = super()._order_inputs()
        return inputs | {"patches": crc32(self.members["train"].tobytes(), inputs["patches"])}
