"""The DaskCluster resource against the definition that the operator installs; no cluster needed."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from distributed import LocalCluster

from landslide_dist.cluster import open_cluster
from landslide_dist.cluster.resource import cluster_spec
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.errors import ConfigError

from ..services.helm import dask_schema
from ..services.kube_api import READY, kube_api

jsonschema = pytest.importorskip("jsonschema")
pytest.importorskip("dask_kubernetes")

CONFIG = KubernetesCluster(
    kind="kubernetes",
    name="map-1",
    image="registry.example/landslide-dist:0.1.0",
    workers=3,
    threads_per_worker=2,
    cores=2,
    memory_gib=8.5,
    env={"AWS_ENDPOINT_URL": "https://s3.example"},
    secrets=("landslide-s3",),
)


@pytest.fixture(scope="module")
def validator():
    return jsonschema.Draft202012Validator(dask_schema("DaskCluster"))


def test_the_resource_is_valid(validator):
    spec = cluster_spec(CONFIG)
    validator.validate(spec)
    assert yaml.safe_load(yaml.safe_dump(spec)) == spec
    assert cluster_spec(CONFIG) == spec, "a pure function of the config"


def test_the_validator_sees_mistakes(validator):
    for spoil in (
        lambda worker: worker.update(replicas="two"),
        lambda worker: worker["spec"]["containers"][0].update(imgae="x"),
        lambda worker: worker["spec"]["securityContext"].update(runAsNonRoot="yes"),
    ):
        spec = copy.deepcopy(cluster_spec(CONFIG))
        spoil(spec["spec"]["worker"])
        assert not validator.is_valid(spec)


def test_the_workers_are_what_the_config_says():
    from distributed.cli.dask_worker import main

    worker = cluster_spec(CONFIG)["spec"]["worker"]
    container = worker["spec"]["containers"][0]
    assert worker["replicas"] == 3
    assert container["image"] == CONFIG.image
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "8704Mi"}
    assert container["envFrom"] == [{"secretRef": {"name": "landslide-s3"}}]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["ZARR_THREADING__MAX_WORKERS"] == "2"
    assert environment["AWS_ENDPOINT_URL"] == "https://s3.example"
    # The real parser of `dask worker` takes the arguments.
    assert [*container["command"], container["args"][0]] == ["dask", "worker"]
    options = main.make_context("worker", container["args"][1:]).params
    assert options["nthreads"] == 2
    assert options["memory_limit"] == "8.5GiB"


def test_the_scheduler_starts_with_a_command_that_exists():
    from distributed.cli.dask_scheduler import main

    container = cluster_spec(CONFIG)["spec"]["scheduler"]["spec"]["containers"][0]
    assert [*container["command"], container["args"][0]] == ["dask", "scheduler"]
    main.make_context("scheduler", container["args"][1:])


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_no_pod_runs_as_root(role):
    pod = cluster_spec(CONFIG)["spec"][role]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("answers", [None, False], ids=["no kube config", "no answer"])
def test_without_kubernetes_a_stage_ends_with_one_line(answers, tmp_path):
    kube_config = tmp_path / "kube"
    if answers is not None:
        with kube_api() as gone:
            kube_config.write_text(yaml.safe_dump(gone.kube_config()))
    (tmp_path / "cluster.yaml").write_text("{kind: kubernetes, image: x}")
    (tmp_path / "run.yaml").write_text(
        "{name: t, run_dir: r, cube: {location: c.zarr}, sources: {synthetic: {seed: 1}}}"
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("landslide-dist"), "ingest", "run.yaml",
         "--cluster", "cluster.yaml"],
        cwd=tmp_path,
        env=os.environ | {"KUBECONFIG": str(kube_config)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("landslide-dist: no Kubernetes cluster answers")
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def _server(tmp_path_factory):
    """One for all tests: the API client keeps its connection for the life of the process."""
    path = tmp_path_factory.mktemp("kube") / "config"
    with kube_api() as server, pytest.MonkeyPatch.context() as patch:
        path.write_text(yaml.safe_dump(server.kube_config()))
        patch.setenv("KUBECONFIG", str(path))
        yield server


@pytest.fixture
def api(_server):
    _server.clusters.clear()
    _server.created.clear()
    _server.pod_status = READY
    return _server


def test_a_cluster_lives_as_long_as_its_run(api):
    with LocalCluster(n_workers=1, dashboard_address="127.0.0.1:0") as running:
        api.ports = {"tcp-comm": running.scheduler.port, "http-dashboard": 8787}
        with open_cluster(CONFIG) as client:
            assert client.submit(sum, (1, 2)).result() == 3
            assert api.clusters["map-1"]["spec"]["worker"]["replicas"] == 3
        assert api.clusters == {}
        with pytest.raises(ZeroDivisionError), open_cluster(CONFIG):
            1 / 0  # noqa: B018
        assert api.clusters == {}
        assert api.created == ["map-1", "map-1"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            {"phase": "Pending", "containerStatuses": [
                {"state": {"waiting": {"reason": "ImagePullBackOff"}}}]},
            "ImagePullBackOff",
        ),
        (
            {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}]},
            "Insufficient cpu",
        ),
        (None, "does the Dask operator run"),
    ],
    ids=["image", "resources", "no operator"],
)  # fmt: skip
def test_pods_that_do_not_start_are_named_and_deleted(api, monkeypatch, status, message):
    monkeypatch.setattr("landslide_dist.cluster.kubernetes._OPERATOR_S", 0.5)
    api.pod_status = status
    config = CONFIG.model_copy(update={"start_timeout_s": 3})
    with pytest.raises(ConfigError, match=message), open_cluster(config):
        pass
    assert api.created == ["map-1"]
    assert api.clusters == {}


def test_a_cluster_of_another_run_is_left_alone(api):
    api.clusters["map-1"] = {"metadata": {"name": "map-1", "namespace": "default"}}
    with pytest.raises(ConfigError, match="give another cluster.name"), open_cluster(CONFIG):
        pass
    assert list(api.clusters) == ["map-1"]
    assert api.created == []
