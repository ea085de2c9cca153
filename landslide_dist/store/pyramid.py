"""Levels of detail of a raster, so that a view of any extent reads about as much as a screen shows.

A pyramid is a Zarr v3 group with a group for each level, ``1``, ``2`` and so on, each of half the
size of the one before. Each is laid out as a cube is: plain ``xarray.open_zarr`` and rioxarray
understand it. Level 0 is the source itself, named in the attributes, and is not copied. The
attribute ``multiscales`` follows the Zarr convention of that name.

How two by two pixels become one:

``mean``    mean of the valid ones, in float32: heights, slopes, probabilities. Of landslide labels
            it is the share of landslides among labelled pixels: landslides thinner than a pixel
            grow pale, they do not vanish.
``mode``    the most frequent valid one: codes of maps.
``sample``  the first pixel that is valid in the first of the rasters; of all rasters the same
            pixel. A label and the probability predicted for it stay together, so that what is seen
            from afar is a sample of single pixels, whatever the threshold.
``clear``   of images the mean of the pixels that are clear: clouds do not brighten what is seen
            from afar. A pixel is clear where any of the four is.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from distributed import Client
from numpy.typing import NDArray

from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Window
from landslide_dist.kernels import reduction as kernel
from landslide_dist.schema import Variable
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.levels import (
    Pyramid,
    Raster,
    Reduction,
    coordinate,
    decoded,
    decoded_dtype,
    dimensions,
    flags_of,
    nodata_of,
)
from landslide_dist.store.location import delete, exists, open_group
from landslide_dist.store.lock import Lock, hold

#: Small chunks for small windows; a shard is made from a usual shard of the level before.
STORAGE = StorageConfig(chunk_px=256, shard_px=1024)
#: Counted up whenever the same source would give other levels.
_VERSION = 1
_RESAMPLING = {"mean": "average", "mode": "mode", "sample": "nearest", "clear": "average"}
_CONVENTION = {
    "uuid": "d35379db-88df-4056-af3a-620245f8e347",
    "name": "multiscales",
    "schema_url": "https://raw.githubusercontent.com/zarr-conventions/multiscales/refs/tags/v1/schema.json",
    "spec_url": "https://github.com/zarr-conventions/multiscales/blob/v1/README.md",
    "description": "Multiscale layout of zarr datasets",
}


def build_pyramid(
    pyramid: Pyramid,
    label: str,
    storage: StorageConfig = STORAGE,
    cluster: Client | None = None,
    threads: int | None = None,
) -> int:
    """Write the levels above 0, or what a killed run has left of them.

    Each level is made from the one before, shard by shard, in bounded memory. What is there
    and belongs to the sources as they are now is left alone; what belongs to others is replaced.

    Args:
        pyramid: What is to be built.
        label: What the progress bar says.
        storage: Chunks and shards.
        cluster: Dask client; None runs threads of this process.
        threads: Threads without a cluster; by default one a core.

    Returns:
        How many shards were written; 0 where all were there.

    Raises:
        StoreError: The source cannot be read, the levels cannot be written, or another run is
            writing them.
    """
    if pyramid.num_levels == 1 or is_fresh(pyramid, storage):
        return 0
    fingerprint = _fingerprint(pyramid, storage)
    with hold(pyramid.location, "view") as lock:
        if _attribute(pyramid, "fingerprint") != fingerprint:
            _create(pyramid, storage, fingerprint)
        shards = sum(
            _build_level(pyramid, level, fingerprint, lock, label, cluster, threads)
            for level in range(1, pyramid.num_levels)
        )
        # Written last: until then no reader takes the levels for whole.
        open_group(pyramid.location, "r+").attrs.update({"complete": True})
    return shards


def is_fresh(pyramid: Pyramid, storage: StorageConfig = STORAGE) -> bool:
    """Whether all levels are there and were made from the sources as they are."""
    complete = bool(_attribute(pyramid, "complete"))
    return complete and _attribute(pyramid, "fingerprint") == _fingerprint(pyramid, storage)


@dataclass(frozen=True)
class ReduceBlock:
    """Reads a window of one level and writes the shard of the next."""

    pyramid: Pyramid
    level: int

    def read(self, window: Window) -> list[NDArray[Any]]:
        """What the window is made from, of each raster."""
        finer = Window(*(2 * number for number in (window.y0, window.x0, *window.shape)))
        finer = finer.clip(self.pyramid.level_grid(self.level - 1).shape)
        arrays = [_array(raster) for raster in self._rasters(self.level - 1)]
        return [decoded(array, cube.read_window(array, finer, 0)) for array in arrays]

    def compute(self, window: Window, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Two by two pixels become one."""
        nodata = [nodata_of(_array(raster)) for raster in self._rasters(self.level - 1)]
        if self.pyramid.reduction == "mean":
            return [kernel.halve_mean(v, n) for v, n in zip(inputs, nodata, strict=True)]
        if self.pyramid.reduction == "mode":
            return [kernel.halve_mode(v, int(n)) for v, n in zip(inputs, nodata, strict=True)]
        if self.pyramid.reduction == "clear":
            return _halve_clear(inputs[0], inputs[1], *nodata)
        valid = inputs[0] != nodata[0] if nodata[0] == nodata[0] else ~np.isnan(inputs[0])
        choice = kernel.first_valid(valid.reshape(-1, *valid.shape[-2:]).any(axis=0))
        return [kernel.pick(v, choice, n) for v, n in zip(inputs, nodata, strict=True)]

    def write(self, window: Window, outputs: list[NDArray[Any]]) -> None:
        """A shard of each raster."""
        for raster, block in zip(self._rasters(self.level), outputs, strict=True):
            array = cube.array(open_group(raster.location, "r+"), raster.variable)
            cube.write_block(array, window, block)

    def _rasters(self, level: int) -> list[Raster]:
        return [self.pyramid.raster(index, level) for index in range(len(self.pyramid.rasters))]


def _halve_clear(
    images: NDArray[Any], clear: NDArray[Any], nodata: float, masked: float
) -> list[NDArray[Any]]:
    """Mean of the clear pixels of each image, ``(time, band, y, x)``; where any is clear."""
    shown = np.where((clear != masked)[:, None], images, images.dtype.type(nodata))
    return [kernel.halve_mean(shown, nodata), kernel.halve_mode(clear, int(masked))]


def _build_level(
    pyramid: Pyramid,
    level: int,
    fingerprint: str,
    lock: Lock,
    label: str,
    cluster: Client | None,
    threads: int | None,
) -> int:
    location = f"{pyramid.location}/{level}"
    ledger = Ledger(pyramid.location, f"level-{level}", fingerprint)
    # The coarse levels are a few shards each: a cluster would only be waited for.
    client = cluster if level == 1 else None
    windows = cube.shard_windows(location)
    task = ReduceBlock(pyramid, level)
    return run_blocks(task, windows, ledger, lock, label, client, threads).blocks


def _create(pyramid: Pyramid, storage: StorageConfig, fingerprint: str) -> None:
    """Empty levels; the attributes that tell them from rubbish come last."""
    delete(pyramid.location)
    variables = [_variable(raster, pyramid.reduction) for raster in pyramid.rasters]
    for level in range(1, pyramid.num_levels):
        cube.create(
            f"{pyramid.location}/{level}", pyramid.level_grid(level), variables, storage,
            {"level": level}, _coordinates(pyramid.rasters[0]),
        )  # fmt: skip
    open_group(pyramid.location, "a").attrs.update(
        {
            "zarr_conventions": [_CONVENTION],
            "multiscales": {
                "layout": [_layout(level) for level in range(1, pyramid.num_levels)],
                "resampling_method": _RESAMPLING[pyramid.reduction],
            },
            # Level 0, of which the scales above are multiples.
            "source": {raster.variable: raster.location for raster in pyramid.rasters},
            "fingerprint": fingerprint,
        }
    )


def _layout(level: int) -> dict[str, Any]:
    entry: dict[str, Any] = {"asset": str(level), "transform": {"scale": [2.0, 2.0]}}
    if level > 1:
        entry["derived_from"] = str(level - 1)
    return entry


def _variable(raster: Raster, reduction: Reduction) -> Variable:
    """The variable of the levels above 0."""
    array = _array(raster)
    leading = dict(zip(dimensions(array)[:-2], array.shape[:-2], strict=True))
    attributes: dict[str, Any] = array.attrs.asdict()
    title = str(attributes.get("long_name", raster.variable))
    units = str(attributes.get("units", "1"))
    flags = flags_of(attributes)
    # A mask of images stays one.
    if reduction == "mean" or (reduction == "clear" and not flags):
        title = f"share of {title}s" if flags else title
        return Variable(raster.variable, "float32", np.nan, units, title, leading)
    dtype = decoded_dtype(array).name
    return Variable(raster.variable, dtype, nodata_of(array), units, title, leading, flags)


def _coordinates(raster: Raster) -> dict[str, Any]:
    """Values of the leading coordinates."""
    group = open_group(raster.location)
    names = dimensions(cube.array(group, raster.variable))[:-2]
    return {name: coordinate(group, name) for name in names if name in group}


def _array(raster: Raster) -> zarr.Array[Any]:
    return cube.array(open_group(raster.location), raster.variable)


def _fingerprint(pyramid: Pyramid, storage: StorageConfig) -> str:
    """Hash of all that the levels depend on; the attributes of a group tell what it was made of."""
    parts = [
        {
            "variable": raster.variable,
            "group": open_group(raster.location).attrs.asdict(),
            "array": _array(raster).attrs.asdict(),
        }
        for raster in pyramid.rasters
    ]
    what = {
        "version": _VERSION, "sources": parts, "reduction": pyramid.reduction,
        "shape": pyramid.grid.shape, "storage": storage.model_dump(mode="json"),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _attribute(pyramid: Pyramid, name: str) -> Any:
    if not exists(pyramid.location):
        return None
    return open_group(pyramid.location).attrs.get(name)
