"""SLURM for real: two nodes, batch jobs, the command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slurm

RUN = {
    "name": "slurm",
    "run_dir": "runs/slurm",
    "cube": {"location": "cube.zarr", "storage": {"chunk_px": 32, "shard_px": 96}},
    "sources": {"synthetic": {"seed": 1, "height": 960, "width": 1000, "base_rate": 0.15}},
}
CLUSTER = {
    "kind": "slurm",
    "jobs": 2,
    "cores": 1,
    "processes": 1,
    "memory_gib": 2,
    "walltime_minutes": 10,
    "interface": "lo",
    "log_directory": "logs",
    "start_timeout_s": 90,
    "check_interval_s": 1,
}


class Folder:
    """A run and its cluster file; starts the command line there, as a user would."""

    def __init__(self, path, environment):
        self.path = path
        self.environment = os.environ | environment
        self.processes = []
        self.cube = path / "cube.zarr"
        (path / "run.yaml").write_text(yaml.safe_dump(RUN))

    def start(self, *arguments, **settings):
        (self.path / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER | settings))
        process = subprocess.Popen(
            [Path(sys.executable).with_name("landslide-dist"), *arguments],
            cwd=self.path,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,  # noqa: PLW1509 - no threads here yet
        )
        self.processes.append(process)
        return process

    def on_slurm(self, stage, **settings):
        return self.start(stage, "run.yaml", "--cluster", "cluster.yaml", **settings)

    def num_done(self, stage):
        return sum(p.is_file() for p in Path(f"{self.cube}.state", stage).rglob("*"))

    def content(self):
        files = (p for p in self.cube.rglob("*") if p.is_file())
        return {p.relative_to(self.cube): p.read_bytes() for p in files}


@pytest.fixture
def folder(tmp_path, slurm):
    folder = Folder(tmp_path, slurm.environment)
    yield folder
    for process in folder.processes:
        process.kill()
        process.communicate()
    slurm.end_jobs()


@pytest.fixture(scope="module")
def without_cluster(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("threads"), {})
    for stage in ("ingest", "derive"):
        assert _end(folder.start(stage, "run.yaml"))[0] == 0
    return folder.content()


def test_jobs_that_are_lost_are_replaced_and_the_bytes_are_the_same(
    folder, slurm, without_cluster, recovery
):
    ingest = folder.on_slurm("ingest")
    _until(lambda: folder.num_done("ingest") > 5, ingest)
    first, second = slurm.jobs("RUNNING")
    with recovery("a worker's job cancelled, another runs"):
        slurm("scancel", first)
        _until(lambda: set(slurm.jobs("RUNNING")) - {first, second}, ingest)
    assert folder.num_done("ingest") < 100, "the region is too small to lose a worker midway"
    with recovery("kill -9 of a worker's job, another runs"):
        slurm.kill(second)
        _until(lambda: len(set(slurm.jobs("RUNNING")) - {first, second}) == 2, ingest)
    status, messages = _end(ingest)
    assert status == 0, messages
    assert messages.count("1 of 2 jobs have ended") == 2
    assert slurm.jobs() == []

    status, messages = _end(folder.on_slurm("derive", cores=2, processes=2, jobs=1))
    assert status == 0, messages
    assert folder.content() == without_cluster
    assert slurm.jobs() == []


def test_a_worker_leaves_before_its_walltime_and_another_takes_over(slurm, tmp_path, monkeypatch):
    from landslide_dist.cluster import open_cluster
    from landslide_dist.cluster import slurm as module
    from landslide_dist.config.cluster import SlurmCluster

    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    monkeypatch.setattr(module, "_lifetime", lambda minutes: ["--lifetime", "5s"])
    settings = CLUSTER | {"log_directory": str(tmp_path), "jobs": 1}
    with open_cluster(SlurmCluster(**settings)) as client:
        first = slurm.jobs()
        _until(lambda: slurm.jobs() not in ([], first))
        client.wait_for_workers(1, timeout=60)
        assert client.submit(sum, (1, 2)).result(timeout=60) == 3
    assert slurm.jobs() == []


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, 130)]
)
def test_a_stage_that_is_told_to_end_takes_its_jobs_along(folder, slurm, number, expected):
    ingest = folder.on_slurm("ingest")
    _until(lambda: folder.num_done("ingest") > 0, ingest)
    assert len(slurm.jobs()) == 2
    ingest.send_signal(number)
    status, messages = _end(ingest)
    assert status == expected, messages
    assert slurm.jobs() == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"partition": "none"}, "invalid partition"),
        ({"interface": "eth77"}, "eth77"),
        (
            {"job_extra_directives": ["--hold"], "start_timeout_s": 2},
            "PENDING (JobHeldUser)",
        ),
        (
            {"job_script_prologue": ["echo no such module >&2", "exit 1"]},
            "no such module",
        ),
    ],
    ids=lambda value: "",
)
def test_what_goes_wrong_is_one_line(folder, slurm, settings, expected):
    status, messages = _end(folder.on_slurm("ingest", **settings))
    assert status == 2, messages
    last = messages.strip().splitlines()[-1]
    assert last.startswith("landslide-dist: ")
    assert expected in last
    assert "Traceback" not in messages
    assert slurm.jobs() == []


def _interruptible():
    """Undo what a shell does to what it starts in the background, which tests may be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _end(process):
    """Exit status and messages."""
    _, messages = process.communicate(timeout=240)
    return process.returncode, messages


def _until(happened, process=None, timeout_s=120):
    end = time.monotonic() + timeout_s
    while not happened():
        ended = process is not None and process.poll() is not None
        assert not ended, process.communicate()[1]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
