"""In which order samples come: a pure function of (seed, epoch, patches, number of lanes).

Patches are grouped by block (patches that one read serves). A block is visited as often as its most
frequent patch has copies, and copies of a patch lie in different visits. Blocks are shuffled and
dealt, each to the lane with the fewest samples so far; in a lane the visits are shuffled, and the
samples of each are spread over the time of the next few. The epoch is a round-robin over the lanes
that skips those that have run out. Global batch ``b`` of size ``B`` is the elements ``bB ..
(b+1)B`` of it, and rank ``r`` of ``W`` takes those of lanes ``lane % W == r``. So the sequence of
global batches is the same for every world size up to the number of lanes, and a rank reads only its
own blocks.

Integers and a counter-based generator only: another machine, process or NumPy gives the same order.
"""

import heapq
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Philox, SeedSequence
from numpy.typing import NDArray

from landslide_dist.errors import ConfigError

#: Default number of lanes, the largest world size that keeps the sequence of global batches.
NUM_LANES = 16
#: Visits over whose time the samples of one are spread: how many a reader holds at a time, a lane.
MIXED_VISITS = 2
#: Stands in a share where there is no sample; such a sample is masked.
PADDING = -1

IntArray = NDArray[np.int64]


class Share(NamedTuple):
    """One rank's samples of one global batch.

    Attributes:
        patch: Number of each sample's patch, or ``PADDING``.
        copy: Which copy of the patch in this epoch it is; 0 for padding.
        visit: Visit of a block that it belongs to, or ``PADDING``.
        key: What is drawn for it depends on this alone; 0 for padding.
    """

    patch: IntArray
    copy: IntArray
    visit: IntArray
    key: IntArray


@dataclass(frozen=True)
class Order:
    """The sequence of an epoch.

    Attributes:
        patch: Patch of each element.
        copy: Which of the patch's copies, from 0.
        visit: Visit of a block that it belongs to: samples of one visit lie near each other, in
            the raster and in the sequence.
        key: Of seed, epoch, patch and copy: what augmentation and dropout draw from.
        lane: Lane that it comes from.
        num_lanes: Number of lanes.
    """

    patch: IntArray
    copy: IntArray
    visit: IntArray
    key: IntArray
    lane: IntArray
    num_lanes: int

    def __len__(self) -> int:
        return len(self.patch)

    def share(self, batch: int, batch_size: int, rank: int, world_size: int) -> Share:
        """What one rank takes of a global batch, padded to the largest share of any rank.

        Args:
            batch: Number of the global batch.
            batch_size: Samples of a global batch, over all ranks.
            rank: This rank.
            world_size: Number of ranks.

        Raises:
            ConfigError: There are more ranks than lanes.
        """
        if world_size > self.num_lanes:
            raise ConfigError(
                f"{world_size} processes share {self.num_lanes} lanes of patches; "
                f"train with at most {self.num_lanes}"
            )
        elements = slice(batch * batch_size, (batch + 1) * batch_size)
        owner = self.lane[elements] % world_size
        size = int(np.bincount(owner, minlength=world_size).max())
        mine = owner == rank
        padding = size - int(mine.sum())

        def padded(values: IntArray, fill: int) -> IntArray:
            return np.pad(values[elements][mine], (0, padding), constant_values=fill)

        return Share(
            padded(self.patch, PADDING),
            padded(self.copy, 0),
            padded(self.visit, PADDING),
            padded(self.key, 0),
        )


def training_order(
    blocks: IntArray, copies: IntArray, seed: int, epoch: int, num_lanes: int = NUM_LANES
) -> Order:
    """The shuffled sequence of a training epoch.

    Args:
        blocks: Block of each patch, any integers.
        copies: How often each patch appears, at least once.
        seed: Seed of the run.
        epoch: Number of the epoch.
        num_lanes: Number of lanes.
    """
    _, block = np.unique(blocks, return_inverse=True)
    num_visits = np.zeros(block.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(num_visits, block, copies)
    patch, copy, visit = _choose_visits(num_visits, block, copies, (seed, epoch, 0))
    dealt = permutation(len(num_visits), seed, epoch, 1)
    lane_of_block = _deal(np.bincount(block[patch], minlength=len(num_visits)), dealt, num_lanes)
    lane_of_visit = np.repeat(lane_of_block, num_visits)
    place_of_visit = _rank_within(lane_of_visit, random_keys(len(lane_of_visit), seed, epoch, 2))
    delay = random_keys(len(patch), seed, epoch, 3) % np.uint64(MIXED_VISITS << 32)
    time = (place_of_visit[visit] << 32) + delay.astype(np.int64)
    key = sample_keys(patch, copy, seed, epoch, 4)
    return _round_robin(patch, copy, visit, key, lane_of_visit[visit], time, num_lanes)


def sequential_order(blocks: IntArray, num_lanes: int = NUM_LANES) -> Order:
    """Every patch once, block by block: validation and test.

    Args:
        blocks: Block of each patch, any integers.
        num_lanes: Number of lanes.
    """
    _, block = np.unique(blocks, return_inverse=True)
    num_samples = np.bincount(block)
    lane = _deal(num_samples, np.arange(len(num_samples)), num_lanes)[block]
    patch = np.arange(len(block), dtype=np.int64)
    zero = np.zeros_like(patch)
    return _round_robin(patch, zero, block, zero, lane, block, num_lanes)


def random_keys(count: int, *entropy: int) -> NDArray[np.uint64]:
    """Random 64-bit integers; NumPy promises these bits, not those of its distributions."""
    # SeedSequence takes no negative numbers; a user's seed may be one.
    words = [number & 0xFFFF_FFFF_FFFF_FFFF for number in entropy]
    return np.asarray(Philox(SeedSequence(words)).random_raw(count), dtype=np.uint64)


def sample_keys(patch: IntArray, copy: IntArray, *entropy: int) -> IntArray:
    """A number for each patch and copy, not negative: the finaliser of SplitMix64 (Steele 2014).

    Args:
        patch: Patch of each sample.
        copy: Which of the patch's copies it is.
        entropy: Seed and what else keys depend on.
    """
    x = random_keys(1, *entropy) + patch.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x += copy.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def permutation(count: int, *entropy: int) -> IntArray:
    """A random order of ``0 .. count``."""
    return np.argsort(random_keys(count, *entropy), kind="stable")


def _choose_visits(
    num_visits: IntArray, block: IntArray, copies: IntArray, entropy: tuple[int, int, int]
) -> tuple[IntArray, IntArray, IntArray]:
    """Puts the copies of each patch into different visits, drawn from all of its block's.

    Returns:
        Patch, copy and visit (counted over all blocks) of every sample.
    """
    candidates = num_visits[block]
    patch = np.repeat(np.arange(len(block)), candidates)
    visit = np.arange(len(patch)) - _starts(candidates)[patch]
    copy = _rank_within(patch, random_keys(len(patch), *entropy))
    chosen = copy < copies[patch]
    visit += _starts(num_visits)[block[patch]]
    return patch[chosen], copy[chosen], visit[chosen]


def _deal(num_samples: IntArray, dealt: IntArray, num_lanes: int) -> IntArray:
    """Lane of each block: in the order ``dealt``, to the lane with the fewest samples so far."""
    lanes = [(0, lane) for lane in range(num_lanes)]
    lane_of_block = np.empty(len(num_samples), dtype=np.int64)
    for block in dealt.tolist():
        samples, lane = lanes[0]
        lane_of_block[block] = lane
        heapq.heapreplace(lanes, (samples + int(num_samples[block]), lane))
    return lane_of_block


def _round_robin(
    patch: IntArray,
    copy: IntArray,
    visit: IntArray,
    key: IntArray,
    lane: IntArray,
    time: IntArray,
    num_lanes: int,
) -> Order:
    """One element of each lane in turn; in a lane by time."""
    sequence = np.lexsort((lane, _rank_within(lane, time)))
    return Order(
        patch[sequence],
        copy[sequence],
        visit[sequence],
        key[sequence],
        lane[sequence],
        num_lanes,
    )


def _rank_within(group: IntArray, key: NDArray[np.integer[Any]]) -> IntArray:
    """Place of each element among those of its group, by key; groups are numbered from 0."""
    by_group = np.lexsort((key, group))
    rank = np.empty(len(group), dtype=np.int64)
    rank[by_group] = np.arange(len(group)) - _starts(np.bincount(group))[group[by_group]]
    return rank


def _starts(lengths: IntArray) -> IntArray:
    """Where each run begins when runs of these lengths follow one another."""
    return np.cumsum(lengths) - lengths
