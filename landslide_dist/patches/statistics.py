"""Mean and deviation of the training pixels, and their share of landslides.

Only labelled pixels of the training part count, so nothing of validation or test reaches the
normalisation.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.errors import DataError
from landslide_dist.grid import Window
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


@dataclass
class _Moments:
    """Running count, mean and sum of squared deviations (Chan, Golub and LeVeque 1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[Any]) -> None:
        if not len(values):
            return
        exact = values.astype(np.float64)
        mean = float(exact.mean())
        squares = float(np.square(exact - mean).sum())
        total = self.count + len(values)
        difference = mean - self.mean
        self.squares += squares + difference**2 * self.count * len(values) / total
        self.mean += difference * len(values) / total
        self.count = total


def training_statistics(
    reader: PatchReader,
    windows: Iterable[Window],
    train_values: Collection[int],
    continuous: Sequence[str],
) -> TrainingStatistics:
    """Sum up the training pixels, block by block in the order of ``windows``, in float64.

    Args:
        reader: Gives ``landslide``, ``split`` and the continuous variables.
        windows: Blocks that cover the raster once.
        train_values: Values of the split raster that make up the training part.
        continuous: Names of the continuous variables.

    Raises:
        DataError: There is no training label, or a variable has no valid pixel among them.
    """
    moments = {name: _Moments() for name in continuous}
    num_labelled = num_positive = 0
    for window in windows:
        labels = reader.read(window, ("landslide", "split"))
        training = np.isin(labels["split"], sorted(train_values))
        if not training.any():
            continue
        num_labelled += int(training.sum())
        num_positive += int((labels["landslide"][training] == 1).sum())
        for name, plane in reader.read(window, continuous).items():
            values = plane[training]
            moments[name].add(values[np.isfinite(values)])
    if not num_labelled:
        raise DataError("there is no labelled training pixel; run split again")
    for name, moment in moments.items():
        if not moment.count:
            raise DataError(
                f"{name!r} has no valid value at any of the {num_labelled} training pixels; "
                "check its nodata and extent, or leave it out of sources.continuous"
            )
    mean_std = {name: (m.mean, _deviation(m)) for name, m in moments.items()}
    return TrainingStatistics(mean_std, num_labelled, num_positive)


def _deviation(moments: _Moments) -> float:
    # A constant variable says nothing; dividing by 1 makes it 0 everywhere.
    return float(np.sqrt(moments.squares / moments.count)) or 1.0
