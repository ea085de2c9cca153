"""Part of ``derive``: images of the cube matched to a reference, as the variable ``matched``.

Two passes: the values of every whole acquisition are counted, block by block; then each block is
looked up in its tables.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from distributed import Client
from numpy.typing import NDArray

from landslide_dist import schema
from landslide_dist.config import RunConfig
from landslide_dist.config.run import config_hash
from landslide_dist.errors import DataError
from landslide_dist.features.match import count
from landslide_dist.features.reference import Reference
from landslide_dist.grid import Window
from landslide_dist.kernels.histogram import apply_table, matching_table
from landslide_dist.progress import console
from landslide_dist.schema import Variable
from landslide_dist.stages.reference import matched_hash, references_of
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import Lock


@dataclass(frozen=True)
class MatchBlock:
    """Looks one block of the images up in the tables of their acquisitions.

    Attributes:
        location: The cube.
        tables: ``(time, band, 65536)`` float64.
        output: The variable it fills.
    """

    location: str
    tables: NDArray[np.float64]
    output: Variable

    def read(self, window: Window) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Reflectance ``(time, band, y, x)`` and where it is clear ``(time, y, x)``."""
        group = open_group(self.location)
        reflectance = cube.read_window(cube.array(group, "reflectance"), window, 0)
        return reflectance, cube.read_window(cube.array(group, "valid"), window, 0)

    def compute(
        self, window: Window, images: tuple[NDArray[np.uint16], NDArray[np.uint8]]
    ) -> NDArray[Any]:
        """Matched values, nodata where an image is not clear."""
        reflectance, valid = images
        dtype, nodata = np.dtype(self.output.dtype), self.output.nodata
        out = np.empty(reflectance.shape, dtype)
        for time, band in np.ndindex(reflectance.shape[:2]):
            out[time, band] = apply_table(
                reflectance[time, band], self.tables[time, band], valid[time], dtype, nodata
            )
        return out

    def write(self, window: Window, matched: NDArray[Any]) -> None:
        """The shard of ``matched``."""
        array = cube.array(open_group(self.location, "r+"), self.output.name)
        cube.write_block(array, window, matched)


def match(config: RunConfig, lock: Lock, client: Client | None) -> None:
    """Add ``matched`` to the cube of a run that asks for it; a finished one is left alone.

    Raises:
        DataError: The cube has no images, a reference lacks a band, or an image or a reference has
            no valid pixel.
    """
    matching = config.cube.matching
    if matching is None:
        return
    location = config.cube.location
    attributes = open_group(location).attrs
    fingerprint = matched_hash(config)
    if attributes.get("matched") == fingerprint:
        return
    ds = cube.open_cube(location)
    if "reflectance" not in ds:
        raise DataError(
            f"cube {location!r} has no images to match: give sources.reflectance, or no "
            "cube.matching"
        )
    console.print("derive: images matched to the reference, first pass: counting values")
    references = references_of(config)
    output = schema.matched(ds.sizes["time"], ds.sizes["band"], matching.dtype)
    task = MatchBlock(location, _tables(ds, references), output)
    ledger = Ledger(location, "match", fingerprint)
    if attributes.get("match_begun") != fingerprint:
        ledger.clear()
        # Said before the array is emptied: whatever ends this, nobody takes it for whole.
        undone = {"match_begun": None, "matched": None}
        cube.add_variables(location, [], config.cube.storage, attrs=undone)
        begun = {"match_begun": fingerprint, "matching": config_hash(matching), "matched": None}
        cube.add_variables(location, [output], config.cube.storage, attrs=begun)
    steps = run_blocks(task, cube.shard_windows(location), ledger, lock, "match", client)
    # Written last: until then nobody takes the images for matched.
    cube.add_variables(location, [], config.cube.storage, attrs={"matched": fingerprint})
    console.print(f"match: {steps}")


def _tables(ds: xr.Dataset, references: dict[str, Reference]) -> NDArray[np.float64]:
    """``(time, band, value)`` of every acquisition as a whole."""
    counts = count(ds["reflectance"], ds["valid"]).compute().to_numpy()
    tables = np.empty(counts.shape, np.float64)
    bands = [str(band) for band in ds["band"].to_numpy()]
    for time, (role, day) in enumerate(zip(ds["role"].values, ds["time"].values, strict=True)):
        if str(role) not in references:
            raise DataError(f"the reference has no {role} image to match that of {day} to")
        wanted = references[str(role)].rows(bands)
        for band, name in enumerate(bands):
            if not counts[time, band].any():
                raise DataError(f"the {role} image of {day} has no valid pixel in band {name!r}")
            tables[time, band] = matching_table(counts[time, band], wanted[band])
    return tables
