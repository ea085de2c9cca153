"""Part of ``derive``: images of the cube matched to a reference, as the variable ``matched``.

Two passes: the values of every whole acquisition are counted, block by block; then each block is
looked up in its tables.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from distributed import Client
from numpy.typing import NDArray

from landslide_dist import schema
from landslide_dist.config import RunConfig
from landslide_dist.config.fingerprint import match_hash
from landslide_dist.config.matching import ChipsReference, CubesReference, TableReference
from landslide_dist.errors import DataError
from landslide_dist.features.match import count
from landslide_dist.features.reference import Reference
from landslide_dist.grid import Window
from landslide_dist.kernels.histogram import apply_table, matching_table
from landslide_dist.progress import console
from landslide_dist.schema import Variable
from landslide_dist.sources.chips import chip_counts
from landslide_dist.store import cube
from landslide_dist.store.blocks import run_blocks
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import Lock

ROLES = ("pre", "post")


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
    fingerprint = match_hash(config, str(attributes["ingest_hash"]))
    if attributes.get("matched") == fingerprint:
        return
    ds = cube.open_cube(location)
    if "reflectance" not in ds:
        raise DataError(
            f"cube {location!r} has no images to match: give sources.reflectance, or no "
            "cube.matching"
        )
    console.print("derive: images matched to the reference, first pass: counting values")
    references = _references(config)
    output = schema.matched(ds.sizes["time"], ds.sizes["band"], matching.dtype)
    task = MatchBlock(location, _tables(ds, references), output)
    ledger = Ledger(location, "match", fingerprint)
    if attributes.get("match_begun") != fingerprint:
        ledger.clear()
        begun = {"match_begun": fingerprint, "matched": None}
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
        wanted = references[str(role)].rows(bands)
        for band, name in enumerate(bands):
            if not counts[time, band].any():
                raise DataError(f"the {role} image of {day} has no valid pixel in band {name!r}")
            tables[time, band] = matching_table(counts[time, band], wanted[band])
    return tables


def _references(config: RunConfig) -> dict[str, Reference]:
    """The reference of each role; saved beside the run's results unless it is a file already."""
    assert config.cube.matching is not None
    source = config.cube.matching.reference
    if isinstance(source, TableReference):
        paths = {role: source.path.replace("{role}", role) for role in ROLES}
        return {role: Reference.from_json(path) for role, path in paths.items()}
    if isinstance(source, ChipsReference):
        chips = Reference.from_counts(chip_counts(source.folder, source.bands))
        references = dict.fromkeys(ROLES, chips)
    else:
        references = _of_cubes(source)
    folder = Path(config.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for role, reference in references.items():
        reference.to_json(folder / f"reference_{role}.json")
    return references


def _of_cubes(source: CubesReference) -> dict[str, Reference]:
    pooled: dict[str, list[Reference]] = {role: [] for role in ROLES}
    for location in source.locations:
        ds = cube.open_cube(location)
        if "reflectance" not in ds:
            raise DataError(f"reference cube {location!r} has no images")
        counts = count(ds["reflectance"], ds["valid"]).compute()
        for time, role in enumerate(ds["role"].values):
            pooled[str(role)].append(Reference.from_counts(counts.isel(time=time)))
    return {role: Reference.pool(references) for role, references in pooled.items() if references}
