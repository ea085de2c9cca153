"""From a map of probabilities to an inventory: a polygon and its attributes for each landslide.

Blocks are read one by one, at most twice, and landslides are joined across them: an inventory does
not depend on the blocks. What is held of the whole map are outlines, not pixels.

====================  ============================================================================
``id``                number from 1, by the first pixel from the north, then from the west
``area_m2``           of its pixels
``perimeter_m``       of its outline as it is written, holes included
``confidence_mean``   probability of its pixels, those of filled holes included
``confidence_max``
``slope_mean_deg``    slope of its pixels
``slope_max_deg``
``aspect_mean_deg``   mean direction downhill (Horn 1981), clockwise from north; null on flat ground
``elevation_min_m``   lowest and highest ground
``elevation_max_m``
``centroid_x_m``      mean of its pixel centres, in the CRS of the map
``centroid_y_m``
====================  ============================================================================
"""

from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from landslide_dist.config.inventory import InventoryConfig
from landslide_dist.evaluation.inventory_blocks import Bodies, MapReader, joined_groups
from landslide_dist.grid import Grid, Window
from landslide_dist.kernels.inventory import Groups, Totals, around
from landslide_dist.store import cube
from landslide_dist.store.results import block_results


def map_inventory(
    map_location: str,
    cube_location: str,
    config: InventoryConfig,
    threshold: float,
    label: str = "inventory",
    windows: Sequence[Window] | None = None,
) -> gpd.GeoDataFrame:
    """Landslides of a predicted map.

    Args:
        map_location: Zarr group with ``probability``.
        cube_location: Cube on the same grid with ``elevation`` and ``slope``.
        config: What counts as one landslide.
        threshold: Probability from which a pixel is landslide.
        label: What the progress bar says.
        windows: Blocks on a regular grid; by default the shards of the map.

    Returns:
        A row a landslide, in the CRS of the map, with the columns above; none where there is none.

    Raises:
        StoreError: Map or cube cannot be read, or a variable is missing.
    """
    grid = cube.read_grid(map_location)
    if windows is None:
        windows = cube.shard_windows(map_location)
    reader = MapReader(map_location, cube_location, grid, config, threshold)
    filled = _filled(reader, windows, label) if config.fill_holes_m2 else {}

    def bodies_of(window: Window) -> Bodies:
        return reader.bodies(window, filled.get(window))

    blocks = list(block_results(bodies_of, windows, label))
    labelled = [block.labelled for block in blocks]
    groups = joined_groups(labelled, grid.shape, config.connectivity)
    totals = Totals.joined([block.totals for block in blocks], np.concatenate(groups))
    large = np.flatnonzero(totals.sums["num"] * grid.pixel_m**2 >= config.min_area_m2)
    large = large[np.argsort(totals.first[large])]
    outlines = _whole_outlines(blocks, groups, large)
    return _frame(totals.chosen(large), _placed(outlines, grid, config.simplify_m), grid)


def _filled(
    reader: MapReader, windows: Sequence[Window], label: str
) -> dict[Window, NDArray[np.bool_]]:
    """Block -> whether each part of its ground is of a hole that is filled."""
    found = list(block_results(reader.ground, windows, f"{label}, holes"))
    labelled = [block.labelled for block in found]
    groups = joined_groups(labelled, reader.grid.shape, around(reader.config.connectivity))
    whole = Groups(np.concatenate(groups))
    num_pixels = whole.total(np.concatenate([block.num_pixels for block in found]))
    is_open = whole.highest(np.concatenate([block.is_open for block in found]))
    small = num_pixels * reader.grid.pixel_m**2 < reader.config.fill_holes_m2
    return dict(zip(windows, ((small & ~is_open)[group] for group in groups), strict=True))


def _whole_outlines(
    blocks: Sequence[Bodies], groups: Sequence[NDArray[np.int64]], wanted: NDArray[np.int64]
) -> NDArray[np.object_]:
    """Polygon or polygons of each wanted body, in columns and rows of the raster."""
    body_of = np.concatenate(
        [group[block.number - 1] for block, group in zip(blocks, groups, strict=True)]
    )
    pieces = np.concatenate([block.outlines for block in blocks])
    order = np.argsort(body_of, kind="stable")
    bodies, starts = np.unique(body_of[order], return_index=True)
    by_body = dict(zip(bodies.tolist(), np.split(pieces[order], starts[1:]), strict=False))
    outlines = np.empty(len(wanted), dtype=object)
    for position, body in enumerate(wanted.tolist()):
        outlines[position] = _dissolved(by_body[body])
    return outlines


def _dissolved(pieces: NDArray[np.object_]) -> Any:
    """One geometry without seams; corners are whole numbers, so nothing is rounded."""
    if len(pieces) == 1:
        return pieces[0]
    parts = [_without_seams(part) for part in shapely.get_parts(shapely.union_all(pieces))]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _without_seams(polygon: shapely.Polygon) -> shapely.Polygon:
    rings = (polygon.exterior, *polygon.interiors)
    exterior, *interiors = (_corners(shapely.get_coordinates(ring)[:-1]) for ring in rings)
    return shapely.Polygon(exterior, interiors)


def _corners(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vertices at which an outline turns."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    corners: NDArray[np.float64] = ring[turns]
    return corners


def _placed(outlines: NDArray[np.object_], grid: Grid, simplify_m: float) -> NDArray[np.object_]:
    """Outlines in the CRS of the grid, always begun at the same corner."""
    left, top = grid.transform.c, grid.transform.f

    def place(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([left, top]) + corners * grid.pixel_m

    placed: NDArray[np.object_] = shapely.normalize(shapely.transform(outlines, place))
    if simplify_m:
        placed = shapely.normalize(shapely.simplify(placed, simplify_m, preserve_topology=True))
    return placed


def _frame(totals: Totals, outlines: NDArray[np.object_], grid: Grid) -> gpd.GeoDataFrame:
    sums, num = totals.sums, totals.sums["num"]
    columns = {
        "id": np.arange(1, len(num) + 1),
        "area_m2": num * grid.pixel_m**2,
        "perimeter_m": shapely.length(outlines),
        "confidence_mean": totals.mean_confidence,
        "confidence_max": totals.max_confidence.astype(np.float64),
        "slope_mean_deg": totals.mean_slope_deg,
        "slope_max_deg": totals.max_slope_deg.astype(np.float64),
        "aspect_mean_deg": totals.mean_aspect_deg,
        "elevation_min_m": totals.lowest_m.astype(np.float64),
        "elevation_max_m": totals.highest_m.astype(np.float64),
        "centroid_x_m": grid.transform.c + (sums["column"] / num + 0.5) * grid.pixel_m,
        "centroid_y_m": grid.transform.f - (sums["row"] / num + 0.5) * grid.pixel_m,
    }
    return gpd.GeoDataFrame(columns, geometry=outlines, crs=grid.crs)
