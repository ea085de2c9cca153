"""Parts of a split as polygons that users draw: no two may overlap."""

import json
import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from landslide_dist.config.split import SplitRegions
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import PART_NAMES, UNLABELLED
from landslide_dist.sources.files import describe
from landslide_dist.sources.layer import LayerQuery, load
from landslide_dist.sources.vector import as_text


@dataclass(frozen=True, eq=False)
class RegionPlan:
    """Labels belong to the polygon that their pixel's centre lies in; see ``SplitPlan``.

    Attributes:
        grid: The region's grid.
        parts: Polygons of each value of the split raster, in the grid's CRS.
        buffer_m: Lower parts yield to higher ones (training to validation, both to test) within
            this distance.
    """

    grid: Grid
    parts: tuple[shapely.Geometry, ...]
    buffer_m: float

    def block(self, window: Window, landslide: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The split raster in a window."""
        box = shapely.box(*self.grid.window_bounds(window))
        part = np.full(window.shape, UNLABELLED, dtype=np.uint8)
        for value, area in enumerate(self.parts):
            # Lower parts come first: a higher one masks what is near it, then takes its own.
            if self.buffer_m:
                part[self._inside(area.buffer(self.buffer_m), box, window)] = UNLABELLED
            part[self._inside(area, box, window)] = value
        part[landslide == UNLABELLED] = UNLABELLED
        return part

    def _inside(
        self, area: shapely.Geometry, box: shapely.Geometry, window: Window
    ) -> NDArray[np.bool_]:
        near = shapely.clip_by_rect(area, *box.buffer(2 * self.grid.pixel_m).bounds)
        if near.is_empty:
            return np.zeros(window.shape, dtype=bool)
        transform = self.grid.window_transform(window)
        burnt = rasterize([near], out_shape=window.shape, transform=transform, dtype=np.uint8)
        return np.asarray(burnt == 1)


def plan_regions(config: SplitRegions, grid: Grid, buffer_px: int) -> RegionPlan:
    """Read the polygons of a split.

    Args:
        config: Where they are.
        grid: The region's grid.
        buffer_px: Chebyshev distance that parts stay apart by.

    Raises:
        DataError: The file cannot be read, has other parts than these, or two parts overlap.
    """
    versions = json.dumps(describe(config.path))
    query = LayerQuery(config.path, config.layer, None, config.crs, config.part_field, versions)
    layer = load(query, grid)
    assert layer.values is not None  # an attribute was asked for
    of_part: dict[str, list[shapely.Geometry]] = {name: [] for name in PART_NAMES}
    for geometry, value in zip(layer.geometries, layer.values, strict=True):
        name = as_text(value)
        if name not in of_part or geometry.geom_type not in ("Polygon", "MultiPolygon"):
            raise DataError(
                f"{config.path!r}: {config.part_field} {name!r} of a {geometry.geom_type}; regions "
                f"of a split are polygons of {', '.join(PART_NAMES)}"
            )
        of_part[name].append(geometry)
    parts = tuple(shapely.union_all(of_part[name]) for name in PART_NAMES)
    for low in range(len(parts)):
        for high in range(low + 1, len(parts)):
            shared = parts[low].intersection(parts[high]).area
            if shared > 0:
                raise DataError(
                    f"{config.path!r}: {PART_NAMES[low]} and {PART_NAMES[high]} overlap by "
                    f"{shared:.0f} m2; draw them apart"
                )
    # A distance along the axes is at most this times longer as the crow flies.
    return RegionPlan(grid, parts, buffer_px * grid.pixel_m * math.sqrt(2))
