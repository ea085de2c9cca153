"""The variable ``landslide``: inventory, study area and elevation together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.sources import PointsSource, Sources, VectorSource
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import LANDSLIDE, UNLABELLED, Variable
from landslide_dist.sources.points import PointBlocks, open_points
from landslide_dist.sources.protocol import BlockSource
from landslide_dist.sources.raster import open_raster
from landslide_dist.sources.vector import open_areas

_STUDY_AREA = Variable("study_area", "uint8", 0, "1", "study area")


@dataclass(frozen=True)
class RegionBlocks:
    """Labels of the region: 255 outside the study area and where there is no elevation.

    Attributes:
        inventory: 1 landslide, 0 none, 255 unlabelled.
        study_area: 1 inside; None: everywhere.
        elevation: NaN where there is none.
        variable: ``landslide``.
    """

    inventory: BlockSource
    study_area: BlockSource | None
    elevation: BlockSource
    variable: Variable = LANDSLIDE

    def read(self, window: Window) -> NDArray[Any]:
        """A block, shape (height, width), uint8.

        Raises:
            DataError: A labelled point lies outside the study area or where no elevation is.
        """
        labels = self.inventory.read(window)
        known = np.isfinite(self.elevation.read(window))
        inside = known
        if self.study_area is not None:
            inside = self.study_area.read(window) == 1
        if isinstance(self.inventory, PointBlocks):
            self.inventory.require(window, known, "have no elevation")
            self.inventory.require(window, inside, "lie outside the study area")
        labels[~(known & inside)] = UNLABELLED
        return labels

    def provenance(self) -> list[dict[str, Any]]:
        """Files of inventory and study area; elevation speaks for itself."""
        study_area = [] if self.study_area is None else self.study_area.provenance()
        return [*self.inventory.provenance(), *study_area]


def open_region(sources: Sources, elevation: BlockSource, grid: Grid) -> RegionBlocks | None:
    """The labels of a run, or None where there is no inventory.

    Raises:
        DataError: A file cannot be used.
    """
    inventory: BlockSource
    match sources.inventory:
        case None:
            return None
        case PointsSource():
            inventory = open_points(sources.inventory, LANDSLIDE, grid)
        case VectorSource():
            inventory = open_areas(sources.inventory, LANDSLIDE, grid)
        case raster:
            inventory = open_raster(raster, LANDSLIDE, grid)
    study_area = None
    if sources.study_area is not None:
        study_area = open_areas(sources.study_area, _STUDY_AREA, grid)
    return RegionBlocks(inventory, study_area, elevation)
