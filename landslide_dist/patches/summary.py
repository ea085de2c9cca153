"""What training must know of a whole split, so that it starts without reading the region first.

``split`` sums it up once: the labels in every core, and the moments of the continuous variables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from landslide_dist.errors import StoreError
from landslide_dist.grid import Window
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import PatchReader
from landslide_dist.patches.statistics import Moments, SplitMoments, split_moments
from landslide_dist.whole_file import whole_file


@dataclass(frozen=True)
class SplitSummary:
    """Sums over a split raster.

    Attributes:
        index: Labels of each of its values in every core.
        moments: Of the continuous variables at each value.
    """

    index: PatchIndex
    moments: SplitMoments

    @classmethod
    def build(
        cls,
        reader: PatchReader,
        windows: Sequence[Window],
        shape: tuple[int, int],
        core_px: int,
        num_values: int,
        continuous: Sequence[str],
    ) -> "SplitSummary":
        """Sum up a region.

        Args:
            reader: Gives ``landslide``, ``split`` and the continuous variables.
            windows: Blocks that cover the raster once.
            shape: Rows and columns of the raster.
            core_px: Side of a core.
            num_values: Values of the split raster: ``SplitConfig.folds``, or 3.
            continuous: Names of the continuous variables.
        """
        return cls(
            PatchIndex.build(reader, windows, shape, core_px, num_values),
            split_moments(reader, windows, num_values, continuous),
        )

    def save(self, path: str | Path) -> None:
        """Write a file."""
        with whole_file(path) as unfinished:
            np.savez_compressed(
                unfinished,
                core_px=np.array(self.index.core_px),
                num_labelled=self.index.num_labelled,
                num_positive=self.index.num_positive,
                variables=np.array(list(self.moments)),
                moments=np.array(
                    [[astuple(m) for m in of_value] for of_value in self.moments.values()]
                ),
            )

    @classmethod
    def load(cls, path: str | Path) -> "SplitSummary":
        """Read what :meth:`save` wrote.

        Raises:
            StoreError: It is not there.
        """
        try:
            with np.load(path) as arrays:
                return cls(_index(arrays), _moments(arrays))
        except OSError as error:
            raise StoreError(
                f"{str(path)!r} cannot be read ({error.strerror}): run split again"
            ) from error


def _index(arrays: Mapping[str, np.ndarray]) -> PatchIndex:
    return PatchIndex(int(arrays["core_px"]), arrays["num_labelled"], arrays["num_positive"])


def _moments(arrays: Mapping[str, np.ndarray]) -> SplitMoments:
    return {
        name: [Moments(int(count), mean, squares) for count, mean, squares in of_value]
        for name, of_value in zip(
            arrays["variables"].tolist(), arrays["moments"].tolist(), strict=True
        )
    }
