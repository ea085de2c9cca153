"""What is replaced is not taken for whole when its replacement is cut short."""

from pathlib import Path

import pytest
import zarr

from landslide_dist.config.load import validate
from landslide_dist.stages import split as module
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.store.cube import open_cube
from landslide_dist.store.location import delete, exists, filesystem

SETTINGS = {
    "name": "region",
    "run_dir": "run",
    "cube": {"location": "cube.zarr", "storage": {"chunk_px": 32, "shard_px": 32}},
    "sources": {"synthetic": {"seed": 2, "height": 80, "width": 64}},
}


def cut_after(number):
    """Let so many updates of the metadata through, then end as ``kill -9`` would."""
    real, seen = zarr.consolidate_metadata, iter(range(100))

    def consolidate(store):
        if next(seen) == number:
            raise KeyboardInterrupt
        return real(store)

    return consolidate


@pytest.mark.parametrize("number", [0, 1])
def test_slopes_that_were_emptied_are_made_again(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    config = validate(SETTINGS, "test")
    ingest(config)
    derive(config)
    whole = open_cube("cube.zarr").load()
    cube = config.cube.model_copy(update={"looking_distances_m": (20.0,)})
    other = config.model_copy(update={"cube": cube})
    with monkeypatch.context() as patched:
        patched.setattr(zarr, "consolidate_metadata", cut_after(number))
        with pytest.raises(KeyboardInterrupt):
            derive(other)
    derive(config)
    again = open_cube("cube.zarr").load()
    assert again.equals(whole)


def test_a_store_that_is_half_removed_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ingest(validate(SETTINGS, "test"))
    fs, path = filesystem("cube.zarr")
    real = type(fs).rm

    def cut(self, victim, **options):
        if victim == path:
            raise KeyboardInterrupt
        real(self, victim, **options)

    monkeypatch.setattr(type(fs), "rm", cut)
    with pytest.raises(KeyboardInterrupt):
        delete("cube.zarr")
    assert not exists("cube.zarr")


def test_a_split_that_another_process_has_finished_stays(tmp_path, monkeypatch):
    """Two begin it; the first may be training on it when the second has planned its own."""
    monkeypatch.chdir(tmp_path)
    config = validate(SETTINGS | {"patches": {"core_px": 16}}, "test")
    ingest(config)
    derive(config)
    context, plan = RunContext(config), module.plan_split
    done = {}

    def overtaken(*arguments):
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        done["lines"] = module.write_split(context)
        done["files"] = times(context.split_location)
        return plan(*arguments)

    monkeypatch.setattr(module, "plan_split", overtaken)
    assert module.write_split(context) == done["lines"]
    assert times(context.split_location) == done["files"]


def times(location):
    return {path: path.stat().st_mtime_ns for path in Path(location).rglob("*")}
