"""Which windows to decode for a sequence of samples, and how long each is needed; integers only.

A shard's chunks are decoded whole, so a window for each patch decodes most pixels several times.
One window for all patches of a visit does not.
"""

from dataclasses import dataclass

import numpy as np

from landslide_dist.grid import Window
from landslide_dist.patches.order import IntArray


@dataclass(frozen=True)
class ReadPlan:
    """Windows in the order in which they are first needed.

    Attributes:
        windows: What to decode.
        read: Sample -> the window it lies in.
        first: Window -> the first batch that needs it.
        last: Window -> the last batch that needs it.
    """

    windows: list[Window]
    read: IntArray
    first: IntArray
    last: IntArray

    def peak_px(self) -> int:
        """Most pixels that are needed at a time."""
        change = np.zeros(int(self.last.max(initial=-1)) + 2, dtype=np.int64)
        area = np.array([w.height * w.width for w in self.windows], dtype=np.int64)
        np.add.at(change, self.first, area)
        np.add.at(change, self.last + 1, -area)
        return int(np.cumsum(change).max(initial=0))


def plan_reads(
    origins: IntArray, side_px: int, batch: IntArray, visit: IntArray, together: bool = True
) -> ReadPlan:
    """Plan what to decode.

    Args:
        origins: ``(sample, 2)`` upper-left pixel of each sample's window.
        side_px: Side of those windows.
        batch: Batch of each sample, ascending.
        visit: Visit of each sample; those of one visit lie near each other.
        together: One window for a visit where that decodes less than one for each sample; else
            every sample has its own.
    """
    _, group = np.unique(visit, return_inverse=True)
    num_groups = int(group.max(initial=-1)) + 1
    low = np.full((num_groups, 2), np.iinfo(np.int64).max)
    high = np.full((num_groups, 2), np.iinfo(np.int64).min)
    np.minimum.at(low, group, origins)
    np.maximum.at(high, group, origins + side_px)
    box_px = np.prod(high - low, axis=1)
    alone = (box_px > np.bincount(group, minlength=num_groups) * side_px**2)[group]
    if not together:
        alone[:] = True
    key = np.where(alone, num_groups + np.arange(len(group)), group)
    _, first_sample, read = np.unique(key, return_index=True, return_inverse=True)
    by_need = np.argsort(first_sample, kind="stable")
    place = np.empty_like(by_need)
    place[by_need] = np.arange(len(by_need))
    read = place[read]
    last = np.zeros(len(by_need), dtype=np.int64)
    np.maximum.at(last, read, batch)
    samples = first_sample[by_need]
    corner = np.where(alone[samples, None], origins[samples], low[group[samples]])
    end = np.where(alone[samples, None], origins[samples] + side_px, high[group[samples]])
    windows = [
        Window(y0, x0, y1 - y0, x1 - x0)
        for (y0, x0), (y1, x1) in zip(corner.tolist(), end.tolist(), strict=True)
    ]
    return ReadPlan(windows, read, batch[samples], last)
