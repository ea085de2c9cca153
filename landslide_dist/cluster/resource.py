"""The ``DaskCluster`` resource that the Dask operator turns into pods."""

from typing import Any

from landslide_dist.cluster.threads import worker_environment
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.errors import ConfigError

#: The one place in a container that can be written to: spilled data, caches.
_SCRATCH = "/tmp"


def cluster_spec(config: KubernetesCluster) -> dict[str, Any]:
    """The ``DaskCluster`` resource; ``kubectl apply`` would take it as it is.

    Raises:
        ConfigError: dask-kubernetes is missing.
    """
    try:
        from dask_kubernetes.operator import make_cluster_spec
    except ImportError as error:
        raise ConfigError(
            f"cluster.kind kubernetes needs a package that is missing ({error.name}): "
            "pip install 'landslide-dist[kubernetes]'"
        ) from error
    spec: dict[str, Any] = make_cluster_spec(
        name=config.name,
        image=config.image,
        n_workers=config.workers,
        worker_command=_worker_command(config),
        env=config.env,
        idle_timeout=config.idle_timeout_s,
    )
    worker = spec["spec"]["worker"]["spec"]
    scheduler = spec["spec"]["scheduler"]["spec"]
    _set_container(worker, config, _resources(config.cores, config.memory_gib))
    _set_container(scheduler, config, _resources(1, config.scheduler_memory_gib))
    limits = worker_environment(config.threads_per_worker)
    worker["containers"][0]["env"] += [{"name": k, "value": v} for k, v in limits.items()]
    # The template calls `dask-scheduler`, which Dask no longer installs.
    scheduler["containers"][0]["args"] = ["scheduler", "--host", "0.0.0.0"]
    return spec


def _worker_command(config: KubernetesCluster) -> list[str]:
    return [
        "worker",
        "--nthreads", str(config.threads_per_worker),
        "--memory-limit", f"{config.memory_gib:g}GiB",
        "--local-directory", _SCRATCH,
    ]  # fmt: skip


def _set_container(pod: dict[str, Any], config: KubernetesCluster, limits: dict[str, str]) -> None:
    """Add what the template leaves out: limits, secrets, and a plain user's rights only."""
    container = pod["containers"][0]
    # Said here, because the entry point of an image may be anything.
    container["command"] = ["dask"]
    # Requested = limited: a pod that is promised less than it uses is the first to be evicted.
    container["resources"] = {"requests": limits, "limits": dict(limits)}
    # Home and Numba's cache of compiled kernels would lie on the file system that is read-only.
    scratch = {"HOME": _SCRATCH, "NUMBA_CACHE_DIR": f"{_SCRATCH}/numba"}
    container["env"] = [*container["env"], *({"name": k, "value": v} for k, v in scratch.items())]
    container["envFrom"] = [{"secretRef": {"name": name}} for name in config.secrets]
    container["volumeMounts"] = [{"name": "scratch", "mountPath": _SCRATCH}]
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    pod["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    pod["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": config.run_as_user,
        "fsGroup": config.run_as_user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if config.service_account is not None:
        pod["serviceAccountName"] = config.service_account
    # Workers call no Kubernetes API; without a role of their own they need no token for it.
    pod["automountServiceAccountToken"] = config.service_account is not None


def _resources(cores: float, memory_gib: float) -> dict[str, str]:
    return {"cpu": f"{cores:g}", "memory": f"{round(memory_gib * 1024)}Mi"}
