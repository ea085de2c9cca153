"""Clusters that need nothing but this machine, and what is refused."""

import os
import subprocess
import sys

import pytest
from distributed import Client, LocalCluster

from landslide_dist.cluster import open_cluster
from landslide_dist.config.load import validate
from landslide_dist.errors import ConfigError

RUN = {
    "name": "test",
    "run_dir": "runs/test",
    "cube": {"location": "cube.zarr"},
    "sources": {"synthetic": {"height": 64, "width": 64}},
}


def cluster(**settings):
    return validate(RUN | {"cluster": settings}, "test").cluster


def limits(dask_worker):
    """What the libraries of a worker make of their limits; runs there."""
    import numpy as np  # noqa: F401
    import zarr
    from threadpoolctl import threadpool_info

    pools = [pool["num_threads"] for pool in threadpool_info()]
    return {
        "pools": pools,
        "zarr": zarr.config.get("threading.max_workers"),
        "requests": zarr.config.get("async.concurrency"),
        "numba": os.environ.get("NUMBA_NUM_THREADS"),
        "profiled": _profiled(dask_worker),
    }


ENDED = """
import os, signal
from landslide_dist.cluster import open_cluster
from landslide_dist.config.cluster import LocalCluster

if __name__ == "__main__":
    with open_cluster(LocalCluster(kind="local", workers=1)):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            print("tidied up")
"""


def _profiled(worker):
    callback = worker.periodic_callbacks.get("profile")
    return callback is not None and callback.is_running()


def test_no_cluster_is_no_client():
    with open_cluster(None) as client:
        assert client is None


def test_local_workers_start_no_more_threads_than_they_have_tasks(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    with open_cluster(cluster(kind="local", workers=1, threads_per_worker=2)) as client:
        assert client.nthreads().popitem()[1] == 2
        (found,) = client.run(limits).values()
    assert found["pools"]
    assert set(found["pools"]) == {1}
    assert found["zarr"] == 2
    assert found["requests"] == 5
    assert found["numba"] == "1"
    assert not found["profiled"]
    # Dask's nannies must not limit the stages that follow in this process.
    assert dict(os.environ) == before


@pytest.fixture
def scheduler():
    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        dashboard_address="127.0.0.1:0",
        env={"OMP_NUM_THREADS": "3"},
    ) as running:
        yield running


def test_workers_of_a_running_cluster_are_limited_and_then_left_as_they_were(scheduler):
    with Client(scheduler) as other:
        ((first, before),) = other.run(limits).items()
        assert before["zarr"] != 2
        assert before["profiled"]
        address = scheduler.scheduler_address
        with open_cluster(cluster(kind="address", address=address)) as client:
            scheduler.scale(2)
            client.wait_for_workers(2, timeout=60)
            for found in client.run(limits).values():
                assert set(found["pools"]) == {1}
                assert found["zarr"] == 2
                assert not found["profiled"]
        after = other.run(limits)
        assert after[first] == before
        assert [found["zarr"] for found in after.values()] == 2 * [before["zarr"]]


def test_too_few_workers_and_no_scheduler_are_errors(scheduler):
    address = scheduler.scheduler_address
    few = cluster(kind="address", address=address, workers=2, start_timeout_s=0.5)
    with pytest.raises(ConfigError, match="1 of 2 workers have joined"), open_cluster(few):
        pass
    nobody = cluster(kind="address", address="tcp://127.0.0.1:9", start_timeout_s=1)
    with pytest.raises(ConfigError, match="no Dask scheduler answers"), open_cluster(nobody):
        pass


def test_a_process_that_is_told_to_end_leaves_by_an_exception():
    done = subprocess.run(
        [sys.executable, "-c", ENDED], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "tidied up", done.stderr
    assert done.returncode == 143


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "slurm", "cores": 3, "processes": 2}, "not a multiple of processes"),
        ({"kind": "slurm", "walltime_minutes": 1}, "walltime_minutes"),
        ({"kind": "slurm", "workers": 2}, "workers"),
        ({"kind": "address"}, "address"),
        ({"kind": "address", "address": "10.0.0.5"}, "address"),
        ({"kind": "kubernetes"}, "image"),
        (
            {"kind": "kubernetes", "image": "x", "env": {"AWS_SECRET_ACCESS_KEY": "s3cr3t"}},
            "Kubernetes Secret",
        ),
        ({"kind": "kubernetes", "image": "x", "name": "Under_Score"}, "name"),
        ({"kind": "yarn"}, "'local', 'address', 'slurm', 'kubernetes'"),
    ],
    ids=lambda value: "",
)
def test_a_setting_that_does_not_fit_its_kind_is_named(settings, message):
    with pytest.raises(ConfigError) as refused:
        cluster(**settings)
    assert message in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "module"), [("slurm", "dask_jobqueue"), ("kubernetes", "dask_kubernetes")]
)
def test_a_missing_package_is_named_with_its_extra(kind, module, monkeypatch, tmp_path):
    # None in sys.modules is how Python itself notes that an import must fail.
    for name in [module, *(n for n in sys.modules if n.startswith(f"{module}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "landslide_dist.cluster.job", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("landslide_dist.cluster.queue.Queue.cancel", lambda queue: None)
    monkeypatch.chdir(tmp_path)
    image = {"image": "x"} if kind == "kubernetes" else {}
    config = cluster(kind=kind, **image)
    with (
        pytest.raises(ConfigError, match=rf"pip install 'landslide-dist\[{kind}\]'"),
        open_cluster(config),
    ):
        pass


def test_slurm_is_refused_where_its_commands_are_not(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="sbatch"), open_cluster(cluster(kind="slurm")):
        pass
