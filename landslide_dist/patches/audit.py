"""Counts what one part of a split can see of another: the leak of a split.

A prediction looks at the pixels within the model's reach. Where a label of another part lies among
them, the two share inputs, and the score of the part says less about an unseen region.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from landslide_dist.grid import Window
from landslide_dist.patches.reader import PatchReader

#: Which part is asked what it sees of which other.
PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))


@dataclass(frozen=True)
class Sight:
    """What the pixels of one part see of another's labels.

    Attributes:
        part: The part that looks.
        of: The part that is looked at.
        num_labelled: Labelled pixels of ``part``.
        num_seeing: Those of them with a label of ``of`` within reach.
        distance_px: Least Chebyshev distance of labels of the two parts; None beyond reach.
    """

    part: str
    of: str
    num_labelled: int
    num_seeing: int
    distance_px: int | None

    @property
    def share(self) -> float:
        """Share of the part's labelled pixels that see the other part."""
        return self.num_seeing / self.num_labelled if self.num_labelled else 0.0


@dataclass(frozen=True)
class SplitAudit:
    """The sights of all pairs of parts.

    Attributes:
        reach_px: How far a prediction looks, halo and uphill reach together.
        sights: One a pair of parts that both exist.
    """

    reach_px: int
    sights: tuple[Sight, ...]


def audit_split(
    reader: PatchReader,
    windows: Iterable[Window],
    parts: Mapping[str, Collection[int]],
    reach_px: int,
) -> SplitAudit:
    """Count, block by block with a halo of ``reach_px``.

    Args:
        reader: Gives ``split``.
        windows: Blocks that cover the raster once.
        parts: ``SplitConfig.parts()``.
        reach_px: How far a prediction looks.
    """
    pairs = [(part, of) for part, of in PAIRS if parts[part] and parts[of]]
    num_labelled = dict.fromkeys(pairs, 0)
    num_seeing = dict.fromkeys(pairs, 0)
    nearest: dict[tuple[str, str], int | None] = dict.fromkeys(pairs)
    for window in windows:
        padded = window.expand(reach_px)
        split = reader.read(padded, ("split",))["split"]
        member = {name: np.isin(split, sorted(values)) for name, values in parts.items()}
        core = window.relative_to(padded).slices
        distance_to = {of: _distances(member[of], core) for of in {of for _, of in pairs}}
        for pair in pairs:
            part, of = pair
            distances = distance_to[of][member[part][core]]
            seeing = distances[distances <= reach_px]
            num_labelled[pair] += len(distances)
            num_seeing[pair] += len(seeing)
            if len(seeing):
                least = int(seeing.min())
                nearest[pair] = min(least, nearest[pair] or least)
    sights = [Sight(*pair, num_labelled[pair], num_seeing[pair], nearest[pair]) for pair in pairs]
    return SplitAudit(reach_px, tuple(sights))


def _distances(of_other: NDArray[np.bool_], core: tuple[slice, slice]) -> NDArray[np.integer[Any]]:
    """Chebyshev distance of each core pixel to the nearest pixel of a part in the window."""
    if not of_other.any():
        return np.full(of_other[core].shape, max(of_other.shape))
    return np.asarray(distance_transform_cdt(~of_other, metric="chessboard")[core])
