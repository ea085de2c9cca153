"""The rendered commands, run one after the other on this machine with real Dask and torchrun."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from distributed import LocalCluster

from ..services.helm import jobs_of
from .variants import BASE, merged

RUN = {
    "name": "pods",
    "run_dir": "runs/pods",
    "cube": {"location": "runs/pods/cube.zarr"},
    "sources": {"synthetic": {"seed": 1, "height": 208, "width": 230, "base_rate": 0.15}},
    "patches": {"core_px": 32, "oversample": 1},
    "models": {"nn": {"kind": "nn", "epochs": 1, "learning_rate": 0.01}},
}
PROGRAMS = ("python", "landslide-dist")
CHANGES = {"workers": 1, "memory_gib": 2, "pipeline": {"trainer": "jobset", "train": {"nodes": 2}}}


@pytest.fixture
def place(tmp_path):
    """What the pods have: the claim, and a place for the files of their configuration."""
    for name in ("work", "config"):
        (tmp_path / name).mkdir()
    return tmp_path


def pods_of(job, place):
    """Processes of each container, one a pod; the placeholders of the cluster filled in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pod = job["spec"]["template"]["spec"]
    for container in pod.get("initContainers", []) + pod["containers"]:
        words = [*container["command"], *container["args"]]
        programs = {word: str(Path(sys.executable).with_name(word)) for word in PROGRAMS}
        words = [programs.get(word, word) for word in words]
        words = [word.replace("/config/", f"{place}/config/") for word in words]
        words = ["--master-addr=127.0.0.1" if w.startswith("--master-addr=") else w for w in words]
        words = [f"--master-port={port}" if w.startswith("--master-port=") else w for w in words]
        settings = {entry["name"]: entry["value"] for entry in container["env"]}
        settings = settings | {"HOME": str(place), "NUMBA_CACHE_DIR": str(place / "numba")}
        yield [
            subprocess.Popen(
                [word.replace("$(JOB_COMPLETION_INDEX)", str(index)) for word in words],
                cwd=place / "work", env=os.environ | settings, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
            for index in range(job["spec"]["completions"])
        ]  # fmt: skip


@pytest.mark.long
def test_a_run_from_sources_to_the_report(helm, place, monkeypatch):
    (place / "values.yaml").write_text(yaml.safe_dump(merged(BASE, CHANGES)))
    (place / "run.yaml").write_text(yaml.safe_dump(RUN))
    manifests = helm.manifests(
        "-f", place / "values.yaml", "--set-file", f"run={place}/run.yaml"
    )  # fmt: skip
    (jobset,) = [m for m in manifests if m["kind"] == "JobSet"]
    (config,) = [m for m in manifests if m["kind"] == "ConfigMap"]
    monkeypatch.chdir(place / "work")
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as dask:
        for name, text in config["data"].items():
            address = text.replace("tcp://landslide-dist-scheduler:8786", dask.scheduler_address)
            (place / "config" / name).write_text(address)
        for job in jobs_of(jobset):
            for pods in pods_of(job, place):
                for pod in pods:
                    output, _ = pod.communicate(timeout=200)
                    assert pod.returncode == 0, output
    assert (place / "work/runs/pods/report.html").exists()
