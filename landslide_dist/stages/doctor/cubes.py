"""``doctor``: cubes that are there already: their contract, their state, and who writes them."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np

from landslide_dist.config import RunConfig
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.fingerprint import derive_hash
from landslide_dist.config.load import AnyConfig
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.grid import Window
from landslide_dist.stages.doctor.check import Check, fail, guarded, ok, one_line, refused, warn
from landslide_dist.stages.doctor.needs import Needs
from landslide_dist.stages.ingest import IngestBlock, fingerprint_of
from landslide_dist.store import cube
from landslide_dist.store.ledger import Ledger
from landslide_dist.store.location import exists, open_group
from landslide_dist.store.lock import Holder
from landslide_dist.store.lock_file import open_lock_file

#: What to do about a cube that ingest refuses to go on with.
_REPLACE: dict[type[AnyConfig], str] = {
    RunConfig: "landslide-dist ingest CONFIG --overwrite replaces it; or give another "
    "cube.location",
    ChipsConfig: "landslide-dist run CONFIG --overwrite replaces it; or give another scenes_dir",
    EventsConfig: "remove it; or give another run_dir",
}


def cubes(needs: Needs) -> Iterator[Check]:
    """Every cube of the run."""
    for run in needs.regions.values():
        name = f"cube {run.cube.location}"
        yield from guarded(name, partial(_cube, name, run, _REPLACE[type(needs.config)]))


def _cube(name: str, run: RunConfig, replace: str) -> Iterator[Check]:
    location = run.cube.location
    yield from _lock(name, location)
    if not exists(location):
        yield ok(name, "is not there yet")
        return
    yield _contract(name, location)
    others = _of_others(f"{name}, inputs", run, replace)
    if others is not None:
        yield others
    # How far a cube has come that will be refused does not matter.
    if others is None or others.status != "fail":
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


def _of_others(name: str, run: RunConfig, replace: str) -> Check | None:
    """Whether ingest refuses the cube, half made or whole; None where it does not.

    Opens every input as ingest does; reads no rasters but cloud masks of images.
    """
    try:
        _, fingerprint = fingerprint_of(run, IngestBlock.of(run, run.cube.location))
    except ConfigError as error:
        return refused(name, error)
    except (DataError, StoreError) as error:
        return warn(
            name,
            f"cannot tell whether it was ingested from these inputs: {one_line(error)}",
            "only ingest needs them; to look again, mend the inputs that are named above",
        )
    if open_group(run.cube.location).attrs.get("ingest_hash") == fingerprint:
        return None
    return fail(name, "it was ingested from other inputs or settings", replace)


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
