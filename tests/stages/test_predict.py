"""Maps through the real command line: by one process, a Dask cluster, and several processes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

from landslide_dist.models import checkpoint

PREDICTIONS = Path("runs/smoke/predictions")


def content(root):
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root): path.read_bytes() for path in files}


@pytest.fixture
def trained(command_line, smoke):
    """A run whose LLR and U-Nets are trained; one thread of torch everywhere."""
    command_line.environment["OMP_NUM_THREADS"] = "1"
    kept = ("llr", "cnn", "lacnn")
    smoke["models"] = {name: smoke["models"][name] for name in kept}
    smoke["models"]["other"] = {**smoke["models"]["llr"], "seed": 5, "learning_rate": 0.02}
    smoke["predict"] |= {"ensembles": {"both": ["cnn", "llr", "other"]}, "calibrated": True}
    path = command_line.write(smoke)
    for stage in ("ingest", "derive", "split", "train"):
        command_line(stage, path)
    return path


@pytest.mark.slow
def test_maps_of_one_process_a_cluster_and_several_processes_are_the_same(trained, command_line):
    folder = command_line.folder
    said = command_line("predict", trained)
    assert "writing" in said.stdout + said.stderr
    alone = {name: content(folder / PREDICTIONS / f"{name}.zarr") for name in ("lacnn", "both")}
    assert len(alone["lacnn"]) > 9
    (folder / PREDICTIONS).rename(folder / "alone")

    cluster = folder / "cluster.yaml"
    cluster.write_text("kind: local\nworkers: 2\nthreads_per_worker: 1\n")
    command_line("predict", trained, "--cluster", str(cluster))
    for name, files in alone.items():
        assert content(folder / PREDICTIONS / f"{name}.zarr") == files
    (folder / PREDICTIONS).rename(folder / "cluster")

    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    program = Path(sys.executable).with_name("landslide-dist")
    subprocess.run(
        [sys.executable, *launch, "--no-python", str(program), "predict", trained],
        cwd=folder,
        env=command_line.environment,
        check=True,
        capture_output=True,
        timeout=200,
    )
    for name, files in alone.items():
        assert content(folder / PREDICTIONS / f"{name}.zarr") == files
    assert (folder / PREDICTIONS / "both.tif").exists()


@pytest.mark.slow
def test_ensembles_calibration_and_their_files(trained, command_line):
    folder = command_line.folder
    command_line("predict", trained)
    maps = {}
    for name in ("cnn", "llr", "other", "both"):
        with xr.open_zarr(folder / PREDICTIONS / f"{name}.zarr") as dataset:
            maps[name] = {key: array.to_numpy() for key, array in dataset.data_vars.items()}
    members = [maps[name]["probability"] for name in ("cnn", "llr", "other")]
    assert "probability_std" not in maps["cnn"]
    np.testing.assert_allclose(maps["both"]["probability"], np.mean(members, axis=0), atol=1e-6)
    np.testing.assert_allclose(maps["both"]["probability_std"], np.std(members, axis=0), atol=1e-6)

    path = folder / "runs/smoke/models/cnn"
    found = json.loads((path / "calibration.json").read_text())
    assert found["after"]["nll"] <= found["before"]["nll"]
    assert found["temperature"] != 1
    metadata = checkpoint.load(path / "best.ckpt")[1]
    assert metadata["calibration"]["temperature"] == found["temperature"]
    with rasterio.open(folder / PREDICTIONS / "both.tif") as file:
        fingerprint = file.tags()["fingerprint"]

    again = command_line("predict", trained)
    assert "both is up to date" in again.stdout + again.stderr
    command_line("predict", trained, "--set", "predict.calibrated=false")
    with rasterio.open(folder / PREDICTIONS / "both.tif") as file:
        assert file.tags()["fingerprint"] != fingerprint
    with xr.open_zarr(folder / PREDICTIONS / "cnn.zarr") as dataset:
        plain = dataset.probability.to_numpy().astype(np.float64)
    logits = (np.log(plain) - np.log1p(-plain)) / found["temperature"]
    np.testing.assert_allclose(maps["cnn"]["probability"], 1 / (1 + np.exp(-logits)), atol=1e-6)
    # These maps are not those of the run any more.
    assert "run predict" in command_line("evaluate", trained, status=2).stderr
    command_line("predict", trained)
    command_line("evaluate", trained)
    scores = json.loads((folder / "runs/smoke/metrics.json").read_text())
    assert {"cnn", "both"} <= set(scores["models"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ensembles": {"two": ["llr", "lost"]}}, "'lost' is neither a model of the run"),
        ({"ensembles": {"llr": ["llr", "a/b.ckpt"]}}, "predict.ensembles.llr has the name of"),
        ({"ensembles": {"two": ["llr"]}}, "needs two or more different members"),
        ({"class_bounds": [0.5, 0.1]}, "are not ascending probabilities"),
    ],
)
def test_settings_that_make_no_map_are_refused(command_line, smoke, settings, message):
    smoke["predict"] = settings
    done = command_line("predict", command_line.write(smoke), status=2)
    assert message in done.stderr
