"""How far the jobs of a release are: what its JobSet and their pods say."""

from typing import Any

from landslide_dist.cluster.kubernetes import one_line, state_of
from landslide_dist.cluster.submission import StepStatus
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.errors import ConfigError

_NAME = "jobset.sigs.k8s.io/jobset-name"
_STEP = "jobset.sigs.k8s.io/replicatedjob-name"


def steps_of_release(config: KubernetesCluster) -> list[StepStatus]:
    """Each step of a submitted run, and what its pods do or wait for.

    Raises:
        ConfigError: A package is missing, no Kubernetes cluster answers, or there is no JobSet of
            that name.
    """
    try:
        import kr8s
        from kr8s.objects import Pod, new_class
    except ImportError as error:
        raise ConfigError(
            f"status of a run on Kubernetes needs a package that is missing ({error.name}): "
            "pip install 'landslide-dist[kubernetes]'"
        ) from error

    with one_line("no Kubernetes cluster answers, set KUBECONFIG or run in a pod"):
        api: Any = kr8s.api(namespace=config.namespace)
        kind = new_class("JobSet", version="jobset.x-k8s.io/v1alpha2", asyncio=False)
        found = list(api.get(kind, config.name))
        if not found:
            raise ConfigError(
                f"there is no JobSet {config.name!r} in namespace {api.namespace!r}: "
                "`landslide-dist submit` makes it"
            )
        pods = list(Pod.list(namespace=api.namespace, label_selector={_NAME: config.name}))
    jobset = found[0].raw
    failed = jobset.get("status", {}).get("terminalState") == "Failed"
    counts = {
        entry["name"]: entry for entry in jobset.get("status", {}).get("replicatedJobsStatus", [])
    }
    return [
        _status(job["name"], job.get("replicas", 1), counts.get(job["name"], {}), failed, pods)
        for job in jobset["spec"]["replicatedJobs"]
    ]


def _status(
    name: str, replicas: int, count: dict[str, int], failed: bool, pods: list[Any]
) -> StepStatus:
    mine = [pod for pod in pods if pod.labels.get(_STEP) == name]
    note = ", ".join(f"{pod.name} {state_of(pod.status)}" for pod in mine)
    if count.get("succeeded", 0) >= replicas:
        return StepStatus(name, name, "done", "done", note)
    if failed:
        return StepStatus(name, name, "failed", "failed", note or "it never ran")
    state = "running" if count.get("active", 0) else "waiting"
    return StepStatus(name, name, state, "open", note)
