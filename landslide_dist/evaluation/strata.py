"""What scores are divided by: classes of slope, of categorical maps, and named regions."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.evaluate import EvaluateConfig, RegionsConfig
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import LANDSLIDE, SLOPE, SPLIT, Variable
from landslide_dist.sources.files import describe
from landslide_dist.sources.layer import LayerQuery, is_missing, load
from landslide_dist.sources.vector import VectorBlocks, as_text
from landslide_dist.store import cube
from landslide_dist.store.levels import flags_of
from landslide_dist.store.location import open_group

#: A pixel in no stratum.
NONE = -1
#: Dimension of the strata that ``evaluate.regions`` names.
REGION = "region"


class Strata(Protocol):
    """One division of the pixels; picklable, so that workers read it block by block.

    Attributes:
        name: Of the division, e.g. ``lithology``.
        labels: Names of the strata.
    """

    @property
    def name(self) -> str:
        """Of the division."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the strata."""

    def read(self, window: Window) -> NDArray[np.int32]:
        """Stratum of each pixel of a block, :data:`NONE` where there is none."""


@dataclass(frozen=True)
class CategoryStrata:
    """Classes of a categorical map of the cube, the unknown one among them."""

    location: str
    name: str
    codes: tuple[int, ...]
    labels: tuple[str, ...]

    def read(self, window: Window) -> NDArray[np.int32]:
        """Stratum of each pixel."""
        array = cube.array(open_group(self.location), self.name)
        position = np.full(np.iinfo(array.dtype).max + 1, NONE, dtype=np.int32)
        position[list(self.codes)] = np.arange(len(self.codes))
        return np.asarray(position[cube.read_window(array, window, 0)])


@dataclass(frozen=True)
class SlopeStrata:
    """Classes of slope, each from its lower edge up to below the next; the last with its upper."""

    location: str
    edges_deg: tuple[float, ...]

    @property
    def name(self) -> str:
        """The variable."""
        return SLOPE.name

    @property
    def labels(self) -> tuple[str, ...]:
        """``0-5°`` and so on."""
        pairs = zip(self.edges_deg, self.edges_deg[1:], strict=False)
        return tuple(f"{low:g}–{high:g}°" for low, high in pairs)

    def read(self, window: Window) -> NDArray[np.int32]:
        """Stratum of each pixel; none where slope is missing or beyond the edges."""
        slope = cube.read_window(cube.array(open_group(self.location), self.name), window, np.nan)
        last = self.edges_deg[-1]
        index: NDArray[np.int32] = np.digitize(slope, self.edges_deg).astype(np.int32) - 1
        index[slope == last] = len(self.edges_deg) - 2
        index[~(slope <= last)] = NONE  # also where it is missing
        return index


@dataclass(frozen=True)
class RegionStrata:
    """Named polygons; several features of one name are one region."""

    blocks: VectorBlocks
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """``region``."""
        return REGION

    def read(self, window: Window) -> NDArray[np.int32]:
        """Stratum of each pixel whose centre lies in a polygon."""
        return np.asarray(self.blocks.read(window).astype(np.int32) - 1)


def open_strata(cube_location: str, grid: Grid, config: EvaluateConfig) -> tuple[Strata, ...]:
    """The divisions that a run's scores are taken by.

    Raises:
        ConfigError: A variable of ``evaluate.strata`` is not in the cube or has no classes.
        DataError: The regions cannot be read, have no such attribute or do not overlap the cube.
    """
    group = open_group(cube_location)
    categorical = _categorical(cube_location)
    available = [*((SLOPE.name,) if SLOPE.name in group else ()), *categorical]
    strata: list[Strata] = []
    for name in available if config.strata is None else config.strata:
        if name not in available:
            raise ConfigError(
                f"evaluate.strata: the cube has no classes of {name!r}; it has "
                f"{', '.join(available) or 'none'}"
            )
        if name == SLOPE.name:
            strata.append(SlopeStrata(cube_location, config.slope_classes_deg))
        else:
            codes, labels = categorical[name]
            strata.append(CategoryStrata(cube_location, name, codes, labels))
    if config.regions is not None:
        strata.append(_open_regions(config.regions, grid))
    return tuple(strata)


def _categorical(cube_location: str) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    """Codes and names of the classes of every categorical map."""
    found = {}
    for name, array in sorted(open_group(cube_location).arrays()):
        attributes: dict[str, Any] = array.attrs.asdict()
        if "flag_values" in attributes and name not in (LANDSLIDE.name, SPLIT.name):
            if array.ndim != 2:
                continue  # masks of images
            flags = flags_of(attributes)
            found[name] = tuple(flags), tuple(flags.values())
    return found


def _open_regions(config: RegionsConfig, grid: Grid) -> RegionStrata:
    versions = json.dumps(describe(config.path))
    query = LayerQuery(config.path, config.layer, None, config.crs, config.name_field, versions)
    layer = load(query, grid)
    kinds = sorted({g.geom_type for g in layer.geometries} - {"Polygon", "MultiPolygon"})
    if kinds:
        raise DataError(f"{config.path!r} holds {', '.join(kinds)}; regions are polygons")
    assert layer.values is not None  # an attribute was asked for
    names = sorted({as_text(value) for value in layer.values if not is_missing(value)})
    if not names:
        raise DataError(f"{config.path!r}: no feature has a name in {config.name_field!r}")
    codes = {name: number for number, name in enumerate(names, start=1)}
    variable = Variable(REGION, "uint16", 0, "1", "region")
    return RegionStrata(VectorBlocks(variable, grid, query, codes, 0, False), tuple(names))
