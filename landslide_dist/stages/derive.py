"""``derive``: slope, the uphill index and matched images, from the cube itself, block by block."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from distributed import Client
from numpy.typing import NDArray

from landslide_dist import schema
from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.cluster import check_memory
from landslide_dist.config.fingerprint import derive_hash
from landslide_dist.errors import StoreError
from landslide_dist.grid import Window
from landslide_dist.kernels.rings import index_dtype, ring_radii
from landslide_dist.kernels.terrain import HALO_PX, slope
from landslide_dist.kernels.uphill import uphill_indices
from landslide_dist.progress import console, stage
from landslide_dist.schema import Variable
from landslide_dist.stages.match import match
from landslide_dist.stages.reference import matched_hash
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.layout import shard_px, worker_bytes
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import Lock, hold

#: Of a block with its halo: heights as int16 and float32, and slope's own copy and result.
_SCRATCH_BYTES_PER_PIXEL = 2 + 4 + 4 + 4


@dataclass(frozen=True)
class DeriveBlock:
    """Reads elevation with its halo straight from the store; writes slope and uphill index."""

    location: str
    pixel_m: float
    radii_px: tuple[int, ...]
    dtype: str

    @property
    def halo_px(self) -> int:
        """Neighbours that a block needs: the largest ring, and the pixels next to it for slope."""
        return max((HALO_PX, *self.radii_px))

    def thread_bytes(self, block_px: int) -> int:
        """Memory of one computing thread at most, for blocks of ``block_px`` on a side."""
        return worker_bytes(
            [schema.ELEVATION], self.outputs, _SCRATCH_BYTES_PER_PIXEL, block_px, self.halo_px
        )

    @property
    def outputs(self) -> tuple[Variable, ...]:
        """The variables it fills; events look at no distance uphill."""
        if not self.radii_px:
            return (schema.SLOPE,)
        return schema.SLOPE, schema.uphill(len(self.radii_px), self.dtype)

    def read(self, window: Window) -> NDArray[np.float32]:
        """Elevation and its halo, NaN beyond the raster."""
        elevation = cube.array(open_group(self.location), "elevation")
        return cube.read_window(elevation, window.expand(self.halo_px), np.nan)

    def compute(self, window: Window, elevation: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Slope and uphill index of the block without its halo."""
        spare_px = self.halo_px - HALO_PX
        rows, columns = (slice(spare_px, side - spare_px) for side in elevation.shape)
        steepness = slope(elevation[rows, columns], self.pixel_m)[1:-1, 1:-1]
        outputs: dict[str, NDArray[Any]] = {"slope": steepness}
        if self.radii_px:
            dtype = np.dtype(self.dtype)
            outputs["uphill"] = uphill_indices(elevation, self.radii_px, dtype, self.halo_px)
        return outputs

    def write(self, window: Window, outputs: dict[str, NDArray[Any]]) -> None:
        """A shard of each."""
        group = open_group(self.location, "r+")
        for name, block in outputs.items():
            cube.write_block(cube.array(group, name), window, block)


@stage
def derive(config: RunConfig) -> None:
    """Add ``slope`` and ``uphill`` to the cube; a finished stage is a no-op.

    Raises:
        ConfigError: A looking distance is below a pixel, or two fall on one ring.
        StoreError: There is no cube yet, its ingest has not ended, or another run is writing it.
    """
    location = config.cube.location
    task = derive_task(config, location, cube.read_grid(location).pixel_m)
    fingerprint = _fingerprint(config)
    if _is_up_to_date(config, fingerprint):
        console.print(f"derive: up to date, {location}")
        return
    block_px = shard_px(config.cube.storage, cube.read_grid(location).shape)
    check_memory(config.cluster, task.thread_bytes(block_px), block_px)
    with hold(location, "derive") as lock, open_cluster(config.cluster) as client:
        if not _is_derived(location, fingerprint):
            _fill(task, config, fingerprint, lock, client)
        match(config, lock, client)


def _fill(
    task: DeriveBlock, config: RunConfig, fingerprint: str, lock: Lock, client: Client | None
) -> None:
    """Slope and uphill index of every block."""
    location = config.cube.location
    distances = ", ".join(f"{d:g}" for d in config.cube.looking_distances_m)
    console.print("derive: slope" + (f", uphill index at {distances} m" if distances else ""))
    ledger = Ledger(location, "derive", fingerprint)
    if open_group(location).attrs.get("derive_hash") != fingerprint:
        ledger.clear()
        # Said before the arrays are emptied: whatever ends this, nobody takes them for whole.
        undone = {"derive_hash": None, "derived": False}
        cube.add_variables(location, [], config.cube.storage, attrs=undone)
        attributes = {"derive_hash": fingerprint, "derived": False}
        add_derived(config, location, task, attributes)
    windows = cube.shard_windows(location)
    steps = run_blocks(task, windows, ledger, lock, "derive", client)
    # Written last: until then no stage takes slope and uphill index for whole.
    cube.add_variables(location, [], config.cube.storage, attrs={"derived": True})
    console.print(f"derive: {steps}")


def derive_task(config: RunConfig, location: str, pixel_m: float) -> DeriveBlock:
    """The work on one block of the cube at ``location``."""
    radii = ring_radii(config.cube.looking_distances_m, pixel_m)
    return DeriveBlock(location, pixel_m, radii, index_dtype(max(radii, default=1)).name)


def add_derived(
    config: RunConfig, location: str, task: DeriveBlock, attributes: Mapping[str, Any]
) -> None:
    """Add the empty variables that the task fills."""
    distances = config.cube.looking_distances_m
    coordinates = {"distance": distances} if distances else {}
    cube.add_variables(location, task.outputs, config.cube.storage, coordinates, attributes)


def _fingerprint(config: RunConfig) -> str:
    location = config.cube.location
    attributes = open_group(location).attrs
    if not attributes.get("ingested"):
        raise StoreError(f"cube {location!r} is not whole yet: run ingest")
    return derive_hash(config, str(attributes["ingest_hash"]))


def _is_up_to_date(config: RunConfig, fingerprint: str) -> bool:
    location = config.cube.location
    if not _is_derived(location, fingerprint):
        return False
    matched = open_group(location).attrs.get("matched")
    return config.cube.matching is None or matched == matched_hash(config)


def _is_derived(location: str, fingerprint: str) -> bool:
    attributes = open_group(location).attrs
    return attributes.get("derive_hash") == fingerprint and bool(attributes.get("derived"))
