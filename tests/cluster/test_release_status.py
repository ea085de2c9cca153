"""What `status` says of a run on Kubernetes, from what an API server answers."""

import pytest
import yaml

from landslide_dist.cluster.release_status import steps_of_release
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.errors import ConfigError

from ..services.kube_api import kube_api

pytest.importorskip("dask_kubernetes")

CONFIG = KubernetesCluster(kind="kubernetes", name="map-1", namespace="default", image="x:1")


def jobset(succeeded, **status):
    names = ("prepare", "node", "predict", "report")
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "map-1", "namespace": "default"},
        "spec": {"replicatedJobs": [{"name": name, "replicas": 1} for name in names]},
        "status": {
            "replicatedJobsStatus": [
                {"name": name, "succeeded": int(i < succeeded), "active": int(i == succeeded)}
                for i, name in enumerate(names)
            ],
            **status,
        },
    }


def pod(job, **status):
    labels = {
        "jobset.sigs.k8s.io/jobset-name": "map-1",
        "jobset.sigs.k8s.io/replicatedjob-name": job,
    }
    metadata = {"name": f"map-1-{job}-0", "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


@pytest.fixture
def server(tmp_path, monkeypatch):
    with kube_api() as server:
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(server.kube_config()))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield server


def test_a_run_under_way(server):
    server.jobsets["map-1"] = jobset(1)
    waiting = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}
    server.own_pods = [pod("prepare", phase="Succeeded"), pod("node", phase="Pending", **waiting)]
    prepare, node, predict, report = steps_of_release(CONFIG)
    assert (prepare.state, prepare.outcome) == ("done", "done")
    assert (node.state, node.outcome) == ("running", "open")
    assert node.note == "map-1-node-0 ImagePullBackOff"
    assert (predict.state, report.outcome) == ("waiting", "open")


def test_a_run_that_failed(server):
    server.jobsets["map-1"] = jobset(2, terminalState="Failed")
    outcomes = [step.outcome for step in steps_of_release(CONFIG)]
    assert outcomes == ["done", "done", "failed", "failed"]


def test_no_run_and_no_cluster_are_one_line(server, monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="there is no JobSet 'map-1' in namespace 'default'"):
        steps_of_release(CONFIG)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no Kubernetes cluster answers"):
        steps_of_release(CONFIG)
