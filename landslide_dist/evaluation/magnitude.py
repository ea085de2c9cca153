"""How large landslides are: the frequency density of their areas, as numbers and as a picture.

Malamud et al. 2004 (Earth Surface Processes and Landforms 29, 687-711): p(A) = dN / (N dA), which
for whole inventories of one event follows an inverse gamma distribution.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import SOFT, line_styles, new_figure, png, style
from landslide_dist.evaluation.figures import legend

#: Bins of a factor of ten in area.
BINS_PER_DECADE = 5
#: Exponent, scale and shift of the distribution of Malamud et al. 2004, equation 3; m2.
RHO, SCALE_M2, SHIFT_M2 = 1.40, 1.28e3, -1.32e2
SIZE_IN = (5.6, 4.4)
MARKERS = "os^Dv<>P"


class AreaDensity(NamedTuple):
    """Frequency density of areas.

    Attributes:
        edges_m2: Edges of the bins, shape (bins + 1,).
        num: Landslides in each, its lower edge included.
        density_per_m2: dN / (N dA).
    """

    edges_m2: NDArray[np.float64]
    num: NDArray[np.int64]
    density_per_m2: NDArray[np.float64]

    def plain(self) -> dict[str, list[Any]]:
        """As plain data."""
        return {name: values.tolist() for name, values in self._asdict().items()}


def area_density(areas_m2: NDArray[np.float64]) -> AreaDensity:
    """Frequency density of the areas of an inventory on logarithmic bins.

    Args:
        areas_m2: Area of each landslide, above 0.

    Returns:
        Bins with edges at 10 ** (k / 5) m2, the same for all inventories, from the smallest
        landslide to the largest; none without landslides.
    """
    if not len(areas_m2):
        nothing = np.zeros(0)
        return AreaDensity(nothing, nothing.astype(np.int64), nothing)
    # An area on an edge, a power of ten say, must not fall below it by rounding.
    step = np.floor(np.log10(areas_m2) * BINS_PER_DECADE + 1e-9).astype(np.int64)
    first = int(step.min())
    num = np.bincount(step - first)
    edges_m2 = 10.0 ** (np.arange(first, first + len(num) + 1) / BINS_PER_DECADE)
    return AreaDensity(edges_m2, num, num / (len(areas_m2) * np.diff(edges_m2)))


def malamud_density(areas_m2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distribution that Malamud et al. 2004 found for three whole inventories of events.

    Args:
        areas_m2: Areas.

    Returns:
        Probability density, 1 / m2.
    """
    ratio = SCALE_M2 / (areas_m2 - SHIFT_M2)
    density: NDArray[np.float64] = (
        ratio ** (RHO + 1) * np.exp(-ratio) / (SCALE_M2 * math.gamma(RHO))
    )
    return density


def magnitude_frequency_figure(inventories: Mapping[str, NDArray[np.float64]]) -> bytes:
    """Frequency density of areas of any number of inventories on logarithmic axes, PNG bytes.

    Args:
        inventories: Name -> area of each landslide, m2.
    """
    figure = new_figure(*SIZE_IN)
    axes = figure.add_subplot()
    style(axes, "Areas of the landslides", "area of a landslide, m²", "probability density, 1/m²")
    axes.set(xscale="log", yscale="log")
    found = {name: area_density(areas) for name, areas in inventories.items()}
    for number, (name, line) in enumerate(line_styles(found).items()):
        density = found[name]
        there = density.num > 0
        middle = np.sqrt(density.edges_m2[1:] * density.edges_m2[:-1])
        axes.plot(
            middle[there],
            density.density_per_m2[there],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4.5,
            label=f"{name}  {len(inventories[name]):,}",
            **line,
        )
    drawn = [density for density in found.values() if len(density.num)]
    if drawn:
        axes.set_xlim(*_decades(np.concatenate([one.edges_m2 for one in drawn])))
        axes.set_ylim(*_decades(np.concatenate([one.density_per_m2 for one in drawn])))
        _draw_malamud(axes)
    axes.minorticks_off()
    legend(axes, "landslides", "lower left")
    return png(figure)


def _decades(values: NDArray[np.float64]) -> tuple[float, float]:
    """Powers of ten around all values above 0."""
    exponents = np.log10(values[values > 0])
    return 10.0 ** np.floor(exponents.min() + 1e-9), 10.0 ** np.ceil(exponents.max() - 1e-9)


def _draw_malamud(axes: Axes) -> None:
    """The distribution of whole inventories, for the eye; within the limits of the data."""
    areas_m2 = np.geomspace(*axes.get_xlim(), 300)
    axes.plot(
        areas_m2, malamud_density(areas_m2), color=SOFT, linewidth=1, linestyle=(0, (4, 2)),
        zorder=1, label="Malamud et al. 2004", scalex=False, scaley=False,
    )  # fmt: skip
