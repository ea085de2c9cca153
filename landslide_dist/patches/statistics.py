"""Mean and deviation of the training pixels, and their share of landslides.

Only labelled pixels of the training part count, so nothing of validation or test reaches the
normalisation.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.errors import DataError
from landslide_dist.grid import Window
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import PatchReader


@dataclass(frozen=True)
class TrainingStatistics:
    """What models must know of the training pixels.

    Attributes:
        mean_std: Continuous variable -> mean and standard deviation in its units.
        num_labelled: Labelled training pixels.
        num_positive: Landslide pixels among them.
    """

    mean_std: dict[str, tuple[float, float]]
    num_labelled: int
    num_positive: int

    @property
    def share(self) -> float:
        """Share of landslides among the training labels."""
        return self.num_positive / self.num_labelled


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of a variable over some pixels.

    Attributes:
        count: Pixels with a valid value.
        mean: Their mean.
        squares: Sum of squared deviations from it.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: NDArray[Any]) -> "Moments":
        """Those of the finite values, in float64."""
        exact = values[np.isfinite(values)].astype(np.float64)
        if not len(exact):
            return cls()
        mean = float(exact.mean())
        return cls(len(exact), mean, float(np.square(exact - mean).sum()))

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both sets of pixels (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        if not count:
            return self
        difference = other.mean - self.mean
        squares = self.squares + other.squares + difference**2 * self.count * other.count / count
        return Moments(count, self.mean + difference * other.count / count, squares)

    @property
    def deviation(self) -> float:
        """Standard deviation; 1 of a constant: divided by it, that is 0 everywhere."""
        return float(np.sqrt(self.squares / self.count)) or 1.0


#: Continuous variable -> its moments at each value of the split raster.
SplitMoments = Mapping[str, Sequence[Moments]]


def split_moments(
    reader: PatchReader, windows: Iterable[Window], num_values: int, continuous: Sequence[str]
) -> SplitMoments:
    """Sum up the labelled pixels of each part or fold, block by block in the order of ``windows``.

    Args:
        reader: Gives ``split`` and the continuous variables.
        windows: Blocks that cover the raster once.
        num_values: Values of the split raster.
        continuous: Names of the continuous variables.
    """
    moments = {name: [Moments()] * num_values for name in continuous}
    for window in windows:
        split = reader.read(window, ("split",))["split"]
        values = [value for value in np.unique(split).tolist() if value < num_values]
        if not values:
            continue
        planes = reader.read(window, continuous)
        for value in values:
            mine = split == value
            for name, plane in planes.items():
                moments[name][value] += Moments.of(plane[mine])
    return moments


def training_statistics(
    index: PatchIndex, moments: SplitMoments, train_values: Collection[int]
) -> TrainingStatistics:
    """Statistics of a part from what was summed up of the split raster.

    Args:
        index: Labels of each value of the split raster.
        moments: Of the continuous variables there.
        train_values: Values that make up the training part.

    Raises:
        DataError: There is no training label, or a variable has no valid pixel among them.
    """
    num_labelled, num_positive = index.totals(train_values)
    if not num_labelled:
        raise DataError("there is no labelled training pixel; run split again")
    mean_std = {}
    for name, of_value in moments.items():
        total = sum((of_value[value] for value in sorted(train_values)), Moments())
        if not total.count:
            raise DataError(
                f"{name!r} has no valid value at any of the {num_labelled} training pixels; "
                "check its nodata and extent, or leave it out of sources.continuous"
            )
        mean_std[name] = total.mean, total.deviation
    return TrainingStatistics(mean_std, num_labelled, num_positive)
