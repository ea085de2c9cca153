"""``derive``: slope and the uphill index, from the cube's elevation, block by block."""

from dataclasses import dataclass

import numpy as np

from landslide_dist import schema
from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.fingerprint import derive_hash
from landslide_dist.errors import StoreError
from landslide_dist.grid import Window
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import index_dtype, ring_radii, uphill_indices
from landslide_dist.progress import console
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import open_group


@dataclass(frozen=True)
class DeriveBlock:
    """Reads elevation with its halo straight from the store and writes slope and uphill index."""

    location: str
    pixel_m: float
    radii_px: tuple[int, ...]
    dtype: str

    def __call__(self, window: Window) -> None:
        """Derive one block."""
        group = open_group(self.location, "r+")
        halo_px = max(1, *self.radii_px)
        padded = window.expand(halo_px)
        elevation = cube.read_window(cube.array(group, "elevation"), padded, np.nan)
        core = window.relative_to(padded).slices
        steepness = np.ascontiguousarray(slope(elevation, self.pixel_m)[core])
        cube.write_block(cube.array(group, "slope"), window, steepness)
        indices = uphill_indices(elevation, self.radii_px, np.dtype(self.dtype))
        cube.write_block(cube.array(group, "uphill"), window, indices[:, core[0], core[1]])


def derive(config: RunConfig) -> None:
    """Add ``slope`` and ``uphill`` to the cube; a finished stage is a no-op.

    Raises:
        ConfigError: A looking distance is below a pixel, or two fall on one ring.
        StoreError: There is no cube yet, or its ingest has not ended.
    """
    location = config.cube.location
    grid = cube.read_grid(location)
    distances = config.cube.looking_distances_m
    radii = ring_radii(distances, grid.pixel_m)
    attributes = open_group(location).attrs
    if not attributes.get("ingested"):
        raise StoreError(f"cube {location!r} is not whole yet: run ingest")
    fingerprint = derive_hash(config, str(attributes["ingest_hash"]))
    ledger = Ledger(location, "derive", fingerprint)
    dtype = index_dtype(max(radii)).name
    if attributes.get("derive_hash") != fingerprint:
        ledger.clear()
        cube.add_variables(
            location,
            [schema.SLOPE, schema.uphill(len(radii), dtype)],
            config.cube.storage,
            coords={"distance": distances},
            attrs={"derive_hash": fingerprint, "derived": False},
        )
    elif attributes.get("derived"):
        console.print(f"derive: up to date, {location}")
        return
    console.print(f"derive: slope, uphill index at {', '.join(f'{d:g}' for d in distances)} m")
    with open_cluster(config.cluster) as client:
        task = DeriveBlock(location, grid.pixel_m, radii, dtype)
        run_blocks(task, cube.shard_windows(location), ledger, "derive", client)
    # Written last: until then no stage takes slope and uphill index for whole.
    cube.add_variables(location, [], config.cube.storage, attrs={"derived": True})
