"""A layer of features in the grid's CRS: read once a process, checked, indexed."""

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid
from landslide_dist.sources.band import one_crs
from landslide_dist.sources.files import reason, some

_LOADING = threading.Lock()


@dataclass(frozen=True)
class LayerQuery:
    """What to read of a vector file.

    Attributes:
        path: GeoPackage, Shapefile, GeoJSON or GeoParquet.
        layer: Layer of a file with several.
        where: OGR SQL filter.
        crs: CRS where the file states none.
        column: Attribute to read along, or None.
        versions: Sizes and times of the files, so that a changed file is read again.
    """

    path: str
    layer: str | None
    where: str | None
    crs: str | None
    column: str | None
    versions: str


@dataclass(frozen=True, eq=False)
class Layer:
    """Features in the order of the file.

    Attributes:
        geometries: Valid geometries in the grid's CRS.
        values: The attribute, or None.
        tree: Spatial index of the geometries.
    """

    geometries: NDArray[np.object_]
    values: NDArray[np.object_] | None
    tree: shapely.STRtree


def read_features(query: LayerQuery) -> gpd.GeoDataFrame:
    """All features that a query chooses, in the file's CRS, indexed by feature id.

    Raises:
        DataError: The file is missing, broken or empty, has no such layer or attribute, no CRS,
            or missing or invalid geometries.
        ConfigError: A filter is given for a format without filters.
    """
    frame = _read(query)
    if frame.empty:
        chosen = f" where {query.where}" if query.where else ""
        raise DataError(f"{query.path!r} has no features{chosen}")
    stated = frame.crs.to_wkt() if frame.crs else None
    frame = frame.set_crs(one_crs(query.path, stated, query.crs), allow_override=True)
    _check_geometries(frame, query.path)
    return frame


def load(query: LayerQuery, grid: Grid) -> Layer:
    """The features of a layer, reprojected; a process reads each layer once.

    Raises:
        DataError: They cannot be used (see :func:`read_features`) or do not overlap the grid.
    """
    with _LOADING:
        return _load(query, grid)


@lru_cache(maxsize=16)
def _load(query: LayerQuery, grid: Grid) -> Layer:
    frame = read_features(query)
    projected = frame.geometry.to_crs(grid.crs)
    _check_overlap(projected, grid, query.path)
    geometries = projected.to_numpy()
    values = None if query.column is None else frame[query.column].to_numpy(dtype=object)
    tree = shapely.STRtree(geometries)
    tree.query(geometries[0])  # builds the index before threads share it
    return Layer(geometries, values, tree)


def _read(query: LayerQuery) -> gpd.GeoDataFrame:
    if PurePath(query.path).suffix.lower() in (".parquet", ".geoparquet"):
        return _read_parquet(query)
    try:
        layers = [str(name) for name in pyogrio.list_layers(query.path)[:, 0]]
        layer = _choose_layer(query, layers)
        columns = list(pyogrio.read_info(query.path, layer=layer)["fields"])
        _check_column(query, columns)
        wanted = [] if query.column is None else [query.column]
        return gpd.read_file(
            query.path,
            layer=layer,
            where=query.where,
            columns=wanted,
            engine="pyogrio",
            fid_as_index=True,
        )
    except (DataSourceError, DataLayerError) as error:
        raise DataError(f"{query.path!r} cannot be read: {reason(error)}") from error
    except ValueError as error:
        # Pyogrio's word on a broken filter.
        raise DataError(f"{query.path!r}, where {query.where!r}: {reason(error)}") from error


def _read_parquet(query: LayerQuery) -> gpd.GeoDataFrame:
    if query.where is not None or query.layer is not None:
        raise ConfigError(f"{query.path!r}: GeoParquet has no layer and no where; filter it first")
    try:
        frame = gpd.read_parquet(query.path)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{query.path!r} cannot be read: {reason(error)}") from error
    _check_column(query, [str(name) for name in frame.columns if name != frame.geometry.name])
    return frame


def _choose_layer(query: LayerQuery, layers: list[str]) -> str:
    if query.layer is None and len(layers) == 1:
        return layers[0]
    if query.layer in layers:
        return str(query.layer)
    missing = "has several layers" if query.layer is None else f"has no layer {query.layer!r}"
    raise DataError(f"{query.path!r} {missing}; give layer, one of: {some(layers, 20)}")


def _check_column(query: LayerQuery, columns: list[str]) -> None:
    if query.column is not None and query.column not in columns:
        raise DataError(
            f"{query.path!r} has no attribute {query.column!r}; it has {some(columns, 60)}"
        )


def _check_geometries(frame: gpd.GeoDataFrame, path: str) -> None:
    missing = frame.index[frame.geometry.isna() | frame.geometry.is_empty]
    if len(missing):
        raise DataError(
            f"{path!r}: features {some(missing)} have no geometry; remove them, or leave them out "
            "with where"
        )
    invalid = frame.geometry[~frame.geometry.is_valid]
    if len(invalid):
        why = shapely.is_valid_reason(invalid.iloc[0])
        raise DataError(
            f"{path!r}: features {some(invalid.index)} have invalid geometries ({why}); repair "
            "them with shapely.make_valid (GeoDataFrame.make_valid) and save the file"
        )


def _check_overlap(projected: gpd.GeoSeries, grid: Grid, path: str) -> None:
    bounds = projected.total_bounds
    left, bottom, right, top = grid.bounds
    x0, y0, x1, y1 = bounds
    if not np.isfinite(bounds).all():
        raise DataError(f"{path!r} has coordinates that {grid.crs} cannot hold; check its CRS")
    if x0 >= right or x1 <= left or y0 >= top or y1 <= bottom:
        listed = (", ".join(f"{b:.10g}" for b in box) for box in (bounds, grid.bounds))
        raise DataError(
            "{!r} lies at {} in the grid's CRS, the grid at {} (left, bottom, right, top): they "
            "do not overlap; check the file's CRS and cube.grid".format(path, *listed)
        )


def is_missing(value: Any) -> bool:
    """Whether an attribute has no value: None, NaN or an empty text."""
    return bool(pd.isna(value)) or value == ""
