import json

import pytest

from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Window
from landslide_dist.store.layout import read_cost

SETTINGS = {
    "name": "region",
    "run_dir": "run",
    "cube": {"location": "cube.zarr", "storage": {"chunk_px": 32, "shard_px": 128}},
    "sources": {"synthetic": {"seed": 2, "height": 500, "width": 600}},
}


@pytest.mark.slow
def test_a_plan_names_what_the_stages_then_take(command_line):
    config = command_line.write(SETTINGS)
    printed = command_line("plan", config, "--json", "plan.json")
    assert "ingest" in printed.stdout
    assert "derive" in printed.stdout
    ingest, derive = json.loads((command_line.folder / "plan.json").read_text())
    assert not (command_line.folder / "cube.zarr").exists()
    assert not list(command_line.folder.glob("*.calibration*"))
    command_line("ingest", config)
    stored = num_bytes(command_line.folder / "cube.zarr")
    assert ingest["blocks"] == ingest["tasks"] == 20
    assert ingest["written_bytes"] == pytest.approx(stored, rel=0.25)
    command_line("derive", config)
    derived = num_bytes(command_line.folder / "cube.zarr") - stored
    assert derive["written_bytes"] == pytest.approx(derived, rel=0.25)
    assert derive["read_bytes"] > 0
    for stage in (ingest, derive):
        assert stage["seconds"] > 0
        assert 100e6 < stage["worker_memory_bytes"] < 3e9


@pytest.mark.slow
def test_a_cluster_shares_the_work(command_line):
    config = command_line.write(SETTINGS)
    cluster = command_line.write({"kind": "local", "workers": 10}, "local.yaml")
    command_line("plan", config, "--cluster", cluster, "--json", "plan.json")
    for stage in json.loads((command_line.folder / "plan.json").read_text()):
        assert stage["blocks"] == stage["tasks"] == 20


def num_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("window", "halo_px", "cost"),
    [
        # One whole shard.
        (Window(128, 128, 128, 128), 0, (1, 128**2)),
        # And of the four beside it an index and a row of four chunks, of the corners one chunk.
        (Window(128, 128, 128, 128), 3, (1 + 4 * (1 + 4) + 4 * (1 + 1), 192**2)),
        # Beyond the raster there is nothing to read.
        (Window(0, 0, 128, 128), 3, (1 + 2 * (1 + 4) + 1 * (1 + 1), 160**2)),
        (Window(128, 128, 128, 128), 33, (1 + 4 * (1 + 8) + 4 * (1 + 4), 256**2)),
    ],
)
def test_what_a_block_with_its_halo_costs(window, halo_px, cost):
    storage = StorageConfig(chunk_px=32, shard_px=128)
    assert read_cost(window, halo_px, storage, (1000, 1000)) == cost
