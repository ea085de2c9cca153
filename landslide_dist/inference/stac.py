"""A predicted map as an item of a STAC 1.1 catalogue, which any catalogue can take in.

Nothing in it tells when it was written: the same map gives the same item.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely
import zarr
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pystac.extensions import projection, raster
from pystac.extensions.classification import ClassificationExtension
from pystac.utils import StringEnum

from landslide_dist import __version__
from landslide_dist.config.publish import PublishConfig
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid
from landslide_dist.store import cube
from landslide_dist.store.levels import flags_of
from landslide_dist.store.location import open_group
from landslide_dist.whole_file import write_whole

PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
#: What STAC takes for a time without bounds: a map of susceptibility shows no single day.
UNBOUNDED = (date(1900, 1, 1), date(9999, 12, 31))
#: Task of a run -> what its maps show, and the last word of their ids.
MAPS: Mapping[str, tuple[str, str]] = {
    "susceptibility": ("Landslide susceptibility", "susceptibility"),
    "event_mapping": ("Landslides of an event", "event"),
}
#: Points on each edge of a footprint; edges of a grid are curves in longitude and latitude.
EDGE_POINTS = 16
#: Decimals of longitudes and latitudes, about a centimetre.
DECIMALS = 7


class MediaTypes(StringEnum):
    """Media types that pystac does not name."""

    ZARR = "application/vnd.zarr; version=3"
    TORCH = "application/octet-stream; framework=pytorch"
    ONNX = "application/octet-stream; framework=onnx"


#: Files of a run that are no maps: title, media type, role.
_FILES: Mapping[str, tuple[str | None, str, str]] = {
    "report": ("Report of the run", pystac.MediaType.HTML, "metadata"),
    "metrics": ("Scores of the run", pystac.MediaType.JSON, "metadata"),
}


def prediction_item(
    identifier: str,
    location: str,
    cogs: Mapping[str, str],
    files: Mapping[str, str],
    publish: PublishConfig,
    task: str = "susceptibility",
    period: tuple[date, date] = UNBOUNDED,
) -> pystac.Item:
    """The item of a predicted map.

    Args:
        identifier: Id of the item.
        location: Zarr group of the map.
        cogs: Variable of the group -> its GeoTIFF, of those that exist.
        files: ``report`` and ``metrics`` -> path, of those that exist.
        publish: What the user says of the map.
        task: Of the run, one of ``MAPS``.
        period: First and last day that the map speaks of where the user does not say.

    Raises:
        ConfigError: The user's day and that of the period are not in order.
    """
    grid, group = cube.read_grid(location), open_group(location)
    item = new_item(identifier, grid, publish, period)
    properties = item.properties
    attributes = group.attrs.asdict()
    properties["description"] = f"{MAPS[task][0]}, predicted by the model {attributes['model']!r}"
    properties |= {
        f"landslide_dist:{name}": attributes[name]
        for name in ("model", "checkpoint", "cube", "temperature", "fingerprint")
        if name in attributes
    }
    bands = [_band(location, array) for _, array in sorted(group.arrays()) if array.shards]
    bands.sort(key=lambda band: band["name"] != "probability")
    add_extension(item, raster.SCHEMA_URI.replace("v1.1.0", "v2.0.0"))
    if any("classification:classes" in band for band in bands):
        add_extension(item, ClassificationExtension.get_schema_uri())
    item.add_asset(
        "zarr",
        pystac.Asset(location, "All variables", None, MediaTypes.ZARR, ["data"], {"bands": bands}),
    )
    for band in bands:
        if band["name"] in cogs:
            # float16, which few programs read, is published as float32.
            of_file = band | {"data_type": band["data_type"].replace("float16", "float32")}
            _add_file(item, band["name"], cogs[band["name"]], {"bands": [of_file]})
    for name, path in files.items():
        _add_file(item, name, path, {})
    return item


def _add_file(item: pystac.Item, name: str, path: str, fields: dict[str, Any]) -> None:
    title, media_type, role = _FILES.get(name, (None, pystac.MediaType.COG, "data"))
    title = title or fields["bands"][0]["description"]
    item.add_asset(name, pystac.Asset(path, title, None, media_type, [role], fields))


def new_item(
    identifier: str,
    grid: Grid,
    publish: PublishConfig,
    period: tuple[date, date] = UNBOUNDED,
) -> pystac.Item:
    """An item of a grid's place, with what the user says and no assets yet.

    Args:
        identifier: Id of the item.
        grid: The place.
        publish: What the user says.
        period: First and last day where the user does not say.

    Raises:
        ConfigError: The user's day and that of the period are not in order.
    """
    geometry, bbox = footprint(grid)
    start, end = publish.start or period[0], publish.end or period[1]
    if start > end:
        raise ConfigError(
            f"the period of {identifier!r} begins on {start} and ends on {end}: give both "
            "publish.start and publish.end"
        )
    item = pystac.Item(
        identifier,
        geometry,
        bbox,
        datetime=None,
        properties={},
        start_datetime=datetime.combine(start, time(0, 0, 0), UTC),
        end_datetime=datetime.combine(end, time(23, 59, 59), UTC),
    )
    if publish.title is not None:
        item.properties["title"] = publish.title
    if publish.license is not None:
        item.properties["license"] = publish.license
    item.properties |= _projection(grid)
    item.properties["processing:software"] = {"landslide-dist": __version__}
    for uri in (projection.SCHEMA_URI, PROCESSING):
        add_extension(item, uri)
    return item


def add_model_link(item: pystac.Item, href: str, name: str) -> None:
    """Say which model, of the extension MLM, a map is made by."""
    link = pystac.Link("derived_from", href, pystac.MediaType.JSON, extra_fields={"mlm:name": name})
    item.add_link(link)


def add_extension(item: pystac.Item, uri: str) -> None:
    """Declare an extension of STAC."""
    if uri not in item.stac_extensions:
        item.stac_extensions.append(uri)


def footprint(grid: Grid) -> tuple[dict[str, Any], list[float]]:
    """Outline of a grid in longitude and latitude.

    Returns:
        A GeoJSON polygon, counter-clockwise, in two parts where it crosses the antimeridian (RFC
        7946, 3.1.9); and west, south, east, north, where west is then larger than east.
    """
    left, bottom, right, top = grid.bounds
    longest_m = max(right - left, top - bottom)
    edges = shapely.segmentize(shapely.box(left, bottom, right, top), longest_m / EDGE_POINTS)
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)

    def to_degrees(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([x, y]).round(DECIMALS)

    outline = shapely.transform(edges, to_degrees)
    west, south, east, north = outline.bounds
    if east - west > 180:
        whole = shapely.transform(outline, lambda xy: np.column_stack([xy[:, 0] % 360, xy[:, 1]]))
        west, south, east, north = whole.bounds
        here = whole.intersection(shapely.box(0, -90, 180, 90))
        beyond = whole.intersection(shapely.box(180, -90, 360, 90))
        beyond = shapely.transform(beyond, lambda xy: xy - [360, 0])
        outline = shapely.MultiPolygon([shapely.orient_polygons(part) for part in (here, beyond)])
        east -= 360
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(outline))
    return geometry, [west, south, east, north]


def write_item(item: pystac.Item, path: str | Path) -> None:
    """Write an item whose local assets are named relative to it, so that the folder can move."""
    folder = Path(path).resolve().parent
    for asset in item.assets.values():
        if "://" not in asset.href:
            asset.href = Path(os.path.relpath(Path(asset.href).resolve(), folder)).as_posix()
    item.set_self_href(None)
    text = json.dumps(item.to_dict(include_self_link=False), indent=1, allow_nan=False)
    write_whole(path, text + "\n")


def _projection(grid: Grid) -> dict[str, Any]:
    """Fields of the projection extension."""
    has_code = grid.crs.startswith("EPSG:")
    name = {"proj:code": grid.crs} if has_code else {"proj:code": None, "proj:wkt2": _wkt2(grid)}
    return {
        **name,
        "proj:shape": list(grid.shape),
        "proj:transform": [float(value) for value in tuple(grid.transform)[:6]],
        "proj:bbox": list(grid.bounds),
    }


def _wkt2(grid: Grid) -> str:
    return str(CRS.from_user_input(grid.crs).to_wkt("WKT2_2019"))


def _band(location: str, array: zarr.Array[Any]) -> dict[str, Any]:
    """The STAC 1.1 band of a stored variable."""
    attributes: dict[str, Any] = dict(array.attrs)
    scale = float(attributes.get("scale_factor", 1.0))
    nodata = attributes.get("nodata", float("nan"))
    band = {
        "name": array.basename,
        "description": attributes["long_name"],
        "data_type": str(array.dtype),
        "nodata": "nan" if array.dtype.kind == "f" else nodata,
        "unit": attributes["units"],
    }
    if "scale_factor" in attributes:
        band |= {"raster:scale": scale, "raster:offset": 0.0}
    if "flag_values" in attributes:
        band["classification:classes"] = [
            {"value": value, "name": name.replace(" ", "_"), "description": name}
            for value, name in flags_of(attributes).items()
        ]
    else:
        band["statistics"] = _statistics(location, array, float(nodata), scale)
    return band


def _statistics(
    location: str, array: zarr.Array[Any], nodata: float, scale: float
) -> dict[str, float | int]:
    """Statistics of the valid pixels, a shard at a time."""
    count, num_pixels, total, squares = 0, 0, 0.0, 0.0
    low, high = float("inf"), float("-inf")
    for window in cube.shard_windows(location):
        block = cube.read_window(array, window, nodata)
        valid = block[~np.isnan(block) if block.dtype.kind == "f" else block != nodata]
        values = valid.astype(np.float64) * scale
        num_pixels += block.size
        if values.size:
            count += values.size
            total, squares = total + values.sum(), squares + np.square(values).sum()
            low, high = min(low, values.min()), max(high, values.max())
    share = {"valid_percent": round(100 * count / num_pixels, 4)}
    if not count:
        return share
    mean = total / count
    return {
        "minimum": float(low),
        "maximum": float(high),
        "mean": float(mean),
        "stddev": float(np.sqrt(max(0.0, squares / count - mean**2))),
        "count": num_pixels,
        **share,
    }
