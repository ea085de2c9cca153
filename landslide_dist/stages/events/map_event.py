"""``map-event``: from the images of a new event and a trained model to map, inventory and page.

It needs no labels and trains nothing: the rapid mapping that Prakash et al. 2021 propose.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd

from landslide_dist.config import RunConfig
from landslide_dist.config.load import to_yaml, validate
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.event_report import EventFound, render_event
from landslide_dist.inference.predict import check_channels
from landslide_dist.models import checkpoint
from landslide_dist.progress import console, stage
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.events.maps import found_map, stored
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.inventory import make_inventories
from landslide_dist.stages.predict import predict
from landslide_dist.whole_file import write_whole

#: Name of the map.
MAP = "event"


@stage
def map_event(config: RunConfig, model: str, overwrite: bool = False) -> None:
    """Ingest, derive, predict, polygonise and show one event; finished steps are left alone.

    Writes the probability (Zarr and GeoTIFF), the inventory (GeoPackage, GeoJSON) and
    ``event.html`` below ``run_dir``.

    Args:
        config: Images, surface model and grid of the event; its models and split are not used.
        model: Checkpoint of an event model.
        overwrite: Replace a cube that was ingested with other settings.

    Raises:
        ConfigError: The run is not of an event, or there is no such checkpoint.
        DataError: The model was trained on other bands, images or pixels than the event has.
    """
    if config.task != "event_mapping":
        raise ConfigError("map-event maps the images of an event: set task: event_mapping")
    if config.inventory.threshold == "best":
        raise ConfigError("map-event has no labels to find the best threshold on: give a number")
    trained, metadata = checkpoint.load(model)
    wanted = tuple(metadata["looking_distances_m"])
    settings = config.model_dump(mode="json", by_alias=True)
    # Neither the run's models nor its search are asked for.
    del settings["models"], settings["search"]
    settings["predict"]["ensembles"] = {MAP: [model]}
    settings["cube"]["looking_distances_m"] = list(wanted)
    run = validate(settings, "map-event")
    ingest(run, overwrite)
    derive(run)
    context = RunContext(run)
    check_channels(trained.recipe.channels, context.channels)
    predict(run, [MAP])
    make_inventories(run, [MAP])
    _write_page(context, metadata)


def _write_page(context: RunContext, metadata: Mapping[str, Any]) -> None:
    config, paths = context.config, context.paths
    landslides = gpd.read_file(paths.inventory(MAP, "gpkg"), engine="pyogrio")
    shown = found_map(context, stored(paths.prediction(MAP)), landslides)
    trained_on = metadata.get("events", [])
    found = EventFound(
        shown, landslides, metadata["model_hash"], trained_on, config.inventory.threshold
    )
    page = Path(config.run_dir) / "event.html"
    write_whole(page, render_event(config.name, found, to_yaml(config)))
    console.print(f"map-event: {page}")
