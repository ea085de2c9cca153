"""Dask workers in pods: creates a ``DaskCluster``, waits for it, and deletes it.

The Dask operator, installed once in the Kubernetes cluster, makes the pods and replaces lost ones.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from distributed import Client

from landslide_dist.cluster.resource import cluster_spec
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console

#: An operator that runs makes the first pod within seconds.
_OPERATOR_S = 60.0

_PAUSE_S = 1.0


@contextmanager
def connect_kubernetes(config: KubernetesCluster) -> Iterator[Client]:
    """Create the cluster and wait for the first worker; it is deleted on the way out.

    Raises:
        ConfigError: dask-kubernetes, a kube config or the operator is missing, a cluster of that
            name exists, or its pods do not start.
    """
    spec = cluster_spec(config)
    with _resource(spec, config) as namespace:
        deadline = monotonic() + config.start_timeout_s
        pods = _Pods(config.name, namespace)
        _wait(pods.scheduler_runs, pods, config, deadline)
        # The resource is ours to delete; this object only finds the way to the scheduler.
        with _attach(config.name, namespace) as cluster, Client(cluster) as client:
            _wait(lambda: bool(client.nthreads()), pods, config, deadline)
            yield client


@contextmanager
def _resource(spec: dict[str, Any], config: KubernetesCluster) -> Iterator[str]:
    """Create the resource and give its namespace; delete it whatever happens."""
    import kr8s
    from kr8s.objects import object_from_spec

    with one_line("no Kubernetes cluster answers, set KUBECONFIG or run in a pod"):
        api = kr8s.api(namespace=config.namespace)
        api.version()
        resource = object_from_spec(spec, api, allow_unknown_type=True)
        exists = resource.exists()
    if exists:
        raise ConfigError(
            f"a DaskCluster {config.name!r} exists in namespace {api.namespace!r}: give another "
            f"cluster.name, or `kubectl delete daskcluster {config.name}` if no run uses it"
        )
    with one_line(f"the DaskCluster {config.name!r} cannot be created"):
        resource.create()
    console.print(f"Kubernetes: created DaskCluster {config.name} in namespace {api.namespace}")
    try:
        yield api.namespace
    finally:
        with one_line(f"the DaskCluster {config.name!r} cannot be deleted"):
            if resource.exists():
                resource.delete()


@contextmanager
def _attach(name: str, namespace: str) -> Iterator[Any]:
    from dask_kubernetes.operator import KubeCluster

    with one_line(f"the scheduler of the DaskCluster {name!r} cannot be reached"):
        cluster = KubeCluster.from_name(name, namespace=namespace, quiet=True)
    with cluster:
        yield cluster


class _Pods:
    """The pods that the operator has made of a ``DaskCluster``."""

    def __init__(self, name: str, namespace: str):
        self._name = name
        self._namespace = namespace

    def scheduler_runs(self) -> bool:
        return any(pod.ready() for pod in self._list({"dask.org/component": "scheduler"}))

    def states(self) -> list[str]:
        """What each pod does or waits for, in Kubernetes' words."""
        return [f"{pod.name} {state_of(pod.status)}" for pod in self._list({})]

    def _list(self, labels: dict[str, str]) -> list[Any]:
        from kr8s.objects import Pod

        selector = {"dask.org/cluster-name": self._name} | labels
        with one_line("Kubernetes does not answer"):
            return list(Pod.list(namespace=self._namespace, label_selector=selector))


def state_of(status: Any) -> str:
    """What a pod does or waits for, in Kubernetes' words."""
    for container in status.get("containerStatuses", ()):
        if "waiting" in container["state"]:
            return str(container["state"]["waiting"].get("reason"))
    for condition in status.get("conditions", ()):
        if condition["status"] == "False" and condition.get("message"):
            return f"{status['phase']} ({condition['message']})"
    return str(status["phase"])


def _wait(
    happened: Callable[[], bool], pods: _Pods, config: KubernetesCluster, deadline: float
) -> None:
    start = monotonic()
    while not happened():
        now = monotonic()
        if now > deadline:
            states = ", ".join(pods.states()) or "none"
            raise ConfigError(
                f"no Dask worker after {config.start_timeout_s:g} s (cluster.start_timeout_s); "
                f"pods: {states}"
            )
        if now > start + _OPERATOR_S and not pods.states():
            raise ConfigError(
                f"no pod was made for the DaskCluster {config.name!r}: does the Dask operator run "
                "in this Kubernetes cluster?"
            )
        sleep(_PAUSE_S)


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Failures of the Kubernetes API as errors of the user's set-up."""
    import httpx
    import kr8s

    failures = (httpx.HTTPError, kr8s.ServerError, kr8s.APITimeoutError, kr8s.NotFoundError,
                OSError, ValueError)  # fmt: skip
    try:
        yield
    except failures as error:
        raise ConfigError(f"{what}: {error}") from error
