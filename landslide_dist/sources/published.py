"""The data set published with the LACNN paper: one HDF5 file of 94 planes and labels.

``REGION/data`` is (94, H, W) float32 with 64 mirrored pixels on each side: slope, 44 + 5 + 5 + 38
planes of classes, elevation. A class plane is 1 where the class is, else 0, and negative outside
the region. ``REGION/gt`` is 1 on landslides, else 0, and negative outside. The file has neither
CRS nor transform: the grid comes from the configuration.

Class planes become codes. Elevation is standardised in the file, so the configuration says how it
becomes metres, or names the DEM itself. Slope is not read: ``derive`` makes it from the elevation
as for any other region (the file's was made by another program and is standardised too).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.categories import inspire
from landslide_dist.config.sources import PublishedElevation, Sources
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import ELEVATION, LANDSLIDE, UNLABELLED, Variable, categorical
from landslide_dist.sources.protocol import BlockSource
from landslide_dist.sources.published_file import PublishedFile
from landslide_dist.sources.raster import open_raster
from landslide_dist.sources.region import RegionBlocks

ELEVATION_FEATURE = 93
#: First plane of each group of classes; the classes follow in the order of their codes.
FIRST_FEATURE: Mapping[str, int] = MappingProxyType(
    {"lithology": 1, "land_cover": 45, "rock_family": 50, "rock_age": 55}
)


@dataclass(frozen=True)
class PublishedClasses:
    """A categorical map out of its planes.

    Attributes:
        variable: What it fills; its codes are the planes' numbers from 1.
        file: Where the planes are.
        first: Number of the plane of code 1.
    """

    variable: Variable
    file: PublishedFile
    first: int

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Codes of a block, shape (height, width); 0 where no class is set.

        Raises:
            DataError: A value is positive but not 1, or NaN, or a pixel has two classes.
        """
        block = np.full(window.shape, self.variable.nodata, np.uint8)
        mapped = window.intersect(self.file.mapped)
        count = len(self.variable.flags) - 1
        for piece in self.file.features(self.first, count, mapped):
            codes = block[piece.window.relative_to(window).slices]
            for number, plane in enumerate(piece.values, piece.first):
                self._set(codes, number, plane, piece.window)
        return block

    def provenance(self) -> list[dict[str, Any]]:
        """The file."""
        return self.file.provenance()

    def _set(
        self, codes: NDArray[np.uint8], number: int, plane: NDArray[Any], window: Window
    ) -> None:
        is_set = plane == 1
        wrong = ~(is_set | (plane <= 0))  # NaN is wrong as well
        if wrong.any():
            y, x = np.argwhere(wrong)[0]
            raise DataError(
                f"{self.file.path!r}: feature {number} ({self._meaning(number)}) is "
                f"{plane[y, x]:g} at row {window.y0 + y}, column {window.x0 + x} of the grid, "
                f"where {self.variable.name!r} needs 1, 0 or, outside the region, a negative value"
            )
        twice = is_set & (codes != self.variable.nodata)
        if twice.any():
            y, x = np.argwhere(twice)[0]
            other = self.first + int(codes[y, x]) - 1
            raise DataError(
                f"{self.file.path!r}: {self.variable.name!r} has two classes at row "
                f"{window.y0 + y}, column {window.x0 + x} of the grid: features {other} "
                f"({self._meaning(other)}) and {number} ({self._meaning(number)})"
            )
        codes[is_set] = number - self.first + 1

    def _meaning(self, number: int) -> str:
        return self.variable.flags[number - self.first + 1]


@dataclass(frozen=True)
class PublishedHeights:
    """Elevation in metres out of the standardised plane."""

    file: PublishedFile
    config: PublishedElevation
    variable: Variable = ELEVATION

    def read(self, window: Window) -> NDArray[np.float32]:
        """Metres, shape (height, width); NaN out of range."""
        block = np.full(window.shape, np.nan, np.float32)
        mapped = window.intersect(self.file.mapped)
        for piece in self.file.features(ELEVATION_FEATURE, 1, mapped):
            metres = piece.values[0].astype(np.float64) * self.config.std_m + self.config.mean_m
            low, high = self.config.valid_range
            inside = (metres >= low) & (metres <= high)
            part = block[piece.window.relative_to(window).slices]
            part[inside] = metres[inside]
        return block

    def provenance(self) -> list[dict[str, Any]]:
        """The file."""
        return self.file.provenance()


@dataclass(frozen=True)
class PublishedLabels:
    """Landslides: 1, 0, and 255 where the file has neither."""

    file: PublishedFile
    variable: Variable = LANDSLIDE

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Labels of a block, shape (height, width)."""
        block = np.full(window.shape, UNLABELLED, np.uint8)
        mapped = window.intersect(self.file.mapped)
        raw = self.file.labels(mapped)
        labels = block[mapped.relative_to(window).slices]
        labels[raw == 0] = 0
        labels[raw == 1] = 1
        return block

    def provenance(self) -> list[dict[str, Any]]:
        """The file."""
        return self.file.provenance()


def published_sources(sources: Sources, grid: Grid) -> dict[str, BlockSource]:
    """Every variable of a published file, by its name in the cube; ``landslide`` comes last.

    Raises:
        ConfigError: h5py is not installed, or the grid has another size than the file.
        DataError: The file is missing or broken, or its arrays are not as published.
    """
    assert sources.published is not None  # the caller sees to it
    file = PublishedFile.open(sources.published, grid)
    elevation: BlockSource
    if sources.elevation is not None:
        elevation = open_raster(sources.elevation, ELEVATION, grid)
    else:
        assert sources.published.elevation is not None  # the configuration sees to it
        elevation = PublishedHeights(file, sources.published.elevation)
    classes = {
        name: PublishedClasses(categorical(name, inspire()[name].codes), file, first)
        for name, first in FIRST_FEATURE.items()
    }
    landslide = RegionBlocks(PublishedLabels(file), None, elevation)
    return {"elevation": elevation, **classes, "landslide": landslide}
