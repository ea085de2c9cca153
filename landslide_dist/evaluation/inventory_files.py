"""Inventories that users bring, made ready to be compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from landslide_dist.errors import DataError
from landslide_dist.grid import distorted_scale


@dataclass(frozen=True)
class Inventory:
    """Landslides of a file.

    Attributes:
        path: The file.
        frame: Its polygons, a row a landslide, in the file's CRS; the index is the feature id.
        num_repaired: Polygons that were not valid and are now.
        num_left_out: Features without area: points, lines, nothing.
    """

    path: str
    frame: gpd.GeoDataFrame
    num_repaired: int
    num_left_out: int


def read_inventory(path: str, layer: str | None = None) -> Inventory:
    """Read a vector file of landslides; features that are no polygons are left out.

    Args:
        path: Anything that OGR reads.
        layer: Layer of a file with several.

    Raises:
        DataError: It cannot be read, has no polygons or no CRS, or several layers.
    """
    if not Path(path).exists():
        raise DataError(f"there is no inventory {path!r}")
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if layer not in layers and (layer is not None or len(layers) != 1):
            wrong = "has several layers" if layer is None else f"has no layer {layer!r}"
            raise DataError(f"{path!r} {wrong}: give one of {', '.join(layers)}")
        # Features without geometry alone make a table, which is not an inventory either.
        frame = gpd.GeoDataFrame(
            pyogrio.read_dataframe(path, layer=layer or layers[0], columns=[], fid_as_index=True)
        )
    except (DataSourceError, DataLayerError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path!r} cannot be read: {reason}") from error
    if frame.empty:
        raise DataError(f"{path!r} has no features: an inventory needs polygons")
    if frame.crs is None:
        raise DataError(f"{path!r} has no CRS: assign the right one, e.g. with ogr2ogr -a_srs")
    valid = shapely.is_valid(frame.geometry.to_numpy())
    missing = shapely.is_missing(frame.geometry.to_numpy())
    geometries = frame.geometry.make_valid().to_numpy()
    areal = _polygons(geometries)
    kept = ~shapely.is_missing(areal) & ~shapely.is_empty(areal)
    if not kept.any():
        raise DataError(
            f"{path!r} has no polygons but {', '.join(sorted(set(frame.geom_type.dropna())))}: "
            "an inventory needs outlines"
        )
    polygons = gpd.GeoDataFrame(geometry=areal[kept], index=frame.index[kept], crs=frame.crs)
    return Inventory(path, polygons, int((~valid & ~missing & kept).sum()), int((~kept).sum()))


def _polygons(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """The polygons of each geometry, as one geometry each; None where there are none."""
    areal: NDArray[Any] = geometries.copy()
    for position, geometry in enumerate(geometries):
        if geometry is not None and geometry.geom_type not in ("Polygon", "MultiPolygon"):
            parts = [p for p in shapely.get_parts(geometry) if p.area]
            areal[position] = shapely.union_all(parts) if parts else None
    return areal


def common_crs(first: gpd.GeoDataFrame, second: gpd.GeoDataFrame) -> CRS:
    """A projected CRS in metres: the first's, the second's, or else the UTM zone of the first.

    One in which lengths are not those on the ground, as in Web Mercator, is passed over.
    """
    for frame in (first, second):
        crs = CRS(frame.crs)
        in_metres = crs.is_projected and crs.axis_info[0].unit_name in ("metre", "meter")
        if in_metres and distorted_scale(crs, tuple(frame.total_bounds)) is None:
            return crs
    return CRS(first.estimate_utm_crs())


def on_one_map(reference: Inventory, mapped: Inventory) -> tuple[gpd.GeoSeries, gpd.GeoSeries, CRS]:
    """Outlines of two inventories in one CRS in metres.

    Raises:
        DataError: Their extents do not overlap.
    """
    crs = common_crs(reference.frame, mapped.frame)
    first, second = (one.frame.geometry.to_crs(crs) for one in (reference, mapped))
    boxes = [shapely.box(*outlines.total_bounds) for outlines in (first, second)]
    if not shapely.intersects(*boxes):
        here, there = (", ".join(f"{bound:.0f}" for bound in box.bounds) for box in boxes)
        raise DataError(
            f"{reference.path!r} lies at {here} and {mapped.path!r} at {there} (left, bottom, "
            f"right, top in {crs.name}): they do not overlap; check their CRSs"
        )
    return first, second, crs
