"""Polygons and lines, rasterised: landslide inventories, study areas, geological maps."""

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from landslide_dist.config.sources import VectorSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import UNKNOWN_CODE, Variable
from landslide_dist.sources.files import describe, some
from landslide_dist.sources.layer import Layer, LayerQuery, is_missing, load
from landslide_dist.sources.meaning import resolve_codes
from landslide_dist.sources.tiles import from_tiles

#: Rasterio silences a warning of its own here, which is of the process and not of the thread.
_BURNING = threading.Lock()
#: Code burnt where there is no attribute to tell classes apart.
INSIDE = 1


@dataclass(frozen=True)
class VectorBlocks:
    """Features burnt into the target grid, later features over earlier ones.

    Attributes:
        variable: What it fills.
        grid: Target grid.
        query: What is read, once a process.
        codes: Attribute text -> code; None: every feature is :data:`INSIDE`.
        background: Value where there is no feature.
        all_touched: Burn every pixel touched, not only those whose centre lies inside.
    """

    variable: Variable
    grid: Grid
    query: LayerQuery
    codes: Mapping[str, int] | None
    background: int
    all_touched: bool

    def read(self, window: Window) -> NDArray[Any]:
        """A block, shape (height, width)."""
        burn = partial(self._burn, load(self.query, self.grid))
        return from_tiles(window, self.grid.shape, self.variable, burn)

    def provenance(self) -> list[dict[str, Any]]:
        """The file, or the parts of a Shapefile."""
        return describe(self.query.path)

    def _burn(self, layer: Layer, tile: Window) -> NDArray[Any]:
        left, bottom, right, top = self.grid.window_bounds(tile.expand(2))
        found = np.sort(layer.tree.query(shapely.box(left, bottom, right, top)))
        if not found.size:
            return np.full(tile.shape, self.background, self.variable.dtype)
        # Features may have many more vertices than lie near one tile.
        near = shapely.clip_by_rect(layer.geometries[found], left, bottom, right, top)
        shapes = [
            (geometry, self._code(layer, index))
            for geometry, index in zip(near, found, strict=True)
            if not geometry.is_empty
        ]
        if not shapes:
            return np.full(tile.shape, self.background, self.variable.dtype)
        with _BURNING:
            burnt: NDArray[Any] = rasterize(
                shapes,
                out_shape=tile.shape,
                fill=self.background,
                transform=self.grid.window_transform(tile),
                all_touched=self.all_touched,
                dtype=self.variable.dtype,
            )
        return burnt

    def _code(self, layer: Layer, index: int) -> int:
        if self.codes is None or layer.values is None:
            return INSIDE
        return self.codes.get(as_text(layer.values[index]), UNKNOWN_CODE)


def open_areas(config: VectorSource, variable: Variable, grid: Grid) -> VectorBlocks:
    """Features as 1 inside and 0 outside: an inventory or a study area.

    Raises:
        DataError: The layer cannot be used; see :func:`landslide_dist.sources.layer.load`.
    """
    if config.attribute is not None or config.mapping is not None:
        raise ConfigError(
            f"{config.path!r}: attribute and mapping are for categorical maps; choose features of "
            f"{variable.name!r} with where"
        )
    query = _query(config)
    _check_kinds(load(query, grid), config.path, {"Polygon", "MultiPolygon"})
    return VectorBlocks(variable, grid, query, None, 0, config.all_touched)


def open_classes(config: VectorSource, variable: Variable, grid: Grid) -> VectorBlocks:
    """Features of a categorical map; 0 where there is none, or where its attribute is missing.

    Raises:
        DataError: The layer cannot be used, or its attribute has values without a code.
        ConfigError: There is no attribute, or the mapping names categories that there are not.
    """
    if config.attribute is None:
        raise ConfigError(f"categorical map {variable.name!r} needs the attribute of its classes")
    query = _query(config)
    layer = load(query, grid)
    kinds = {"Polygon", "MultiPolygon", "LineString", "MultiLineString"}
    _check_kinds(layer, config.path, kinds)
    if config.mapping is None:
        codes = {name: code for code, name in variable.flags.items() if code != UNKNOWN_CODE}
    else:
        codes = resolve_codes(config.mapping, variable)
    if config.unmapped == "error":
        _check_mapped(config, layer, codes, variable.name)
    return VectorBlocks(variable, grid, query, codes, UNKNOWN_CODE, config.all_touched)


def as_text(value: Any) -> str:
    """An attribute value as a mapping names it; whole numbers without decimals."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def _query(config: VectorSource) -> LayerQuery:
    versions = json.dumps(describe(config.path))
    return LayerQuery(
        config.path, config.layer, config.where, config.crs, config.attribute, versions
    )


def _check_mapped(
    config: VectorSource, layer: Layer, codes: Mapping[str, int], variable: str
) -> None:
    values: Iterable[Any] = [] if layer.values is None else layer.values
    unknown = sorted({as_text(v) for v in values if not is_missing(v)} - set(codes))
    if unknown:
        raise DataError(
            f"{config.path!r}: {config.attribute} holds values without a code of {variable!r}: "
            f"{some(map(repr, unknown), 20)}; add them to its mapping or set unmapped: unknown"
        )


def _check_kinds(layer: Layer, path: str, kinds: set[str]) -> None:
    wrong = sorted({g.geom_type for g in layer.geometries} - kinds)
    if wrong:
        hint = "for points use kind: points" if "Point" in wrong else "remove them with where"
        raise DataError(f"{path!r} holds {some(wrong)} where polygons are needed; {hint}")
