"""Stages survive kill -9 of any of their processes, a full disk and a second run."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import psutil
import pytest

from landslide_dist.store.location import open_group
from landslide_dist.store.lock import hold

from .conftest import CommandLine

pytestmark = pytest.mark.slow

REGION = {"seed": 2, "height": 416, "width": 384}
STORAGE = {"chunk_px": 32, "shard_px": 32}
#: Dask's profiler can hang its workers on Python 3.11 (cpython#106883).
QUIET = {**os.environ, "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False"}
LOCAL = {"kind": "local", "workers": 2, "memory_gib": 2}


@pytest.fixture(scope="module")
def settings():
    return {
        "name": "region",
        "run_dir": "run",
        "cube": {"location": "cube.zarr", "storage": STORAGE},
        "sources": {"synthetic": REGION},
    }


@pytest.fixture(scope="module")
def made(settings, tmp_path_factory):
    """A folder with an ingested cube, and the bytes of its files after an undisturbed derive."""
    folder, done = tmp_path_factory.mktemp("ingested"), tmp_path_factory.mktemp("done") / "all"
    command_line = CommandLine(folder, dict(os.environ))
    command_line("ingest", command_line.write(settings))
    shutil.copytree(folder, done)
    CommandLine(done, dict(os.environ))("derive", "run.yaml")
    return folder, contents(done / "cube.zarr")


@pytest.fixture
def undisturbed(made):
    return made[1]


@pytest.fixture
def begun(command_line, made):
    """A configuration whose cube is ingested."""
    shutil.copytree(made[0], command_line.folder, dirs_exist_ok=True)
    return "run.yaml"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def start(command_line, *arguments):
    with (command_line.folder / "log").open("w") as log:
        return subprocess.Popen(
            [Path(sys.executable).with_name("landslide-dist"), *arguments],
            cwd=command_line.folder,
            env=command_line.environment,
            stderr=log,
        )


def log(command_line):
    return (command_line.folder / "log").read_text()


def num_done(command_line, stage):
    store = "run/predictions/nn.zarr" if stage == "predict" else "cube.zarr"
    return sum(1 for _ in (command_line.folder / f"{store}.state" / stage).glob("*/*-*"))


def wait_for_blocks(command_line, stage, process, number=12):
    """Until the stage is in the thick of it."""
    deadline = time.monotonic() + 120
    while num_done(command_line, stage) < number:
        assert process.poll() is None, log(command_line)
        assert time.monotonic() < deadline
        time.sleep(0.005)


def killed(command_line, stage, config):
    """Begin a stage and kill it; how many blocks it has finished."""
    process = start(command_line, stage, config)
    wait_for_blocks(command_line, stage, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return num_done(command_line, stage)


def workers_of(process):
    children = psutil.Process(process.pid).children()
    return {c for c in children if any("spawn_main" in part for part in c.cmdline())}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("stage", ["ingest", "derive"])
def test_a_killed_client_is_continued(command_line, settings, undisturbed, stage, recovery):
    config = command_line.write(settings)
    if stage == "derive":
        command_line("ingest", config)
    done = killed(command_line, stage, config)
    total = -(-REGION["height"] // 32) * -(-REGION["width"] // 32)
    assert done < total
    # The dead run's lock is taken over at once, and only the rest is done.
    with recovery(f"kill -9 of {stage}"):
        again = start(command_line, stage, config)
        wait_for_blocks(command_line, stage, again, done + 1)
    assert again.wait(timeout=200) == 0
    assert "takes over the lock" in log(command_line)
    assert f"{stage}: {total - done} blocks" in log(command_line)
    command_line("derive", config)
    assert contents(command_line.folder / "cube.zarr") == undisturbed


def test_a_killed_prediction_is_continued(command_line, begun, settings, recovery):
    command_line.write(
        settings
        | {
            "patches": {"core_px": 32, "oversample": 1},
            "models": {"nn": {"kind": "nn", "epochs": 1}},
            "predict": {"tile_px": 32},
        },
        begun,
    )
    for stage in ("derive", "split", "train"):
        command_line(stage, begun)
    folder = command_line.folder / "run" / "predictions" / "nn.zarr"
    command_line("predict", begun)
    undisturbed = contents(folder)
    shutil.rmtree(folder.parent)
    done = killed(command_line, "predict", begun)
    with recovery("kill -9 of predict"):
        again = start(command_line, "predict", begun)
        wait_for_blocks(command_line, "predict", again, done + 1)
    assert again.wait(timeout=200) == 0, log(command_line)
    assert contents(folder) == undisturbed


def test_a_killed_worker_is_replaced(command_line, begun, undisturbed, recovery):
    cluster = command_line.write(LOCAL, "local.yaml")
    process = start(command_line, "derive", begun, "--cluster", cluster)
    wait_for_blocks(command_line, "derive", process)
    with recovery("kill -9 of a Dask worker"):
        done = num_done(command_line, "derive")
        workers_of(process).pop().kill()
        wait_for_blocks(command_line, "derive", process, done + 1)
    assert process.wait(timeout=200) == 0, log(command_line)
    assert contents(command_line.folder / "cube.zarr") == undisturbed


def test_a_killed_scheduler_is_one_clear_line_and_another_one_goes_on(
    command_line, begun, undisturbed, recovery
):
    for attempt in ("killed", "whole"):
        address = f"tcp://127.0.0.1:{free_port()}"
        dask = [sys.executable, "-m", "distributed.cli"]
        scheduler = subprocess.Popen(
            [*dask[:2], "distributed.cli.dask_scheduler", "--port", address.rsplit(":", 1)[1],
             "--host", "127.0.0.1", "--no-dashboard"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        worker = subprocess.Popen(
            [*dask[:2], "distributed.cli.dask_worker", address, "--nworkers", "2",
             "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"],
            stderr=subprocess.DEVNULL, cwd=command_line.folder, env=QUIET,
        )  # fmt: skip
        try:
            cluster = command_line.write(
                {"kind": "address", "address": address, "workers": 2}, "address.yaml"
            )
            done = num_done(command_line, "derive")
            timed = nullcontext() if attempt == "killed" else recovery("the Dask scheduler killed")
            with timed:
                process = start(command_line, "derive", begun, "--cluster", cluster)
                wait_for_blocks(command_line, "derive", process, done + 1)
            if attempt == "killed":
                wait_for_blocks(command_line, "derive", process)
                scheduler.kill()
            status = process.wait(timeout=200)
            message = log(command_line)
        finally:
            for other in (scheduler, *psutil.Process(worker.pid).children(), worker):
                other.kill()
            scheduler.wait()
            worker.wait()
        assert status == (75 if attempt == "killed" else 0), message
        was_lost = "scheduler was lost; finished blocks are kept" in message
        assert was_lost == (status == 75), message
    assert contents(command_line.folder / "cube.zarr") == undisturbed


def test_a_full_disk_is_one_clear_line_and_keeps_what_is_done(
    command_line, begun, undisturbed, recovery
):
    # No file may grow beyond 3 KiB: some shards of the uphill index do not fit.
    command = f"ulimit -f 3; exec {Path(sys.executable).with_name('landslide-dist')} derive {begun}"
    limited = subprocess.run(
        ["bash", "-c", command],
        cwd=command_line.folder,
        env=command_line.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 2, limited.stderr
    assert "there is no room left at" in limited.stderr
    assert "Traceback" not in limited.stderr
    done = num_done(command_line, "derive")
    with recovery("a full disk"):
        again = start(command_line, "derive", begun)
        wait_for_blocks(command_line, "derive", again, done + 1)
    assert again.wait(timeout=200) == 0, log(command_line)
    assert contents(command_line.folder / "cube.zarr") == undisturbed


def test_a_second_run_on_one_cube_is_refused(command_line, begun, undisturbed):
    with hold(str(command_line.folder / "cube.zarr"), "ingest"):
        refused = command_line("derive", begun, status=2)
    assert "is being written by `ingest`" in refused.stderr
    command_line("derive", begun)
    assert contents(command_line.folder / "cube.zarr") == undisturbed


def test_a_creation_cut_short_is_begun_again(command_line, settings, undisturbed):
    config = command_line.write(settings)
    location = str(command_line.folder / "cube.zarr")
    attributes = {"Conventions": "CF-1.11", "coordinates": "spatial_ref"}
    open_group(location, "w", {**attributes, "creator": "landslide_dist"})
    command_line("ingest", config)
    command_line("derive", config)
    assert contents(command_line.folder / "cube.zarr") == undisturbed
