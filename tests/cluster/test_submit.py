"""A whole run as jobs of a real SLURM: a lost node, a preempted training, the same map."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
import zarr

from landslide_dist.config import load
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.predict import predict
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(600)]

PROGRAM = Path(sys.executable).with_name("landslide-dist")
RUN = {
    "name": "whole",
    "run_dir": "run",
    "cube": {"location": "cube.zarr", "storage": {"chunk_px": 32, "shard_px": 64}},
    "sources": {"synthetic": {"seed": 1, "height": 480, "width": 512, "base_rate": 0.15}},
    "patches": {"core_px": 64, "oversample": 1},
    "models": {"llr": {"kind": "llr", "epochs": 40, "learning_rate": 0.01, "batch_size": 5}},
    "training": {"accelerator": "cpu", "checkpoint_every_n_steps": 2},
    "predict": {"tile_px": 64},
    "evaluate": {"bootstrap_draws": 20, "bootstrap_block_px": 64},
}
ONE = {"cores": 1, "memory_gib": 2, "walltime_minutes": 10}
CLUSTER = {
    "kind": "slurm",
    "jobs": 2,
    # Two of them do not fit on the node of the job that holds the scheduler.
    "cores": 2,
    "processes": 1,
    "memory_gib": 2,
    "walltime_minutes": 10,
    "interface": "lo",
    "log_directory": "logs",
    "start_timeout_s": 90,
    "check_interval_s": 1,
    "pipeline": {
        "setup": "env.sh",
        "notice_s": 30,
        "prepare": ONE,
        "train": ONE | {"nodes": 2},
        "predict": ONE | {"nodes": 2},
        "report": ONE,
        "experiment": ONE,
    },
}
# Both nodes are this machine, whose SLURM binds no processors, and their names do not resolve.
SETUP = """
export MASTER_ADDR=127.0.0.1 GLOO_SOCKET_IFNAME=lo SLURM_CPU_BIND=none
"""


class Site:
    """A user's folder on a cluster: a run, the cluster file, and a run without the cluster."""

    def __init__(self, path, slurm):
        self.path, self.slurm = path, slurm
        (path / "run.yaml").write_text(yaml.safe_dump(RUN))
        (path / "cluster.yaml").write_text(yaml.safe_dump(CLUSTER))
        (path / "env.sh").write_text(SETUP)

    def call(self, *arguments, expected=0):
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.path,
            env=os.environ | self.slurm.environment | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    def jobs(self):
        noted = json.loads((self.path / "run" / "jobs" / "submitted.json").read_text())
        return {job["step"]: job["job_id"] for job in noted}

    def node_of(self, job):
        return self.slurm("squeue", "--noheader", f"--jobs={job}", "--format=%N")

    def jobs_on(self, node):
        running = ("--noheader", f"--nodelist={node}", "--states=RUNNING", "--format=%i")
        return self.slurm("squeue", *running).split()

    def log(self, step):
        path = self.path / "run" / "jobs" / f"{step}.log"
        return path.read_text() if path.exists() else ""

    def num_done(self, stage):
        return sum(p.is_file() for p in (self.path / "cube.zarr.state" / stage).rglob("*"))

    def content(self, folder):
        files = (path for path in (self.path / folder).rglob("*") if path.is_file())
        return {path.relative_to(self.path / folder): path.read_bytes() for path in files}

    def wait_for(self, happened, step, seconds=180):
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, self.log(step) or "the job never started"
            for each in self.jobs():
                assert not self.failed(each), self.log(each)
            time.sleep(0.2)

    def failed(self, step):
        path = self.path / "run" / "jobs" / f"{step}.exit"
        waiting = self.jobs()[step] in self.slurm.jobs("PENDING,CONFIGURING,RUNNING,COMPLETING")
        return not waiting and path.exists() and path.read_text().strip() != "0"

    def done(self, step):
        path = self.path / "run" / "jobs" / f"{step}.exit"
        return path.exists() and path.read_text().strip() == "0"


@pytest.fixture
def site(slurm, tmp_path):
    yield Site(tmp_path, slurm)
    bring_back_nodes(slurm)
    slurm.end_jobs()


def bring_back_nodes(slurm):
    """Those that have not come back by themselves."""
    for node in slurm("sinfo", "--noheader", "-N", "--states=down", "--format=%N").split():
        slurm("scontrol", "update", f"nodename={node}", "state=RESUME")


def begin_at_once(slurm, job):
    """SLURM holds a requeued job for two minutes."""
    if job in slurm.jobs("PENDING"):
        slurm("scontrol", "update", f"jobid={job}", "StartTime=now")


def trained(site, slurm):
    """Whether the training has ended; a requeued one goes on."""
    begin_at_once(slurm, site.jobs()["train"])
    time.sleep(1)
    return site.done("train")


def assert_alike(site, num_epochs):
    """The training in jobs has the losses and weights of the undisturbed one."""
    epochs, alone = (
        json.loads((site.path / run / "models" / "llr" / "history.json").read_text())
        for run in ("run", "alone")
    )
    assert len(epochs) == len(alone) == num_epochs
    for part in ("train_loss", "val_loss"):
        found, expected = ([epoch[part] for epoch in run] for run in (epochs, alone))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    weights, expected = (
        torch.load(site.path / run / "models" / "llr" / "best.ckpt", weights_only=True)["weights"]
        for run in ("run", "alone")
    )
    torch.testing.assert_close(weights, expected, rtol=1e-4, atol=1e-5)


def test_a_run_that_loses_a_node_and_is_preempted_ends_as_if_it_had_not(
    site, slurm, monkeypatch, recovery
):
    monkeypatch.chdir(site.path)
    undisturbed = load("run.yaml", ["run_dir=alone", "cube.location=alone.zarr"])
    for stage in (ingest, derive, split, train, predict):
        stage(undisturbed)
    site.call("submit", "run.yaml", "--cluster", "cluster.yaml")
    jobs = site.jobs()
    assert list(jobs) == ["prepare", "train", "predict", "report"]
    site.wait_for(lambda: jobs["prepare"] in slurm.jobs("RUNNING"), "prepare")
    refused = site.call("submit", "run.yaml", "--cluster", "cluster.yaml", expected=2)
    assert "are still in the queue" in refused

    prepared_on = site.node_of(jobs["prepare"])
    (lost,) = {"n1", "n2"} - {prepared_on}
    site.wait_for(lambda: site.num_done("derive") > 0 and site.jobs_on(lost), "prepare")
    with recovery("a node DOWN, its worker is replaced"):
        slurm("scontrol", "update", f"nodename={lost}", "state=DOWN", "reason=test")
        assert site.num_done("derive") < 64, "the region is too small to lose a node midway"
        site.wait_for(lambda: "jobs have ended" in site.log("prepare"), "prepare")
    shown = site.call("status", "run.yaml", "--cluster", "cluster.yaml")
    assert "pending" in shown
    assert "Dependency" in shown
    site.wait_for(lambda: site.done("prepare"), "prepare")
    bring_back_nodes(slurm)
    assert site.content("cube.zarr") == site.content("alone.zarr")

    history = site.path / "run" / "models" / "llr" / "history.json"
    site.wait_for(history.exists, "train")
    # To the processes of the job's step, as SLURM does before the time is up.
    slurm("scancel", "--signal=USR1", jobs["train"])
    site.wait_for(lambda: f"SLURM job {jobs['train']} requeued" in site.log("train"), "train")
    site.wait_for(lambda: jobs["train"] in slurm.jobs("PENDING"), "train")
    epochs = len(json.loads(history.read_text()))
    assert 0 < epochs < 40
    best = site.path / "run" / "models" / "llr" / "best.ckpt"
    assert not best.exists()

    with recovery("a training requeued, SLURM's two minutes cut short"):
        begin_at_once(slurm, jobs["train"])
        # Between two of its states a job that is begun again is in none.
        deadline = time.monotonic() + 120
        while len(json.loads(history.read_text())) <= epochs:
            assert time.monotonic() < deadline, site.log("train")
            time.sleep(0.2)
    site.wait_for(lambda: trained(site, slurm), "train")
    assert site.log("train").count("stopped after step") == 1
    assert_alike(site, 40)

    site.wait_for(lambda: site.done("report"), "report")
    maps = [
        zarr.open_group(site.path / run / "predictions" / "llr.zarr", mode="r")["probability"][:]
        for run in ("run", "alone")
    ]
    np.testing.assert_allclose(*maps, atol=1e-5)
    assert (site.path / "run" / "report.html").exists()
    shown = site.call("status", "run.yaml", "--cluster", "cluster.yaml", "--follow")
    assert shown.count("done") == 4
    assert slurm.jobs() == []


@pytest.mark.long
def test_a_training_whose_walltime_ends_goes_on_in_the_next_job(site, slurm, monkeypatch):
    epochs = 400
    monkeypatch.chdir(site.path)
    model = RUN["models"]["llr"] | {"epochs": epochs}
    tree = RUN | {"models": {"llr": model}}
    (site.path / "run.yaml").write_text(yaml.safe_dump(tree))
    undisturbed = load("run.yaml", ["run_dir=alone", "cube.location=alone.zarr"])
    for stage in (ingest, derive, split, train):
        stage(undisturbed)
    # SLURM tells the processes 30 seconds before the two minutes are over, or up to 60 earlier.
    site.call(
        "submit", "run.yaml", "--cluster", "cluster.yaml",
        "--set", "cluster.pipeline.train.walltime_minutes=2",
    )  # fmt: skip
    site.wait_for(lambda: trained(site, slurm), "train", seconds=500)
    assert site.log("train").count("stopped after step") >= 1
    assert f"SLURM job {site.jobs()['train']} requeued" in site.log("train")
    assert_alike(site, epochs)


def test_an_experiment_is_shared_by_an_array_of_jobs(site, slurm):
    changes = {
        "models": {"naive": {"kind": "naive"}},
        "sources": {"synthetic": RUN["sources"]["synthetic"] | {"height": 208, "width": 230}},
        "split": {"block_px": 64},
        "experiment": {"splits": ["random", "block"], "window_px": 64},
    }
    (site.path / "run.yaml").write_text(yaml.safe_dump(RUN | changes))
    site.call("submit", "run.yaml", "--cluster", "cluster.yaml", "--experiment", "2")
    jobs = site.jobs()
    assert list(jobs) == ["prepare", "experiment", "report"]
    site.wait_for(lambda: site.done("report"), "report")
    for number, kind in enumerate(("random", "block")):
        log = (site.path / "run" / "jobs" / f"experiment-{number}.log").read_text()
        assert "Traceback" not in log
        assert (site.path / "run" / "experiment" / f"{kind}-0-0" / "models").is_dir()
    assert (site.path / "run" / "table2.md").exists()
    assert "experiment 1" in site.call("status", "run.yaml", "--cluster", "cluster.yaml")


def test_a_job_that_fails_ends_the_run_and_status_says_so(site, slurm):
    (site.path / "env.sh").write_text("echo no such module >&2; exit 3")
    site.call("submit", "run.yaml", "--cluster", "cluster.yaml")
    shown = site.call("status", "run.yaml", "--cluster", "cluster.yaml", "--follow", expected=1)
    assert "exit status 3" in shown
    assert "no such module" in shown
    assert slurm.jobs() == []


def test_a_job_that_is_cancelled_has_not_ended_well(site, slurm):
    (site.path / "env.sh").write_text("touch began; sleep 120")
    site.call("submit", "run.yaml", "--cluster", "cluster.yaml")
    site.wait_for((site.path / "began").exists, "prepare")
    slurm("scancel", site.jobs()["prepare"])
    shown = site.call("status", "run.yaml", "--cluster", "cluster.yaml", "--follow", expected=1)
    assert "done" not in shown
    assert "exit status 143" in shown or "cancelled" in shown


def test_what_slurm_refuses_leaves_no_job_behind(site, slurm):
    refused = site.call(
        "submit", "run.yaml", "--cluster", "cluster.yaml",
        "--set", "cluster.pipeline.predict.directives=[--partition=none]", expected=2,
    )  # fmt: skip
    assert "invalid partition" in refused
    assert slurm.jobs() == []
