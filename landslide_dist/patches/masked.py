"""Labels of some parts of a split alone: what a division within those parts may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import UNLABELLED


@dataclass(frozen=True)
class MaskedLabels:
    """A :class:`PatchReader` of ``landslide``, 255 wherever the split has no value of ``values``.

    Attributes:
        reader: Gives ``landslide`` and ``split``.
        values: Values of the split raster whose labels are seen.
    """

    reader: PatchReader
    values: frozenset[int]

    def read(
        self, window: Window, variables: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a window; see :class:`PatchReader`."""
        planes = self.reader.read(window, ("landslide", "split"))
        seen = np.isin(planes["split"], sorted(self.values))
        return {"landslide": np.where(seen, planes["landslide"], np.uint8(UNLABELLED))}
