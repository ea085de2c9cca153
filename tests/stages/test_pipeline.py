"""All stages through the real command line."""

import json
import re

import numpy as np
import pytest
import rasterio
import s3fs
import xarray as xr
from rio_cogeo import cog_validate

#: One of each family; `tests/stages/test_demo.py` has all of the paper.
MODELS = ["naive", "llr", "lann", "lacnn"]


def test_all_stages_then_nothing_left_to_do(command_line, smoke):
    smoke["models"] = {name: smoke["models"][name] for name in MODELS}
    run = command_line.write(smoke)
    command_line("run", run)
    folder = command_line.folder / "runs" / "smoke"

    scores = json.loads((folder / "metrics.json").read_text())
    assert set(MODELS) <= set(scores["models"])
    for name in MODELS:
        assert 0 < scores["models"][name]["test"]["nll"] < 5
        assert cog_validate(folder / "predictions" / f"{name}.tif", strict=True)[0]
    assert (folder / "report.html").stat().st_size > 10_000

    with rasterio.open(folder / "predictions" / "lacnn.tif") as tif:
        published = tif.read(1)
    stored = xr.open_zarr(folder / "predictions" / "lacnn.zarr").probability.to_numpy()
    np.testing.assert_array_equal(published, stored)

    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.ckpt")}
    before |= {p: p.stat().st_mtime_ns for p in folder.rglob("zarr.json")}
    again = command_line("run", run)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert re.search("up to date", again.stderr)

    other = ("--set", "models.llr.learning_rate=0.06")
    assert "run train and predict" in command_line("evaluate", run, *other, status=2).stderr
    assert "other settings" in command_line("predict", run, *other, status=2).stderr


@pytest.mark.slow
def test_stages_one_by_one_refuse_to_run_before_their_input(command_line, smoke):
    run = command_line.write(smoke)
    for stage, message in [
        ("derive", "there is no store at"),
        ("split", "there is no store at"),
    ]:
        failed = command_line(stage, run, status=2)
        assert message in failed.stderr
        assert "Traceback" not in failed.stderr
    command_line("ingest", run)
    assert "run derive" in command_line("train", run, status=2).stderr
    command_line("derive", run)
    assert "run split" in command_line("train", run, status=2).stderr
    command_line("split", run, "--audit")
    assert "run train" in command_line("predict", run, status=2).stderr


@pytest.mark.slow
def test_block_split_and_its_audit(command_line, smoke):
    smoke["split"] = {"kind": "block", "block_px": 64, "buffer_px": 0}
    smoke["models"] = {"llr": smoke["models"]["llr"]}
    run = command_line.write(smoke)
    command_line("ingest", run)
    command_line("derive", run)
    assert "test" in command_line("split", run, "--audit").stdout
    smoke["models"] = {"cnn": {"kind": "cnn", "widths": [4, 8], "epochs": 1}}
    run = command_line.write(smoke)
    assert "raise split.buffer_px" in command_line("train", run, status=2).stderr


@pytest.mark.slow
def test_worker_processes_make_the_same_bytes_as_threads(command_line, smoke):
    (command_line.folder / "local.yaml").write_text("{kind: local, workers: 2, memory_gib: 2}")
    contents = []
    for name, options in (("threads", ()), ("workers", ("--cluster", "local.yaml"))):
        smoke["cube"]["location"] = f"{name}/cube.zarr"
        run = command_line.write(smoke)
        command_line("ingest", run, *options)
        command_line("derive", run, *options)
        root = command_line.folder / name / "cube.zarr"
        contents.append(
            {p.relative_to(root): p.read_bytes() for p in root.rglob("*") if p.is_file()}
        )
    assert contents[0] == contents[1]


def test_print_config_and_overrides(command_line, smoke):
    run = command_line.write(smoke)
    shown = command_line("train", run, "--set", "split.seed=9", "--print-config")
    assert "  seed: 9" in shown.stdout
    assert not (command_line.folder / "runs").exists()


def test_a_cube_of_other_settings_is_not_overwritten(command_line, smoke):
    run = command_line.write(smoke)
    command_line("ingest", run)
    other = ("--set", "sources.synthetic.seed=2")
    assert "--overwrite" in command_line("ingest", run, *other, status=2).stderr
    command_line("ingest", run, *other, "--overwrite")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("split.kind=nonsense", "split.kind"),
        ("cube.looking_distances_m=[4]", "looking distance"),
        ("cube.location=ftp://host/x", "scheme 'ftp'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(command_line, smoke, settings, message):
    run = command_line.write(smoke)
    failed = command_line("run", run, "--set", settings, status=2)
    lines = failed.stderr.strip().splitlines()
    assert message in lines[-1]
    assert not (command_line.folder / "runs" / "smoke" / "metrics.json").exists()


@pytest.mark.s3
def test_all_stages_with_the_cube_on_s3(command_line, smoke, s3_server):
    command_line.environment |= s3_server.environment(s3_server.admin)
    smoke["cube"]["location"] = f"s3://{s3_server.bucket}/smoke/cube.zarr"
    smoke["models"] = {"llr": smoke["models"]["llr"]}
    run = command_line.write(smoke)
    said = [command_line("--log", "json", "run", run), command_line("doctor", run)]
    on_s3 = json.loads((command_line.folder / "runs/smoke/metrics.json").read_text())
    smoke["cube"]["location"] = "local/cube.zarr"
    smoke["run_dir"] = "runs/local"
    command_line("run", command_line.write(smoke))
    local = json.loads((command_line.folder / "runs/local/metrics.json").read_text())
    assert on_s3["models"]["llr"]["test"] == local["models"]["llr"]["test"]
    objects = s3fs.S3FileSystem(
        key=s3_server.admin[0], secret=s3_server.admin[1],
        client_kwargs={"endpoint_url": s3_server.endpoint},
    )  # fmt: skip
    written = [path.read_bytes() for path in command_line.folder.rglob("*") if path.is_file()]
    written += [objects.cat_file(path) for path in objects.find(f"{s3_server.bucket}/smoke")]
    assert len(written) > 20
    for text in [*written, *(f"{each.stdout}{each.stderr}".encode() for each in said)]:
        assert all(secret.encode() not in text for secret in s3_server.admin)
