"""What SLURM is asked for; no SLURM needed."""

import re
import stat
from pathlib import Path

import pytest

from landslide_dist.cluster.queue import job_states
from landslide_dist.cluster.slurm import slurm_cluster
from landslide_dist.config.cluster import SlurmCluster
from landslide_dist.errors import ConfigError

pytest.importorskip("dask_jobqueue")


@pytest.fixture
def settings(tmp_path):
    return {"kind": "slurm", "log_directory": str(tmp_path / "logs"), "interface": "lo"}


def test_the_job_script_says_what_the_config_says(settings):
    config = SlurmCluster(
        **settings,
        cores=8,
        processes=4,
        memory_gib=32,
        walltime_minutes=240,
        partition="long",
        account="geo",
        python="/shared/python",
        local_directory="/scratch/me",
        job_extra_directives=("--qos=high",),
        job_script_prologue=("module load gdal", "export OMP_NUM_THREADS=8"),
    )
    with slurm_cluster(config, "run-1") as cluster:
        script = cluster.job_script()
    for directive in (
        "-J run-1", "-p long", "-A geo", "-n 1", "--cpus-per-task=8", "--mem=32G", "-t 240",
        "--qos=high", f"-e {settings['log_directory']}/run-1-%J.err",
    ):  # fmt: skip
        assert f"#SBATCH {directive}\n" in script
    worker = script.strip().splitlines()[-1]
    for option in (
        "/shared/python -m distributed.cli.dask_worker tls://127.0.0.1:", "--nthreads 2",
        "--nworkers 4", "--memory-limit 8.00GiB", "--interface lo", "--no-lifetime-restart",
        "--local-directory /scratch/me", "--tls-ca-file",
    ):  # fmt: skip
        assert option in worker
    # A module of the site may set what must be one.
    threads = re.findall(r"export OMP_NUM_THREADS=(\d)", script)
    assert threads == ["8", "1"]
    assert "export ZARR_THREADING__MAX_WORKERS=2" in script
    assert "export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False" in script


@pytest.mark.parametrize("walltime_minutes", [5, 60, 2880])
def test_every_worker_leaves_before_its_job_is_ended(settings, walltime_minutes):
    config = SlurmCluster(**settings, walltime_minutes=walltime_minutes)
    with slurm_cluster(config, "run-1") as cluster:
        script = cluster.job_script()
    lifetime_s = int(re.search(r"--lifetime (\d+)s", script)[1])
    stagger_s = int(re.search(r"--lifetime-stagger (\d+)s", script)[1])
    left_s = 60 * walltime_minutes - lifetime_s - stagger_s
    assert left_s >= 30
    assert lifetime_s - stagger_s > 0.7 * 60 * walltime_minutes


def test_keys_are_the_users_alone_and_go_with_the_cluster(settings):
    logs = Path(settings["log_directory"])
    with slurm_cluster(SlurmCluster(**settings), "run-1") as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        (folder,) = logs.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
    assert list(logs.iterdir()) == []


def test_a_name_is_never_used_again(settings):
    # Dask cancels what has the name of a lost worker, seconds after the loss.
    with slurm_cluster(SlurmCluster(**settings), "run-1") as cluster:
        names = [next(iter(cluster.new_worker_spec())) for _ in range(3)]
    assert len(set(names)) == 3


def test_the_status_of_jobs_where_slurm_is_not_is_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert job_states([]) == {}
    with pytest.raises(ConfigError, match="needs sbatch, squeue, scancel"):
        job_states(["7"])
