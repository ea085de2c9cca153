"""The regions of ``bias``: where they lie, what is masked in them, what is recorded in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from landslide_dist.config import RunConfig
from landslide_dist.config.bias import BiasConfig, BiasRegion
from landslide_dist.config.fingerprint import ingest_hash
from landslide_dist.config.sources import VectorSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.evaluation.bias import Region
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.predict import is_predicted
from landslide_dist.schema import PROBABILITY, Variable
from landslide_dist.sources.landslide_catalog import recorded
from landslide_dist.sources.layer import load
from landslide_dist.sources.vector import open_areas
from landslide_dist.stages.chips.scenes import SceneMap, scene_run
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.stages.reference import matched_hash
from landslide_dist.store import cube
from landslide_dist.store.location import exists, open_group

_REGION = Variable("region", "uint8", 0, "1", "region")
#: Share of a block's pixels from which on, but for itself, it is masked.
MOST = 0.5
#: Sides of what is projected are cut to this length: what is straight in one CRS bends in another.
STEP_M = 1000.0


@dataclass(frozen=True, eq=False)
class Placed:
    """One of the two regions.

    Attributes:
        settings: As the configuration has it.
        map: Where its landslides were detected.
        region: Its blocks, and how much is recorded.
        outline: Its area in EPSG:4326.
        outside_share: Share of the polygon's area beyond the blocks of the scene.
        records: Period -> recorded landslides.
    """

    settings: BiasRegion
    map: SceneMap
    region: Region
    outline: shapely.Polygon | shapely.MultiPolygon
    outside_share: float
    records: Mapping[str, gpd.GeoDataFrame]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.region.name


def place_region(
    trainer: ChipTrainer, bias: BiasConfig, name: str, catalog: gpd.GeoDataFrame
) -> Placed:
    """Bring together what is known of a region.

    Args:
        trainer: The run of chips.
        bias: What is compared.
        name: Of the region.
        catalog: Recorded landslides.

    Raises:
        ConfigError: The model is not trained, or a masked variable or code is not in the cube.
        DataError: The map is missing or of older settings, or the polygon cannot be used.
    """
    settings = bias.regions[name]
    drawn = find_map(trainer, settings.scene, bias.model)
    cells = drawn.grid
    inside, outline, outside_share = _area(settings, cells)
    masked = masked_cells(drawn.run.cube.location, cells, drawn.block_px, settings.masked)
    area = _in_degrees(outline, cells.crs)
    records = {
        period: recorded(catalog, area, first, last, bias.max_accuracy_m)
        for period, (first, last) in bias.periods.items()
    }
    probability = cube.array(open_group(drawn.location), PROBABILITY.name)
    region = Region(
        name,
        cube.read_window(probability, Window(0, 0, *cells.shape), np.nan),
        inside,
        masked,
        {period: len(found) for period, found in records.items()},
    )
    return Placed(settings, drawn, region, area, outside_share, records)


def find_map(trainer: ChipTrainer, scene: str, model: str) -> SceneMap:
    """The finished map of a scene by a model.

    Raises:
        ConfigError: The model is not trained, or with other settings.
        DataError: There is no map, or it is not that of the run as it is set now.
    """
    run = scene_run(trainer, scene)
    trainer.trained(model)
    if not _is_prepared(run):
        raise DataError(f"scene {scene!r} is not in its cube as the run is set now: run predict")
    found = SceneMap.of(trainer, run, model)
    if not is_predicted(found.location, found.map_hash):
        raise DataError(f"there is no map of {scene!r} by {model!r} as they are now: run predict")
    return found


def _is_prepared(run: RunConfig) -> bool:
    """Whether the scene was ingested, and matched, with these settings."""
    location = run.cube.location
    if not exists(location):
        return False
    attributes: dict[str, Any] = open_group(location).attrs.asdict()
    if not attributes.get("ingested"):
        return False
    ingested = attributes["ingest_hash"]
    if ingest_hash(run, attributes["source"]) != ingested:
        return False
    return run.cube.matching is None or attributes.get("matched") == matched_hash(run)


def masked_cells(
    location: str, cells: Grid, block_px: int, masked: Mapping[str, tuple[int, ...]]
) -> NDArray[np.bool_]:
    """Blocks of which more than half of the pixels have masked codes.

    Args:
        location: Cube of the scene.
        cells: Grid of the blocks.
        block_px: Side of a block in pixels of the scene.
        masked: Categorical variable -> codes; a pixel with any of them is masked.

    Raises:
        ConfigError: A variable is not categorical, or has no such code.
    """
    out = np.zeros(cells.shape, dtype=bool)
    group = open_group(location)
    for name, codes in masked.items():
        known = cast("list[str]", group.attrs.asdict().get("categorical", []))
        if name not in known:
            raise ConfigError(
                f"masked: {name!r} is no categorical variable of the scene {location!r} (it has "
                f"{', '.join(known) or 'none'}); give it in sources.categorical"
            )
        flags = np.asarray(cube.array(group, name).attrs["flag_values"]).tolist()
        if wrong := sorted(set(codes) - set(flags)):
            raise ConfigError(f"masked: {name!r} has no code {wrong[0]}; it has {flags}")
    for window in cells.windows(rows_at_once(block_px)) if masked else ():
        pixels = Window(*(block_px * n for n in (window.y0, window.x0, *window.shape)))
        hit = np.zeros(pixels.shape, dtype=bool)
        for name, codes in masked.items():
            hit |= np.isin(cube.read_window(cube.array(group, name), pixels, 0), codes)
        parted = hit.reshape(window.height, block_px, window.width, block_px)
        out[window.slices] = parted.mean(axis=(1, 3)) > MOST
    return out


def rows_at_once(block_px: int) -> int:
    """Blocks on a side of what is read of a scene at once: about two thousand pixels."""
    return max(1, 2048 // block_px)


def _area(
    settings: BiasRegion, cells: Grid
) -> tuple[NDArray[np.bool_], shapely.Polygon | shapely.MultiPolygon, float]:
    """Blocks whose centre lies in the region, its area in the CRS of the blocks, what is outside.

    Raises:
        DataError: The file has no polygons, they do not meet the scene or hold no block.
    """
    scene = shapely.box(*cells.bounds)
    if settings.polygon is None:
        return np.ones(cells.shape, dtype=bool), scene, 0.0
    source = VectorSource(kind="vector", path=settings.polygon, layer=settings.layer)
    areas = open_areas(source, _REGION, cells)
    whole = shapely.union_all(load(areas.query, cells).geometries)
    inside = areas.read(Window(0, 0, *cells.shape)) == 1
    parts = shapely.get_parts(shapely.intersection(whole, scene))
    outline = shapely.union_all([p for p in parts if p.geom_type == "Polygon"])
    if not inside.any():
        raise DataError(
            f"the polygon {settings.polygon!r} holds the centre of none of the scene's blocks of "
            f"{cells.pixel_m:g} m; give a larger one, or one within the scene"
        )
    return inside, outline, 1 - float(outline.area / whole.area)


def _in_degrees(
    outline: shapely.Polygon | shapely.MultiPolygon, crs: str
) -> shapely.Polygon | shapely.MultiPolygon:
    """An area in EPSG:4326, in two parts where it crosses the antimeridian."""
    dense = gpd.GeoSeries([shapely.segmentize(outline, STEP_M)], crs=crs)
    area = dense.to_crs("EPSG:4326").iloc[0]
    left, _, right, _ = area.bounds
    if right - left <= 180:
        return area
    eastward = shapely.transform(area, lambda at: np.c_[np.mod(at[:, 0], 360), at[:, 1]])
    east = shapely.intersection(eastward, shapely.box(0, -90, 180, 90))
    west = shapely.intersection(eastward, shapely.box(180, -90, 360, 90))
    return shapely.union(east, shapely.transform(west, lambda at: at - (360, 0)))
