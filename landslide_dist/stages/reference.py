"""What images are matched to: values counted in pictures, in cubes, or in training parts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import xarray as xr

from landslide_dist.config import RunConfig
from landslide_dist.config.fingerprint import match_hash
from landslide_dist.config.matching import ChipsReference, CubesReference, TableReference
from landslide_dist.config.run import config_hash
from landslide_dist.errors import DataError, StoreError
from landslide_dist.features.match import count
from landslide_dist.features.reference import Reference
from landslide_dist.patches.pair import ROLES
from landslide_dist.progress import console
from landslide_dist.sources.chips import chip_counts, pictures
from landslide_dist.sources.files import describe
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.split import is_complete, split_hash, write_split
from landslide_dist.store import cube
from landslide_dist.store.location import open_group
from landslide_dist.whole_file import write_whole


def matched_hash(config: RunConfig) -> str:
    """Fingerprint of the matched images of a cube, from the images and the reference as they are.

    Raises:
        DataError: The reference cannot be read.
        StoreError: A reference cube is not whole.
    """
    ingested = str(open_group(config.cube.location).attrs["ingest_hash"])
    return match_hash(config, ingested, _fingerprint(config))


def references_of(config: RunConfig) -> dict[str, Reference]:
    """The reference of each role; saved beside the run's results unless it is a file already.

    Raises:
        DataError: Files or cubes cannot be read, or hold no images.
        StoreError: A cube is not whole.
        ConfigError: The run's own training part is the reference, and cannot be divided off.
    """
    assert config.cube.matching is not None
    source = config.cube.matching.reference
    if isinstance(source, TableReference):
        return _of_tables(source.path)
    if isinstance(source, ChipsReference):
        chips = Reference.from_counts(chip_counts(source.folder, source.bands))
        references = dict.fromkeys(ROLES, chips)
    elif isinstance(source, CubesReference):
        references = _pooled(map(_of_images, source.locations))
    else:
        references = _pooled([_of_training(_divided(config))])
    _save(references, f"{config.run_dir}/reference_{{role}}.json")
    return references


def write_training_reference(runs: Sequence[RunConfig], path: str) -> None:
    """Count the training parts of several events together; what is there is not counted again.

    Args:
        runs: Of events with slope.
        path: JSON files to write; ``{role}`` in it stands for pre and post.
    """
    contexts = [_divided(run) for run in runs]
    key = config_hash({"splits": [split_hash(context) for context in contexts]})
    kept = Path(path.replace("{role}", "of"))
    if kept.exists() and json.loads(kept.read_text()) == {"splits": key}:
        return
    console.print("match: counting the values of the training parts")
    _save(_pooled(map(_of_training, contexts)), path)
    # Written last: until then the tables are not taken for these splits'.
    write_whole(kept, json.dumps({"splits": key}))


def unmatched(config: RunConfig) -> RunConfig:
    """The run with its images as they are."""
    cube_config = config.cube.model_copy(update={"matching": None})
    return config.model_copy(update={"cube": cube_config})


def _fingerprint(config: RunConfig) -> str:
    """What a reference is made of, as it is now."""
    assert config.cube.matching is not None
    source = config.cube.matching.reference
    if isinstance(source, TableReference):
        tables = _of_tables(source.path)
        return config_hash({role: table.digest for role, table in tables.items()})
    if isinstance(source, ChipsReference):
        return config_hash({"files": [describe(str(path)) for path in pictures(source.folder)]})
    if isinstance(source, CubesReference):
        return config_hash({"ingested": [_ingested(location) for location in source.locations]})
    return split_hash(RunContext(unmatched(config)))


def _ingested(location: str) -> str:
    """Fingerprint of a reference cube; one that is still being filled has it as well."""
    attributes = open_group(location).attrs
    if not attributes.get("ingested") or "ingest_hash" not in attributes:
        raise StoreError(f"reference cube {location!r} is not whole yet: run ingest")
    return str(attributes["ingest_hash"])


def _divided(config: RunConfig) -> RunContext:
    """The run of unmatched images, its labels divided: the split does not look at images."""
    context = RunContext(unmatched(config))
    if not is_complete(context):
        write_split(context)
    return context


def _of_tables(path: str) -> dict[str, Reference]:
    return {role: Reference.from_json(path.replace("{role}", role)) for role in ROLES}


#: Counts of each image with its role.
Counted = Iterable[tuple[str, Reference]]


def _of_images(location: str) -> Counted:
    """Counts of all valid pixels of a cube."""
    _ingested(location)
    ds = cube.open_cube(location)
    if "reflectance" not in ds:
        raise DataError(f"reference cube {location!r} has no images")
    return _count(ds, ds["valid"])


def _of_training(context: RunContext) -> Counted:
    """Counts of the valid pixels of a cube that are labelled to train."""
    ds = cube.open_cube(context.config.cube.location)
    parts = cube.open_cube(context.split_location)["split"]
    trains = parts.isin(sorted(context.config.split.parts()["train"]))
    return _count(ds, (ds["valid"] == 1) & trains)


def _count(ds: xr.Dataset, valid: xr.DataArray) -> Counted:
    counts = count(ds["reflectance"], valid).compute()
    for time, role in enumerate(ds["role"].values):
        # An image that is clouded wherever it is counted has nothing to add.
        if counts[time].any():
            yield str(role), Reference.from_counts(counts[time])


def _pooled(counted: Iterable[Counted]) -> dict[str, Reference]:
    """One reference a role, of all images that have it."""
    pooled: dict[str, list[Reference]] = {}
    for role, reference in chain.from_iterable(counted):
        pooled.setdefault(role, []).append(reference)
    return {role: Reference.pool(references) for role, references in pooled.items()}


def _save(references: Mapping[str, Reference], path: str) -> None:
    for role, reference in references.items():
        reference.to_json(path.replace("{role}", role))
