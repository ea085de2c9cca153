"""The pointing game: does the largest value of a map lie on what the map is said to show?

Zhang et al. (2018, International Journal of Computer Vision 126, 1084-1102); without their
tolerance of 15 pixels. Whoever points at a random pixel, or at the centre, plays along: landslides
fill much of their chips.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pointing:
    """Hits of one map over some chips.

    Attributes:
        chips: Chips with a landslide.
        hits: Those whose map is largest in the landslide.
        empty: Those whose map is 0 everywhere: nothing is pointed at, no hit.
        centre_hits: Those whose centre lies in the landslide.
        expected_hits: Of a random pixel of each.
    """

    chips: int
    hits: int
    empty: int
    centre_hits: int
    expected_hits: float

    def shares(self) -> dict[str, float]:
        """Shares of the chips: hit by the map, by the centre, by a random pixel."""
        return {
            "hit_share": self.hits / self.chips,
            "centre_share": self.centre_hits / self.chips,
            "random_share": self.expected_hits / self.chips,
        }


def pointing_game(maps: NDArray[np.float32], masks: NDArray[np.bool_]) -> Pointing:
    """Play it once a chip.

    The point is the middle of a map's largest value. Were the map enlarged first, a largest value
    at its border would be a patch of equal ones, the first of them in the chip's corner.

    Args:
        maps: ``(chip, y, x)`` not negative, coarser than the masks or of their size.
        masks: ``(chip, y, x)``, each with a landslide.
    """
    numbers = np.arange(len(maps))
    largest = maps.reshape(len(maps), -1).argmax(axis=1)
    places = np.unravel_index(largest, maps.shape[1:])
    rows, columns = (
        ((2 * place + 1) * size) // (2 * coarse)
        for place, size, coarse in zip(places, masks.shape[1:], maps.shape[1:], strict=True)
    )
    points = maps.max(axis=(1, 2)) > 0
    return Pointing(
        len(maps),
        int((masks[numbers, rows, columns] & points).sum()),
        int((~points).sum()),
        int(masks[:, masks.shape[1] // 2, masks.shape[2] // 2].sum()),
        float(masks.mean(axis=(1, 2)).sum()),
    )
