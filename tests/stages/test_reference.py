"""Images are matched to what trains, not to what validates or tests, nor to what it once was."""

import json
from pathlib import Path

import numpy as np
import pytest

from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import validate
from landslide_dist.errors import DataError, StoreError
from landslide_dist.features.reference import Reference
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.events.experiment import prepare
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.reference import references_of
from landslide_dist.stages.split import split
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

COMMON = {
    "cube": {"storage": {"chunk_px": 64, "shard_px": 64}},
    "sources": {
        "synthetic": {
            "height": 128,
            "width": 192,
            "base_rate": 0.08,
            "event": {"num_pairs": 2, "cloud": 0.1},
        }
    },
    "split": {"kind": "block", "block_px": 32, "fractions": [0.5, 0.25, 0.25]},
    "patches": {"core_px": 32, "context_px": 0},
    "models": {"ndvi": {"kind": "ndvi_difference"}},
}


def tree(folder, matching, seed=3):
    return COMMON | {
        "name": "event",
        "task": "event_mapping",
        "run_dir": f"{folder}/run",
        "cube": COMMON["cube"] | {"location": f"{folder}/cube.zarr", "matching": matching},
        "sources": {"synthetic": COMMON["sources"]["synthetic"] | {"seed": seed}},
        "models": {"resunet": {"kind": "resunet", "widths": [4]}},
    }


def counted_by_hand(config, role):
    """Values of red in the images of a role, over the clear pixels that are labelled to train."""
    group = open_group(config.cube.location)
    images, valid = (cube.array(group, name)[:] for name in ("reflectance", "valid"))
    parts = cube.array(open_group(RunContext(config).split_location), "split")[:]
    ds = cube.open_cube(config.cube.location)
    times = np.flatnonzero(ds["role"].to_numpy() == role)
    red = ds["band"].to_numpy().tolist().index("red")
    pixels = [images[t, red][(parts == 0) & (valid[t] == 1)] for t in times]
    assert len(pixels) == 2
    return np.bincount(np.concatenate(pixels), minlength=65536)


def saved(config, role):
    return Path(config.run_dir, f"reference_{role}.json").read_text()


@pytest.fixture(scope="module")
def matched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("matched")
    config = validate(tree(folder, {"reference": {"kind": "training"}}), "test")
    ingest(config)
    derive(config)
    return config


def test_images_that_another_run_has_matched_otherwise_are_refused(matched):
    assert RunContext(matched).derive_hash
    matching = matched.cube.matching.model_copy(update={"dtype": "float32"})
    other = matched.cube.model_copy(update={"matching": matching})
    with pytest.raises(
        StoreError, match="matched by other settings than cube.matching: run derive"
    ):
        _ = RunContext(matched.model_copy(update={"cube": other})).derive_hash


def test_the_reference_is_what_trains_and_nothing_else(matched):
    for role in ("pre", "post"):
        reference = Reference.from_json(f"{matched.run_dir}/reference_{role}.json")
        np.testing.assert_array_equal(reference.counts["red"], counted_by_hand(matched, role))


def test_another_division_is_another_reference(matched, capsys):
    attributes = open_group(matched.cube.location).attrs
    before = attributes["matched"]
    derive(matched)
    assert open_group(matched.cube.location).attrs["matched"] == before
    other = matched.model_copy(
        update={"split": matched.split.model_copy(update={"seed": matched.split.seed + 1})}
    )
    derive(other)
    assert open_group(other.cube.location).attrs["matched"] != before
    reference = Reference.from_json(f"{other.run_dir}/reference_pre.json")
    np.testing.assert_array_equal(reference.counts["red"], counted_by_hand(other, "pre"))
    # Slope is no part of it.
    assert "derive: slope" not in capsys.readouterr().err


def test_a_table_that_has_changed_is_matched_to_anew(matched, tmp_path):
    table = tmp_path / "reference.json"
    content = json.loads(saved(matched, "pre"))
    table.write_text(json.dumps(content))
    reference = {"reference": {"kind": "table", "path": str(table)}}
    config = validate(tree(tmp_path, reference, seed=4), "test")
    ingest(config)
    derive(config)
    bands = cube.array(open_group(config.cube.location), "matched")[:]
    for band in content["bands"].values():
        band["values"] = [min(65535, value + 100) for value in band["values"]]
    table.write_text(json.dumps(content))
    derive(config)
    changed = cube.array(open_group(config.cube.location), "matched")[:]
    np.testing.assert_array_equal(changed[changed > 0], bands[bands > 0] + 100)


def test_a_role_that_the_reference_lacks_is_named(matched, tmp_path):
    (tmp_path / "reference_pre.json").write_text(saved(matched, "pre"))
    reference = {"reference": {"kind": "table", "path": f"{tmp_path}/reference_{{role}}.json"}}
    config = validate(tree(tmp_path, reference, seed=4), "test")
    ingest(config)
    with pytest.raises(DataError, match="reference_post.json' cannot be read"):
        derive(config)


def test_a_reference_cube_is_whole(matched, tmp_path):
    reference = {"kind": "cubes", "locations": [matched.cube.location]}
    config = validate(tree(tmp_path, {"reference": reference}, seed=4), "test")
    ingest(config)
    attributes = open_group(matched.cube.location, "r+").attrs
    for name in ("ingested", "ingest_hash"):
        kept = attributes[name]
        del attributes[name]
        with pytest.raises(StoreError, match=r"reference cube '.*' is not whole yet: run ingest"):
            derive(config)
        with pytest.raises(StoreError, match="is not whole yet"):
            references_of(config)
        attributes[name] = kept
    derive(config)
    assert "matched" in open_group(config.cube.location).attrs


def test_events_share_the_training_parts_of_those_that_train(tmp_path):
    config = EventsConfig.model_validate(
        {
            "name": "events",
            "run_dir": str(tmp_path),
            "common": COMMON | {"models": {"resunet": {"kind": "resunet", "widths": [4]}}},
            "events": {
                "A": {"sources": {"synthetic": {"seed": 3}}},
                "B": {"sources": {"synthetic": {"seed": 4}}},
            },
            "unseen": ["B"],
            "experiments": ["single"],
        }
    )
    assert prepare(config) == {}
    trained, unseen = (config.run(event, 10) for event in "AB")
    reference = Reference.from_json(config.reference(10).format(role="post"))
    np.testing.assert_array_equal(reference.counts["red"], counted_by_hand(trained, "post"))
    for run in (trained, unseen):
        assert "matched" in open_group(run.cube.location).attrs
        split(run)
    # What is there is not counted again.
    kept = tmp_path / "events" / "reference_10m_post.json"
    written = kept.stat().st_mtime_ns
    prepare(config)
    assert kept.stat().st_mtime_ns == written
