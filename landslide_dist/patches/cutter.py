"""What a sample of one part is: the planes a model reads around a core, and the core's labels."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landslide_dist.batch import Batch
from landslide_dist.grid import Window
from landslide_dist.patches.index import Patches
from landslide_dist.patches.order import PADDING, IntArray, Share
from landslide_dist.patches.planes import TARGET, Planes, as_tensor
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import UNLABELLED


class PatchCutter:
    """Makes batches of the patches of one part.

    Args:
        patches: The part's patches.
        values: Values of the split raster that make up the part.
        inputs: Variables that the model reads.
        context_px: How far planes reach beyond the core.
    """

    def __init__(
        self, patches: Patches, values: frozenset[int], inputs: Sequence[str], context_px: int
    ) -> None:
        self.patches = patches
        self.values = values
        self.inputs = tuple(inputs)
        self.context_px = context_px
        self.side_px = patches.core_px + 2 * context_px

    def origins(self, patch: IntArray) -> IntArray:
        """``(sample, 2)`` upper-left pixels of cores; padding lies wholly beyond the raster."""
        origins = np.full((len(patch), 2), -self.side_px, dtype=np.int64)
        real = patch != PADDING
        origins[real] = self.patches.origins[patch[real]]
        return origins

    def decode(self, reader: PatchReader, window: Window) -> Planes:
        """Read all that samples within a window need."""
        planes = reader.read(window, (*self.inputs, "landslide", "split"))
        target = part_target(planes.pop("landslide"), planes.pop("split"), self.values)
        tensors = {name: as_tensor(plane) for name, plane in planes.items()}
        return Planes(window, tensors | {TARGET: torch.from_numpy(target)})

    def batch(self, share: Share, planes: Sequence[Planes], pin_memory: bool = False) -> Batch:
        """Cut samples out of decoded planes.

        Args:
            share: The samples; one that is ``PADDING`` has no labels.
            planes: Where each lies in.
            pin_memory: Lay the batch out for a copy to a GPU that nobody waits for.
        """
        origins = self.origins(share.patch)
        core_px, side_px = self.patches.core_px, self.side_px
        cores = [Window(y0, x0, core_px, core_px) for y0, x0 in origins.tolist()]

        def cut(name: str, side_px: int, windows: Sequence[Window]) -> Tensor:
            like = planes[0].tensors[name]
            shape = (len(windows), *like.shape[:-2], side_px, side_px)
            out = torch.empty(shape, dtype=like.dtype, device=like.device, pin_memory=pin_memory)
            for sample, (window, source) in enumerate(zip(windows, planes, strict=True)):
                source.cut(name, window, out[sample])
            return out

        around = [core.expand(self.context_px) for core in cores]
        inputs = {name: cut(name, side_px, around) for name in self.inputs}
        target = cut(TARGET, core_px, cores)
        key = torch.from_numpy(share.key)
        return Batch(inputs, target, torch.from_numpy(origins), self.context_px, key)


def part_target(
    landslide: NDArray[np.uint8], split: NDArray[np.uint8], values: frozenset[int]
) -> NDArray[np.uint8]:
    """The labels of a part; ``UNLABELLED`` where the split raster holds none of ``values``."""
    mine = np.isin(np.arange(256), sorted(values))
    return np.where(mine[split], landslide, np.uint8(UNLABELLED))
