"""From probabilities to connected bodies: masks, labels, seams between blocks, sums of bodies.

Sums are kept in integers, so that a body gives the same numbers however it was cut into blocks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Steps of one in sums of numbers in [-1, 1]; 2e9 pixels fit.
UNIT_STEPS = 2**32
#: Steps of one degree in sums of slopes; 6e9 pixels fit.
DEGREE_STEPS = 2**24
#: Mean vectors of directions that are shorter have no direction.
SHORTEST = 1e-6


def halo_px(opening_px: int, closing_px: int) -> int:
    """How far :func:`landslide_mask` looks."""
    return 2 * (opening_px + closing_px)


def landslide_mask(
    probability: NDArray[np.float32], threshold: float, opening_px: int = 0, closing_px: int = 0
) -> NDArray[np.bool_]:
    """Pixels that are landslide, before bodies and holes are looked at.

    Args:
        probability: ``(y, x)``; NaN is no data, also beyond the raster.
        threshold: Probability from which a pixel is landslide.
        opening_px: Radius of a disc to open with; 0 for none.
        closing_px: Radius of a disc to close with afterwards; 0 for none.

    Returns:
        ``(y, x)``; False where there are no data. Right but for :func:`halo_px` pixels at each side
        that does not lie beyond the raster.
    """
    mask: NDArray[np.bool_] = probability >= np.float32(threshold)
    if opening_px:
        disc = _disc(opening_px)
        mask = ndimage.binary_dilation(ndimage.binary_erosion(mask, disc), disc)
    if closing_px:
        disc = _disc(closing_px)
        mask = ndimage.binary_erosion(ndimage.binary_dilation(mask, disc), disc)
        mask &= ~np.isnan(probability)
    return mask


def _disc(radius_px: int) -> NDArray[np.bool_]:
    y, x = np.mgrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    disc: NDArray[np.bool_] = y**2 + x**2 <= radius_px**2
    return disc


def connected(mask: NDArray[np.bool_], connectivity: int) -> tuple[NDArray[np.int32], int]:
    """Connected bodies of a mask.

    Args:
        mask: ``(y, x)``.
        connectivity: Neighbours of a pixel, 4 or 8.

    Returns:
        ``(y, x)`` numbers from 1, 0 outside, and how many there are.
    """
    structure = ndimage.generate_binary_structure(2, 1 if connectivity == 4 else 2)
    labels = np.empty(mask.shape, dtype=np.int32)
    return labels, int(ndimage.label(mask, structure, output=labels))


def around(connectivity: int) -> int:
    """Connectivity of the ground around bodies: paths of the two kinds cannot cross."""
    return 12 - connectivity


def seam_pairs(
    before: NDArray[np.int64], after: NDArray[np.int64], connectivity: int
) -> NDArray[np.int64]:
    """Numbers that touch across a seam.

    Args:
        before: Numbers of the last line before the seam, shape (length,); 0 for none.
        after: Numbers of the first line after it.
        connectivity: Neighbours of a pixel, 4 or 8.

    Returns:
        Different pairs, shape (n, 2).
    """
    facing = [(before, after)]
    if connectivity == 8:
        facing += [(before[1:], after[:-1]), (before[:-1], after[1:])]
    pairs = np.concatenate([np.stack(pair, axis=1) for pair in facing])
    found: NDArray[np.int64] = np.unique(pairs[(pairs > 0).all(axis=1)], axis=0)
    return found


def joined(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of some numbers belong together.

    Args:
        count: The numbers are 1 to ``count``.
        pairs: Those that touch, shape (n, 2).

    Returns:
        Group of each number, from 0, shape (count,).
    """
    if not count:
        return np.zeros(0, dtype=np.int64)
    one = np.ones(len(pairs), dtype=np.bool_)
    graph = coo_array((one, (pairs[:, 0] - 1, pairs[:, 1] - 1)), shape=(count, count))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups


class Groups:
    """Reduces values by group; every group from 0 to the last has at least one member."""

    def __init__(self, group_of: NDArray[Any]):
        self._order = np.argsort(group_of, kind="stable")
        self._starts = np.flatnonzero(np.diff(group_of[self._order], prepend=-1))

    def total(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Sum of each group's integers, exact."""
        return self._reduced(np.add, values.astype(np.int64, copy=False))

    def lowest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Least of each group, NaN only where all are."""
        return self._reduced(np.fmin, values)

    def highest(self, values: NDArray[Any]) -> NDArray[Any]:
        """Greatest of each group, NaN only where all are."""
        return self._reduced(np.fmax, values)

    def _reduced(self, how: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        if not len(self._starts):
            return values[:0]
        reduced: NDArray[Any] = how.reduceat(values[self._order], self._starts)
        return reduced


@dataclass(frozen=True)
class Totals:
    """What the pixels of each body add up to; arrays of shape (bodies,).

    Attributes:
        first: Row-major position of the first pixel in the raster.
        sums: ``num``, ``row`` and ``column``; ``confidence``; ``slope`` and ``num_slope``; ``east``
            and ``north`` of the unit vectors downhill. In steps where they are no counts.
        lowest_m: Lowest ground.
        highest_m: Highest ground.
        max_confidence: Greatest probability.
        max_slope_deg: Steepest slope.
    """

    first: NDArray[np.int64]
    sums: dict[str, NDArray[np.int64]]
    lowest_m: NDArray[np.float32]
    highest_m: NDArray[np.float32]
    max_confidence: NDArray[np.float32]
    max_slope_deg: NDArray[np.float32]

    @classmethod
    def of_block(
        cls,
        labels: NDArray[np.int32],
        corner: tuple[int, int],
        raster_width: int,
        probability: NDArray[np.float32],
        slope_deg: NDArray[np.float32],
        aspect_deg: NDArray[np.float32],
        elevation_m: NDArray[np.float32],
    ) -> "Totals":
        """Sums of the bodies of a block.

        Args:
            labels: ``(y, x)`` numbers from 1, 0 outside.
            corner: Row and column of its first pixel in the raster.
            raster_width: Columns of the raster.
            probability: ``(y, x)``, finite in the bodies.
            slope_deg: ``(y, x)``; NaN is left out.
            aspect_deg: ``(y, x)`` downhill, clockwise from north; NaN is left out.
            elevation_m: ``(y, x)``; NaN is left out.
        """
        row, column = np.nonzero(labels)
        at = row, column
        groups = Groups(labels[at] - 1)
        row, column = row + corner[0], column + corner[1]
        confidence, slope = probability[at], slope_deg[at]
        aspect = np.radians(aspect_deg[at], dtype=np.float64)
        sums = {
            "num": groups.total(np.ones(len(row), dtype=np.int64)),
            "row": groups.total(row),
            "column": groups.total(column),
            "confidence": groups.total(_steps(confidence, UNIT_STEPS)),
            "slope": groups.total(_steps(slope, DEGREE_STEPS)),
            "num_slope": groups.total(~np.isnan(slope)),
            "east": groups.total(_steps(np.sin(aspect), UNIT_STEPS)),
            "north": groups.total(_steps(np.cos(aspect), UNIT_STEPS)),
        }
        return cls(
            groups.lowest(row * raster_width + column),
            sums,
            groups.lowest(elevation_m[at]),
            groups.highest(elevation_m[at]),
            groups.highest(confidence),
            groups.highest(slope),
        )

    @classmethod
    def joined(cls, parts: list["Totals"], group_of: NDArray[np.int64]) -> "Totals":
        """Bodies of parts: those of all blocks, one after the other, each in its group."""
        groups = Groups(group_of)

        def all_of(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, name) for part in parts])

        names = parts[0].sums if parts else ()
        return cls(
            groups.lowest(all_of("first")),
            {n: groups.total(np.concatenate([p.sums[n] for p in parts])) for n in names},
            groups.lowest(all_of("lowest_m")),
            groups.highest(all_of("highest_m")),
            groups.highest(all_of("max_confidence")),
            groups.highest(all_of("max_slope_deg")),
        )

    def chosen(self, which: NDArray[Any]) -> "Totals":
        """Some of the bodies, in the order of ``which``."""
        return Totals(
            self.first[which],
            {name: values[which] for name, values in self.sums.items()},
            self.lowest_m[which],
            self.highest_m[which],
            self.max_confidence[which],
            self.max_slope_deg[which],
        )

    @property
    def mean_confidence(self) -> NDArray[np.float64]:
        """Mean probability."""
        return self.sums["confidence"] / (UNIT_STEPS * self.sums["num"])

    @property
    def mean_slope_deg(self) -> NDArray[np.float64]:
        """Mean slope, degrees; NaN where no pixel has one."""
        return _divided(self.sums["slope"] / DEGREE_STEPS, self.sums["num_slope"])

    @property
    def mean_aspect_deg(self) -> NDArray[np.float64]:
        """Mean direction downhill, degrees clockwise from north in [0, 360).

        The direction of the mean unit vector (Mardia and Jupp 2000, Directional Statistics, 2.2);
        NaN on flat ground and where directions cancel.
        """
        east, north = self.sums["east"] / UNIT_STEPS, self.sums["north"] / UNIT_STEPS
        angle = np.degrees(np.arctan2(east, north)) % 360
        cancelled = np.hypot(east, north) < SHORTEST * self.sums["num"]
        return np.where(cancelled, np.nan, np.where(angle < 360, angle, 0.0))


def _steps(values: NDArray[Any], steps: int) -> NDArray[np.int64]:
    """Numbers as integers; NaN adds nothing."""
    scaled = np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0) * steps)
    return np.asarray(scaled.astype(np.int64))


def _divided(total: NDArray[np.float64], count: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
