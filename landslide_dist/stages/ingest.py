"""``ingest``: the user's files, or a synthetic region, become a cube."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist import __version__, schema
from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.fingerprint import ingest_hash
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.progress import console, stage
from landslide_dist.schema import Variable
from landslide_dist.sources import BlockSource, open_imagery, open_sources, target_grid
from landslide_dist.sources.files import describe_raster
from landslide_dist.sources.imagery import Imagery
from landslide_dist.sources.synthetic_event import SyntheticImagery
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import delete, exists, open_group
from landslide_dist.store.lock import hold


@dataclass(frozen=True)
class IngestBlock:
    """Reads one block of every source and writes its shards."""

    location: str
    sources: Mapping[str, BlockSource]
    imagery: Imagery | SyntheticImagery | None

    @classmethod
    def of(cls, config: RunConfig, location: str) -> "IngestBlock":
        """Open and check all inputs of a run; reads no rasters but cloud masks of images."""
        grid = target_grid(config)
        return cls(location, open_sources(config, grid), open_imagery(config, grid))

    @property
    def outputs(self) -> tuple[Variable, ...]:
        """The variables it fills."""
        images = self.imagery.variables if self.imagery else ()
        return (*(source.variable for source in self.sources.values()), *images)

    def provenance(self) -> list[dict[str, Any]]:
        """Every input file, and which version of it."""
        files = [entry for source in self.sources.values() for entry in source.provenance()]
        return files + (self.imagery.provenance() if self.imagery else [])

    def create_cube(
        self, grid: Grid, storage: StorageConfig, attributes: Mapping[str, Any]
    ) -> None:
        """Make the empty cube that the blocks fill."""
        coords = self.imagery.coords if self.imagery else {}
        cube.create(self.location, grid, self.outputs, storage, attributes, coords)

    def read(self, window: Window) -> dict[str, NDArray[Any]]:
        """Every variable."""
        blocks = {name: source.read(window) for name, source in self.sources.items()}
        if self.imagery:
            names = (variable.name for variable in self.imagery.variables)
            blocks |= dict(zip(names, self.imagery.read(window), strict=True))
        return blocks

    def compute(self, window: Window, blocks: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Nothing: sources give what is stored."""
        return blocks

    def write(self, window: Window, blocks: dict[str, NDArray[Any]]) -> None:
        """A shard of each."""
        group = open_group(self.location, "r+")
        for name, block in blocks.items():
            cube.write_block(cube.array(group, name), window, block)


@stage
def ingest(config: RunConfig, overwrite: bool = False) -> None:
    """Build the cube of a run; a finished one is left alone, a killed one continued.

    Args:
        config: The run.
        overwrite: Replace a cube that was ingested with other settings.

    Raises:
        ConfigError: The cube there has other settings and ``overwrite`` is not given.
        DataError: A source breaks the contract; a cube begun by this call is removed.
        StoreError: Another run is writing the cube, or the store fails.
    """
    location = config.cube.location
    task = IngestBlock.of(config, location)
    inputs, fingerprint = fingerprint_of(config, task)
    if _is_up_to_date(location, fingerprint):
        console.print(f"ingest: up to date, {location}")
        return
    with hold(location, "ingest") as lock:
        if exists(location) and not overwrite and not cube.is_cut_short(location):
            _check_same(location, fingerprint)
        else:
            delete(location)
            attributes = _attributes(config, task.sources, inputs, fingerprint)
            task.create_cube(target_grid(config), config.cube.storage, attributes)
        grid = cube.read_grid(location)
        console.print(
            f"ingest: {grid.height} x {grid.width} px, {len(task.outputs)} variables, {location}"
        )
        ledger = Ledger(location, "ingest", fingerprint)
        try:
            with open_cluster(config.cluster) as client:
                windows = cube.shard_windows(location)
                steps = run_blocks(task, windows, ledger, lock, "ingest", client)
            if schema.ELEVATION.name in task.sources:
                _check_elevation(config)
        except DataError:
            delete(location)
            raise
        # Written last: a cube without it is half made, and no stage takes it for whole.
        cube.add_variables(location, [], config.cube.storage, attrs={"ingested": True})
    console.print(f"ingest: {steps}")


def fingerprint_of(config: RunConfig, task: IngestBlock) -> tuple[list[dict[str, Any]], str]:
    """What the cube of a run is made of, and the ``ingest_hash`` by which it is known again.

    Args:
        config: The run.
        task: Its inputs, opened.

    Returns:
        Every input file, and the raster that the grid is taken from where it is none of them; and
        the hash of these and the settings.

    Raises:
        DataError: A file cannot be reached.
    """
    inputs = task.provenance()
    like = None if config.cube.grid is None else config.cube.grid.like
    if like is not None:
        known = {entry.get("path") for entry in inputs}
        inputs += [entry for entry in describe_raster(like) if entry["path"] not in known]
    return inputs, ingest_hash(config, inputs)


def import_published(config: RunConfig, format_: str, overwrite: bool = False) -> None:
    """Ingest a run whose source is a published data set; see :func:`ingest`.

    Args:
        config: The run.
        format_: Of the data set, as ``sources.published.kind`` names it.
        overwrite: Replace a cube that was ingested with other settings.

    Raises:
        ConfigError: The run has another source.
    """
    published = config.sources.published
    if published is None or published.kind != format_:
        found = "none" if published is None else published.kind
        raise ConfigError(
            f"the run has no data set of format {format_!r} (sources.published: {found}); "
            f"give sources.published: {{kind: {format_}, path: FILE}}, or use ingest"
        )
    ingest(config, overwrite)


def _is_up_to_date(location: str, fingerprint: str) -> bool:
    if not exists(location):
        return False
    attributes = open_group(location).attrs
    return attributes.get("ingest_hash") == fingerprint and bool(attributes.get("ingested"))


def _check_same(location: str, fingerprint: str) -> None:
    found = open_group(location).attrs.get("ingest_hash")
    if found != fingerprint:
        raise ConfigError(
            f"cube {location!r} was ingested from other inputs or settings; "
            "give another cube.location, or --overwrite to replace it"
        )


def _attributes(
    config: RunConfig,
    sources: Mapping[str, BlockSource],
    inputs: list[dict[str, Any]],
    fingerprint: str,
) -> dict[str, Any]:
    """Provenance without any time of the run: the same inputs give the same bytes."""
    return {
        "title": config.name,
        "source": inputs,
        "ingest_hash": fingerprint,
        "version": __version__,
        "categorical": [name for name in config.categories() if name in sources],
        "continuous": list(config.sources.continuous),
    }


def _check_elevation(config: RunConfig) -> None:
    location = config.cube.location
    elevation = cube.array(open_group(location), schema.ELEVATION.name)
    for window in cube.shard_windows(location):
        if np.isfinite(cube.read_window(elevation, window, np.nan)).any():
            return
    raise DataError("elevation has no valid pixel on the target grid; check nodata, range, bounds")
