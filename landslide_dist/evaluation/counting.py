"""What one block of a region adds to the scores of every map."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.evaluation.strata import NONE, Strata
from landslide_dist.grid import Window
from landslide_dist.kernels.bootstrap import BlockCounts
from landslide_dist.kernels.scores import bin_index, losses
from landslide_dist.kernels.sparse_counts import SparseCounts
from landslide_dist.schema import LANDSLIDE, SPLIT, UNLABELLED
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

#: The part that intervals are drawn for.
DRAWN_PART = "test"
#: Bytes a pixel that counting holds: labels, a map and its bins and losses, positions, temporaries.
_BYTES_PER_PIXEL = 120
#: And for each division into strata: stratum, and order of the pixels.
_BYTES_PER_STRATA = 20


@dataclass(frozen=True)
class SetKey:
    """A set of pixels that is scored.

    Attributes:
        part: Part of the split.
        division: Division into strata; empty for the whole part.
        stratum: Its stratum.
    """

    part: str
    division: str = ""
    stratum: int = NONE


@dataclass(frozen=True)
class MapCounts:
    """What a block adds to one map.

    Attributes:
        sets: Counts of each set of labelled pixels.
        mapped: Of all pixels with a probability: landslides, labelled or not in a part, and others.
        drawn: Counts of the bootstrap's blocks, of the test part.
        num_missing: Labelled pixels without a probability.
        num_outside: Values that are no probabilities.
    """

    sets: Mapping[SetKey, SparseCounts] = field(default_factory=dict)
    mapped: SparseCounts = field(default_factory=SparseCounts.zero)
    drawn: BlockCounts | None = None
    num_missing: int = 0
    num_outside: int = 0


@dataclass(frozen=True)
class CountBlock:
    """Counts a block of every map; small and picklable, so that any worker may take it.

    Attributes:
        cube_location: Cube with ``landslide``.
        split_location: Group that holds ``split``.
        maps: Map -> group and variable of its probability.
        parts: Part -> values of the split raster.
        strata: Divisions of the pixels.
        bootstrap_block_px: Side of a bootstrap block; 0 for none.
        whole: Also count pixels without a label, for classes of the whole map.
    """

    cube_location: str
    split_location: str
    maps: Mapping[str, tuple[str, str]]
    parts: Mapping[str, frozenset[int]]
    strata: tuple[Strata, ...]
    bootstrap_block_px: int
    whole: bool

    def thread_bytes(self, block_px: int) -> int:
        """Memory of one thread at most, for blocks of ``block_px`` on a side."""
        return block_px**2 * (_BYTES_PER_PIXEL + _BYTES_PER_STRATA * len(self.strata))

    def __call__(self, window: Window) -> dict[str, MapCounts]:
        """Map -> what the block adds; nothing for blocks that need not be read."""
        labels = self._read_labels(window)
        if not len(labels.at) and not self.whole:
            return {}
        return {name: self._count(name, labels) for name in self.maps}

    def _read_labels(self, window: Window) -> "Labels":
        landslide = cube.array(open_group(self.cube_location), LANDSLIDE.name)
        split = cube.array(open_group(self.split_location), SPLIT.name)
        target = cube.read_window(landslide, window, UNLABELLED).ravel()
        part_of = cube.read_window(split, window, UNLABELLED).ravel()
        part = np.full(part_of.shape, NONE, dtype=np.int8)
        for number, values in enumerate(self.parts.values()):
            part[np.isin(part_of, sorted(values))] = number
        at = np.flatnonzero((target != UNLABELLED) & (part != NONE)).astype(np.int32)
        sets: dict[SetKey, NDArray[np.int32]] = {}
        if len(at):
            of_part = part[at]
            strata = [s.read(window).ravel()[at] for s in self.strata]
            for number, name in enumerate(self.parts):
                mine = np.flatnonzero(of_part == number).astype(np.int32)
                if len(mine):
                    sets[SetKey(name)] = mine
                    for division, codes in zip(self.strata, strata, strict=True):
                        for stratum, pixels in _grouped(codes, mine):
                            sets[SetKey(name, division.name, stratum)] = pixels
        return Labels(window, target == 1, at, sets)

    def _count(self, name: str, labels: "Labels") -> MapCounts:
        location, variable = self.maps[name]
        array = cube.array(open_group(location), variable)
        probability = cube.read_window(array, labels.window, np.nan).ravel()
        there = ~np.isnan(probability)
        num_outside = int(np.count_nonzero((probability < 0) | (probability > 1)))
        num_missing = int(np.count_nonzero(~there[labels.at]))
        if num_missing or num_outside:
            return MapCounts(num_missing=num_missing, num_outside=num_outside)
        bins = np.zeros(probability.shape, dtype=np.uint16)
        counted = there if self.whole else labels.at
        bins[counted] = bin_index(probability[counted])
        mapped = (
            SparseCounts.from_bins(bins[there], labels.landslide[there])
            if self.whole
            else SparseCounts.zero()
        )
        at_bins, landslide = bins[labels.at], labels.landslide[labels.at]
        nll, squared_error = losses(probability[labels.at], landslide)
        del probability, bins, there
        sets = {
            key: SparseCounts.from_bins(at_bins[p], landslide[p], nll[p], squared_error[p])
            for key, p in labels.sets.items()
        }
        drawn = None
        tested = labels.sets.get(SetKey(DRAWN_PART))
        if tested is not None and self.bootstrap_block_px:
            block = labels.block_number(tested, self.bootstrap_block_px, array.shape[1])
            drawn = BlockCounts.from_bins(
                at_bins[tested], landslide[tested], nll[tested], squared_error[tested], block
            )
        return MapCounts(sets, mapped, drawn)


@dataclass(frozen=True)
class Labels:
    """Labels of one block, the same for all maps.

    Attributes:
        window: The block.
        landslide: Whether each pixel is one, flat.
        at: Flat positions of the labelled pixels of any part.
        sets: Positions in ``at`` of the pixels of each set.
    """

    window: Window
    landslide: NDArray[np.bool_]
    at: NDArray[np.int32]
    sets: Mapping[SetKey, NDArray[np.int32]]

    def block_number(
        self, pixels: NDArray[np.int32], block_px: int, width: int
    ) -> NDArray[np.int64]:
        """Bootstrap block of each of some labelled pixels, numbered over the whole region."""
        row, column = np.divmod(self.at[pixels].astype(np.int64), self.window.width)
        across = -(-width // block_px)
        down = (row + self.window.y0) // block_px
        return np.asarray(down * across + (column + self.window.x0) // block_px)


def _grouped(
    codes: NDArray[np.int32], pixels: NDArray[np.int32]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """The pixels of each stratum, in their order."""
    mine = codes[pixels]
    order = np.argsort(mine, kind="stable")
    found, first = np.unique(mine[order], return_index=True)
    for stratum, group in zip(found.tolist(), np.split(order, first[1:]), strict=True):
        if stratum != NONE:
            yield stratum, pixels[group]
