"""Training as a SLURM job of two nodes: preempted, requeued by itself, the same model."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

pytestmark = pytest.mark.slurm

RUN = {
    "name": "preempted",
    "run_dir": "run",
    "cube": {"location": "cube.zarr", "storage": {"chunk_px": 32, "shard_px": 96}},
    "sources": {"synthetic": {"seed": 1, "height": 208, "width": 230, "base_rate": 0.15}},
    "patches": {"core_px": 32, "oversample": 1},
    "models": {"llr": {"kind": "llr", "epochs": 60, "learning_rate": 0.01, "batch_size": 5}},
    "training": {"accelerator": "cpu", "checkpoint_every_n_steps": 2},
}

SCRIPT = Path(__file__).parents[2] / "deploy" / "train.sbatch"
# Both nodes are this machine, whose SLURM binds no processors, and their names do not resolve.
ENVIRONMENT = {
    "MASTER_ADDR": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
    "OMP_NUM_THREADS": "1",
    "SLURM_CPU_BIND": "none",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}


@pytest.fixture
def region(tmp_path):
    """A region that is ready to train on, and a model that one process has trained."""
    program = Path(sys.executable).with_name("landslide-dist")
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(RUN))

    def call(*arguments):
        subprocess.run([program, *arguments], cwd=tmp_path, check=True, capture_output=True)

    for stage in ("ingest", "derive", "split"):
        call(stage, "run.yaml")
    call("split", "run.yaml", "--set", "run_dir=alone")
    call("train", "run.yaml", "--set", "run_dir=alone")


def wait_for(happened, log, seconds):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, log.read_text() if log.exists() else "the job never started"
        time.sleep(0.2)


def test_a_preempted_job_is_requeued_and_ends_as_if_it_had_not_been(slurm, region, tmp_path):
    submitted = subprocess.run(
        [
            "sbatch",
            "--parsable",
            "--nodes=2",
            "--ntasks-per-node=1",
            "--output=job.log",
            SCRIPT,
            "run.yaml",
        ],
        cwd=tmp_path,
        env=os.environ | slurm.environment | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    job, log = submitted.stdout.strip(), tmp_path / "job.log"
    history = tmp_path / "run" / "models" / "llr" / "history.json"
    wait_for(history.exists, log, 120)
    # To the processes of the job's step, as SLURM does a minute before the time is up.
    slurm("scancel", "--signal=USR1", job)
    wait_for(lambda: f"SLURM job {job} requeued" in log.read_text(), log, 60)
    wait_for(lambda: job in slurm.jobs("PENDING"), log, 60)
    assert (tmp_path / "run" / "models" / "llr" / "state.ckpt").exists()
    assert not (tmp_path / "run" / "models" / "llr" / "best.ckpt").exists()
    epochs_before = len(json.loads(history.read_text()))
    assert 0 < epochs_before < 60
    best = tmp_path / "run" / "models" / "llr" / "best.ckpt"

    def begun():
        # SLURM holds a requeued job for two minutes.
        if job in slurm.jobs("PENDING"):
            slurm("scontrol", "update", f"jobid={job}", "StartTime=now")
            time.sleep(2)
        return job in slurm.jobs("RUNNING") or best.exists()

    wait_for(begun, log, 180)
    wait_for(best.exists, log, 120)

    assert log.read_text().count("stopped after step") == 1
    assert len(json.loads(history.read_text())) == 60
    found, expected = (
        torch.load(path, weights_only=True)["weights"]
        for path in (best, tmp_path / "alone" / "models" / "llr" / "best.ckpt")
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
