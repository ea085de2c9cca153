"""Chips for training: how they are divided, how they come, and how they are varied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
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
    labels: NDArray[np.uint8],
    groups: NDArray[np.int64],
    fractions: tuple[float, float, float],
    seed: int,
) -> NDArray[np.uint8]:
    """Part of each chip: 0 train, 1 validation, 2 test; whole groups, at random.

    Groups that hold a landslide and groups that hold none are divided alike.

    Args:
        labels: ``(chip,)`` 1 or 0.
        groups: ``(chip,)`` any integers; chips of one group come into one part.
        fractions: Of the chips, not of the groups, of the three parts.
        seed: Two seeds are two divisions.

    Raises:
        DataError: A part would have no chip of a class.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    sizes, holds = np.bincount(group), np.bincount(group, weights=labels) > 0
    # Drawn in the order in which they come, so that groups of one chip are drawn as chips are.
    in_order = np.argsort(first)
    part_of_group = np.empty(len(first), dtype=np.uint8)
    for value in (0, 1):
        members = in_order[holds[in_order] == value]
        drawn = members[permutation(len(members), seed, value)]
        part_of_group[drawn] = _parts_of(sizes[drawn], fractions)
    parts = part_of_group[group]
    for value, part in product((0, 1), range(len(PART_NAMES))):
        of_class = labels == value
        if not (parts[of_class] == part).any():
            raise DataError(
                f"{of_class.sum()} chips of class {value} from {len(np.unique(group[of_class]))} "
                f"images leave none for {PART_NAMES[part]}: give chips of more images or other "
                "split.fractions"
            )
    return parts


def _parts_of(sizes: IntArray, fractions: tuple[float, float, float]) -> IntArray:
    """Part of each group, by the chips that it has; the groups come in a random order.

    They are cut as if all were of one size. Then they change places for as long as that brings the
    parts nearer to their shares of the chips; where each is one chip, none does.
    """
    shares = np.cumsum(fractions)[:-1]
    bounds = np.rint(shares * len(sizes))
    parts = np.searchsorted(bounds, np.arange(len(sizes)), side="right")
    total = int(sizes.sum())
    wanted = np.diff(np.rint(shares * total).astype(np.int64), prepend=0, append=total)
    while _come_nearer(sizes, parts, wanted):
        pass
    return parts


def _come_nearer(sizes: IntArray, parts: IntArray, wanted: IntArray) -> bool:
    """Move the group, or swap the two, that bring the parts nearest to the chips wanted.

    Near is a small sum of squares. A part gives no group away if it has no other.

    Returns:
        Whether anything brings them nearer.
    """
    members = [np.flatnonzero(parts == part) for part in range(len(wanted))]
    excess = np.array([sizes[groups].sum() for groups in members]) - wanted
    best = 0
    changes: list[tuple[int, int]] = []
    for giver, taker in permutations(range(len(wanted)), 2):
        # Groups of one size are alike: the first of each will do.
        given, given_at = np.unique(sizes[members[giver]], return_index=True)
        back, back_at = np.unique(sizes[members[taker]], return_index=True)
        if len(members[giver]) > 1:
            back = np.append(back, 0)
        moved = given[:, None] - back
        # Half of what moving so many chips adds to the sum of squares.
        cost = moved * (moved - excess[giver] + excess[taker])
        if cost.size and cost.min() < best:
            best = cost.min()
            i, j = divmod(int(cost.argmin()), len(back))
            changes = [(members[giver][given_at[i]], taker)]
            if j < len(back_at):
                changes.append((members[taker][back_at[j]], giver))
    for group, part in changes:
        parts[group] = part
    return bool(changes)


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
