"""``view``: the map in a browser, drawn from levels of detail that it makes first."""

import json
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from landslide_dist.config import RunConfig
from landslide_dist.errors import LandslideDistError, StoreError
from landslide_dist.progress import console
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.predict import check_map
from landslide_dist.store.location import exists, open_group
from landslide_dist.store.pyramid import build_pyramid
from landslide_dist.viewer.layers import Layer, Prediction, find_layers
from landslide_dist.viewer.page import Atlas
from landslide_dist.viewer.server import serve

#: Where no score has told a better one.
DEFAULT_THRESHOLD = 0.5
#: Variables that are not whole before `derive` has ended.
DERIVED = ("slope", "uphill", "matched")


def view(config: RunConfig, host: str, port: int, open_browser: bool) -> None:
    """Serve the map of a run until the process is interrupted.

    Args:
        config: The run; what has not been made yet is left out.
        host: Address to listen at.
        port: Its port.
        open_browser: Whether to open the page in the user's browser.

    Raises:
        StoreError: There is no whole cube, or the levels of detail cannot be written.
        ConfigError: The address cannot be listened at.
    """
    context = RunContext(config)
    layers = prepare(context)

    def atlas(pool: ThreadPoolExecutor) -> Atlas:
        return Atlas(config.name, layers, context.grid, config.split.parts(), pool)

    serve(atlas, host, port, open_browser)


def prepare(context: RunContext) -> list[Layer]:
    """The layers of a run; levels of detail that are missing or stale are made."""
    config = context.config
    location = config.cube.location
    attributes = open_group(location).attrs
    if not attributes.get("ingested"):
        raise StoreError(f"cube {location!r} is not whole yet: run ingest")
    split = context.split_location
    layers = find_layers(
        location,
        _predictions(context),
        split if exists(split) else None,
        config.split.parts(),
        context.paths.view,
        () if attributes.get("derived") else DERIVED,
    )
    written = 0
    for pyramid in dict.fromkeys(layer.pyramid for layer in layers):
        written += build_pyramid(pyramid, f"view {Path(pyramid.location).stem}")
    if written:
        console.print(f"view: {written} shards of levels of detail written")
    return layers


def _predictions(context: RunContext) -> dict[str, Prediction]:
    """The maps of the run; of those under way, or of other settings, it says so."""
    fingerprints = {}
    for name in context.config.maps:
        if not exists(context.paths.prediction(name)):
            continue
        try:
            fingerprints[name] = check_map(context, name)
        except LandslideDistError as error:
            console.print(f"view: {error}; the map is left out")
    thresholds = _thresholds(context, fingerprints)
    return {
        name: Prediction(
            context.paths.prediction(name),
            thresholds.get(name, DEFAULT_THRESHOLD),
            context.config.predict.class_bounds,
        )
        for name in fingerprints
    }


def _thresholds(context: RunContext, fingerprints: Mapping[str, str]) -> dict[str, float]:
    """The best threshold of each model whose map was scored as it is."""
    path = Path(context.paths.metrics)
    if not path.exists():
        return {}
    metrics = json.loads(path.read_text())
    scored = metrics.get("run", {}).get("made_of", {}).get("maps", {})
    found = {}
    for name, parts in metrics["models"].items():
        if name not in fingerprints or scored.get(name) != fingerprints[name]:
            continue
        best = [part.get("at_best", {}).get("threshold") for part in parts.values()]
        usable = [float(t) for t in best if t is not None and math.isfinite(t)]
        if usable:
            found[name] = usable[0]
    return found
