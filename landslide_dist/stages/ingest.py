"""``ingest``: the user's files, or a synthetic region, become a cube."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landslide_dist import __version__, schema
from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.fingerprint import ingest_hash
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.progress import console
from landslide_dist.sources import BlockSource, open_sources, target_grid
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, exists, open_group


@dataclass(frozen=True)
class IngestBlock:
    """Reads one block of every source and writes its shards."""

    location: str
    sources: Mapping[str, BlockSource]

    def __call__(self, window: Window) -> None:
        """Fill one block."""
        group = open_group(self.location, "r+")
        for name, source in self.sources.items():
            cube.write_block(cube.array(group, name), window, source.read(window))


def ingest(config: RunConfig, overwrite: bool = False) -> None:
    """Build the cube of a run; a finished one is left alone, a killed one continued.

    Args:
        config: The run.
        overwrite: Replace a cube that was ingested with other settings.

    Raises:
        ConfigError: The cube there has other settings and ``overwrite`` is not given.
        DataError: A source breaks the contract; a cube begun by this call is removed.
    """
    location = config.cube.location
    grid = target_grid(config)
    sources = open_sources(config, grid)
    inputs = [entry for source in sources.values() for entry in source.provenance()]
    fingerprint = ingest_hash(config, inputs)
    ledger = Ledger(location, "ingest", fingerprint)
    if exists(location) and not overwrite:
        _check_same(location, fingerprint)
    else:
        delete(location)
        attributes = _attributes(config, inputs, fingerprint)
        variables = [source.variable for source in sources.values()]
        cube.create(location, grid, variables, config.cube.storage, attributes)
    if open_group(location).attrs.get("ingested"):
        console.print(f"ingest: up to date, {location}")
        return
    console.print(f"ingest: {grid.height} x {grid.width} px, {len(sources)} variables, {location}")
    try:
        with open_cluster(config.cluster) as client:
            task = IngestBlock(location, sources)
            run_blocks(task, cube.shard_windows(location), ledger, "ingest", client)
        _check_elevation(config)
    except DataError:
        delete(location)
        raise
    # Written last: a cube without it is half made, and no stage takes it for whole.
    cube.add_variables(location, [], config.cube.storage, attrs={"ingested": True})


def _check_same(location: str, fingerprint: str) -> None:
    found = open_group(location).attrs.get("ingest_hash")
    if found != fingerprint:
        raise ConfigError(
            f"cube {location!r} was ingested from other inputs or settings; "
            "give another cube.location, or --overwrite to replace it"
        )


def _attributes(
    config: RunConfig, inputs: list[dict[str, Any]], fingerprint: str
) -> dict[str, Any]:
    """Provenance without any time of the run: the same inputs give the same bytes."""
    return {
        "title": config.name,
        "source": inputs,
        "ingest_hash": fingerprint,
        "version": __version__,
        "categorical": list(config.categories()),
        "continuous": list(config.sources.continuous),
    }


def _check_elevation(config: RunConfig) -> None:
    location = config.cube.location
    elevation = cube.array(open_group(location), schema.ELEVATION.name)
    for window in cube.shard_windows(location):
        if np.isfinite(cube.read_window(elevation, window, np.nan)).any():
            return
    raise DataError("elevation has no valid pixel on the target grid; check nodata, range, bounds")
