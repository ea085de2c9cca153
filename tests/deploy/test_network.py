"""Who may reach whom, by the network policies and labels that the chart renders."""

import pytest
import yaml

from ..services.helm import jobs_of
from .variants import BASE, REGION

controller = pytest.importorskip("dask_kubernetes.operator.controller.controller")

COMM, DASHBOARD, TORCH = 8786, 8787, 29500
HERE, OPERATOR, ELSEWHERE = "default", "dask-operator", "other"


@pytest.fixture(scope="module")
def rendered(helm, tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "cluster.yaml"
    path.write_text(yaml.safe_dump(BASE))
    return helm.manifests("-f", path, "--set-file", f"run={REGION}")


@pytest.fixture(scope="module")
def pods(rendered):
    """Namespace and labels of a pod of each role, those of Dask as the operator makes them."""
    (runtime, _) = [m for m in rendered if m["kind"] == "TrainingRuntime"]
    found = {
        job["metadata"]["name"]: (HERE, job["spec"]["template"]["metadata"]["labels"])
        for job in jobs_of(runtime)
    }
    (cluster,) = [m for m in rendered if m["kind"] == "DaskCluster"]
    name, labels = cluster["metadata"]["name"], cluster["metadata"]["labels"]
    scheduler = controller.build_scheduler_deployment_spec(name, {}, {}, labels)
    worker = controller.build_worker_deployment_spec(
        f"{name}-default", HERE, name, "0", {"containers": []}, {}, labels
    )
    for role, deployment in (("scheduler", scheduler), ("worker", worker)):
        found[role] = (HERE, deployment["spec"]["template"]["metadata"]["labels"])
    found["operator"] = (OPERATOR, {"app.kubernetes.io/name": "dask-kubernetes-operator"})
    found["stranger"] = (HERE, {"app.kubernetes.io/name": "other"})
    found["elsewhere"] = (ELSEWHERE, found["node"][1])
    another = {"app.kubernetes.io/instance": "another"}
    found["another run"] = (HERE, found["node"][1] | another)
    found["another prepare"] = (HERE, found["prepare"][1] | another)
    found["another worker"] = (HERE, found["worker"][1] | another | {"dask.org/cluster-name": "z"})
    return found


def selects(selector, labels):
    assert set(selector) <= {"matchLabels"}
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def is_allowed(rendered, source, target, port):
    """Ingress as a cluster decides it: free where no policy selects a pod, else their sum."""
    (from_namespace, from_labels), (to_namespace, to_labels) = source, target
    policies = [
        m["spec"]
        for m in rendered
        if m["kind"] == "NetworkPolicy"
        and m["metadata"]["namespace"] == to_namespace
        and selects(m["spec"]["podSelector"], to_labels)
    ]
    if not policies:
        return True
    for rule in (rule for policy in policies for rule in policy.get("ingress", [])):
        ports = [entry["port"] for entry in rule.get("ports", [])]
        if ports and port not in ports:
            continue
        for peer in rule["from"]:
            assert set(peer) in ({"podSelector"}, {"namespaceSelector"})
            if "namespaceSelector" in peer:
                name = {"kubernetes.io/metadata.name": from_namespace}
                if selects(peer["namespaceSelector"], name):
                    return True
            elif from_namespace == to_namespace and selects(peer["podSelector"], from_labels):
                return True
    return False


#: All else is denied.
ALLOWED = {
    ("node", "node", TORCH),
    ("predict", "predict", TORCH),
    ("prepare", "scheduler", COMM),
    ("operator", "scheduler", COMM),
    ("operator", "scheduler", DASHBOARD),
    *((a, b, port) for a in ("worker", "scheduler") for b in ("worker", "scheduler")
      for port in (COMM, DASHBOARD, TORCH)),
}  # fmt: skip


def test_only_who_needs_it_reaches_a_pod(rendered, pods):
    targets = ("prepare", "node", "predict", "report", "scheduler", "worker")
    found = {
        (source, target, port)
        for source in pods
        for target in targets
        for port in (COMM, DASHBOARD, TORCH)
        if is_allowed(rendered, pods[source], pods[target], port)
    }
    # Within a step any port: the processes choose more of them by themselves.
    within = {(step, step, p) for step in ("node", "predict") for p in (COMM, DASHBOARD)}
    assert found == ALLOWED | within
