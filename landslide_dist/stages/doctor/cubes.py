"""``doctor``: cubes that are there already: their contract, their state, and who writes them."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from landslide_dist.config import RunConfig
from landslide_dist.config.fingerprint import derive_hash
from landslide_dist.errors import DataError
from landslide_dist.grid import Window
from landslide_dist.stages.doctor.check import Check, guarded, ok, warn
from landslide_dist.stages.doctor.needs import Needs
from landslide_dist.store import cube
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import exists, open_group
from landslide_dist.store.lock import Holder
from landslide_dist.store.lock_file import open_lock_file


def cubes(needs: Needs) -> Iterator[Check]:
    """Every cube of the run."""
    for run in needs.regions.values():
        name = f"cube {run.cube.location}"
        yield from guarded(name, partial(_cube, name, run))


def _cube(name: str, run: RunConfig) -> Iterator[Check]:
    location = run.cube.location
    yield from _lock(name, location)
    if not exists(location):
        yield ok(name, "is not there yet")
        return
    yield _contract(name, location)
    yield _progress(name, run)


def _lock(name: str, location: str) -> Iterator[Check]:
    current = open_lock_file(location).read()
    if current is None:
        return
    holder = Holder.parse(current.content)
    if holder is None or holder.is_gone:
        yield ok(f"{name}, lock", "of a run that has died; the next one takes it over")
        return
    seen = max(0.0, time.time() - holder.seen)
    yield warn(
        f"{name}, lock",
        f"held by `{holder.stage}` on {holder.host} (process {holder.pid}), seen {seen:.0f} s ago",
        "wait for it, or stop it",
    )


def _contract(name: str, location: str) -> Check:
    """Metadata against the schema, and one pixel of each variable decoded."""
    try:
        ds = cube.open_cube(location)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{location!r} has broken metadata ({error}); remove it and ingest again"
        ) from error
    group = open_group(location)
    height, width = ds.sizes["y"], ds.sizes["x"]
    centre = Window(height // 2, width // 2, 1, 1)
    for variable in ds.data_vars:
        if variable != "spatial_ref":
            cube.read_window(cube.array(group, str(variable)), centre, np.nan)
    return ok(name, f"{height} x {width} px, {', '.join(map(str, ds.data_vars))}")


def _progress(name: str, run: RunConfig) -> Check:
    location = run.cube.location
    attributes = open_group(location).attrs
    ingested = str(attributes.get("ingest_hash"))
    total = len(cube.shard_windows(location))
    if not attributes.get("ingested"):
        done = len(Ledger(location, "ingest", ingested).done())
        return warn(
            f"{name}, progress",
            f"ingest has done {done} of {total} blocks",
            "landslide-dist ingest CONFIG goes on",
        )
    if run.task == "chips":
        return ok(f"{name}, progress", "ingested")
    wanted = derive_hash(run, ingested)
    if attributes.get("derive_hash") == wanted and attributes.get("derived"):
        return ok(f"{name}, progress", "ingested and derived")
    done = len(Ledger(location, "derive", wanted).done())
    return warn(
        f"{name}, progress",
        f"ingested; derive has done {done} of {total} blocks",
        "landslide-dist derive CONFIG goes on",
    )
