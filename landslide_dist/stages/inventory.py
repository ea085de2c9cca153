"""``inventory make``: the landslides of maps as polygons, to GeoPackage and GeoJSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from landslide_dist.config import RunConfig
from landslide_dist.config.paths import RunPaths
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError, StoreError
from landslide_dist.evaluation.inventory import map_inventory
from landslide_dist.kernels.scores import MAX_LOGIT, NUM_BINS
from landslide_dist.progress import console, stage
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.predict import check_map
from landslide_dist.whole_file import whole_file

#: Name of the fingerprint in the metadata of a layer.
FINGERPRINT = "fingerprint"


@stage
def make_inventories(config: RunConfig, only: Sequence[str] | None = None) -> None:
    """Turn maps of the run into inventories; those that are up to date are left alone.

    Args:
        config: The run.
        only: Names of the maps; None for all.

    Raises:
        ConfigError: A name is not a map of the run, or an ensemble's file cannot be read.
        StoreError: A map is missing, not whole or of other settings, or there is no best threshold.
    """
    context = RunContext(config)
    unknown = [name for name in only or () if name not in config.maps]
    if unknown:
        raise ConfigError(f"map {unknown[0]!r} is not in the run ({', '.join(config.maps)})")
    for name in only or config.maps:
        made_of = check_map(context, name)
        threshold = _threshold(config, name, made_of)
        metadata = {
            "map": name,
            "map_fingerprint": made_of,
            "threshold": f"{threshold:.9g}",
            "settings": config.inventory.model_dump_json(),
        }
        metadata[FINGERPRINT] = config_hash(metadata)
        paths = RunPaths.of(config)
        package, geojson = (paths.inventory(name, suffix) for suffix in ("gpkg", "geojson"))
        if _is_made(package, metadata[FINGERPRINT]) and Path(geojson).exists():
            console.print(f"inventory: {name} is up to date")
            continue
        landslides = map_inventory(
            paths.prediction(name),
            config.cube.location,
            config.inventory,
            threshold,
            f"inventory {name}",
        )
        write_inventory(landslides, name, package, geojson, metadata)
        area_km2 = landslides["area_m2"].sum() / 1e6
        console.print(f"inventory: {name}: {len(landslides):,} landslides, {area_km2:,.4g} km2")


def write_inventory(
    landslides: gpd.GeoDataFrame, name: str, package: str, geojson: str, metadata: dict[str, str]
) -> None:
    """Write an inventory; who finds the GeoPackage finds the GeoJSON of the same landslides.

    Args:
        landslides: A row a landslide.
        name: Of the layer.
        package: GeoPackage to write, in the CRS of the landslides.
        geojson: GeoJSON to write, in longitude and latitude (RFC 7946).
        metadata: Of the layer of the GeoPackage.

    Raises:
        StoreError: A file cannot be written.
    """
    Path(package).unlink(missing_ok=True)
    degrees = landslides.to_crs("EPSG:4326")
    _write(degrees, geojson, driver="GeoJSON", layer=name, layer_options={"RFC7946": "YES"})
    _write(
        landslides,
        package,
        driver="GPKG",
        layer=name,
        geometry_type="MultiPolygon",
        promote_to_multi=True,
        layer_metadata=metadata,
    )


def _write(landslides: gpd.GeoDataFrame, path: str, **options: Any) -> None:
    try:
        with whole_file(path) as unfinished:
            pyogrio.write_dataframe(landslides, unfinished, **options)
    except (DataSourceError, DataLayerError, OSError) as error:
        raise StoreError(f"{path!r} cannot be written: {' '.join(str(error).split())}") from error


def _is_made(package: str, fingerprint: str) -> bool:
    if not Path(package).exists():
        return False
    try:
        found = pyogrio.read_info(package).get("layer_metadata") or {}
    except (DataSourceError, DataLayerError):
        return False
    return bool(found.get(FINGERPRINT) == fingerprint)


def _threshold(config: RunConfig, name: str, made_of: str) -> float:
    """The threshold of the settings, or the best one of a map on the validation part."""
    if config.inventory.threshold != "best":
        return config.inventory.threshold
    path = RunPaths.of(config).metrics
    of_map, best = None, dict[str, Any]()
    try:
        metrics = json.loads(Path(path).read_text("utf-8"))
        of_map = metrics["run"]["made_of"]["maps"].get(name)
        # The same on every part.
        for part in metrics["models"].get(name, {}).values():
            best = part["at_best"]
    except FileNotFoundError:
        pass
    except (ValueError, KeyError) as error:
        raise StoreError(f"{path!r} is not what evaluate writes: run evaluate") from error
    if of_map != made_of:
        raise StoreError(
            f"inventory.threshold is best, but {path!r} has no scores of this map of {name!r}: run "
            "evaluate, or give a number"
        )
    if best.get("chosen_on") != "validation" or best.get("threshold") is None:
        raise StoreError(
            f"inventory.threshold is best, but {path!r} has no best threshold of {name!r} on "
            "validation: the part is missing or has labels of one class alone; give a number"
        )
    # It stands for a bin of probabilities, all of which were called.
    logit = np.log(best["threshold"]) - np.log1p(-best["threshold"]) - MAX_LOGIT / NUM_BINS
    return float(1 / (1 + np.exp(-logit)))
