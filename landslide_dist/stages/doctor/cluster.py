"""``doctor``: whether the Dask cluster of a run can be reached and made."""

import importlib.util
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from distributed import Client, Worker

from landslide_dist.cluster.queue import check_commands
from landslide_dist.config.cluster import (
    ClusterConfig,
    KubernetesCluster,
    LocalCluster,
    RunningCluster,
    SlurmCluster,
)
from landslide_dist.errors import ConfigError
from landslide_dist.stages.doctor.check import Check, fail, ok, one_line, refused, warn

_NAME = "cluster"
#: A scheduler or controller that is there answers sooner.
_ANSWER_S = 5.0
_SLURM_S = 15.0
_OPERATOR = ("kubernetes.dask.org", "DaskCluster")
_TRAINERS = {
    "trainjob": ("trainer.kubeflow.org", "TrainJob", "Kubeflow Trainer v2"),
    "jobset": ("jobset.x-k8s.io", "JobSet", "JobSet"),
}
_PROFILER = "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False"


def cluster(config: ClusterConfig | None) -> Iterator[Check]:
    """The cluster of a run; nothing is submitted or created."""
    match config:
        case None:
            yield ok(_NAME, "none: threads of this process")
        case LocalCluster():
            yield ok(_NAME, f"{config.workers} processes of this machine")
        case SlurmCluster():
            yield from _slurm(config)
        case KubernetesCluster():
            yield from _kubernetes(config)
        case RunningCluster():
            yield from _running(config)


def _missing(extra: str, *modules: str) -> Iterator[Check]:
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        remedy = f"pip install 'landslide-dist[{extra}]'"
        yield fail(f"{_NAME}, packages", f"{', '.join(absent)} cannot be imported", remedy)
    else:
        yield ok(f"{_NAME}, packages", f"{', '.join(modules)} are there")


def _slurm(config: SlurmCluster) -> Iterator[Check]:
    yield from _missing("slurm", "dask_jobqueue", "cryptography")
    yield from _interface(config)
    yield _logs(config)
    try:
        check_commands()
    except ConfigError as error:
        yield refused(f"{_NAME}, commands", error, "run on a login node, or load SLURM's module")
        return
    try:
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%R|%a|%D"],
            capture_output=True, text=True, check=False, timeout=_SLURM_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"sinfo does not answer: {one_line(error)}; is this a login node?"
        ) from error
    if done.returncode:
        raise ConfigError(
            f"sinfo failed: {one_line(done.stderr)}; is this a login node, and is "
            "SLURM's controller up?"
        )
    yield from _partition(config, [line.split("|") for line in done.stdout.split()])


def _partition(config: SlurmCluster, listed: list[list[str]]) -> Iterator[Check]:
    name = f"{_NAME}, partition"
    states = {partition: state for partition, state, _ in listed}
    wanted = config.partition
    if wanted is None:
        yield ok(name, f"the site's default of {', '.join(states)}")
    elif wanted not in states:
        known = ", ".join(states) or "none"
        yield fail(name, f"{wanted!r} is not there", f"set cluster.partition to one of {known}")
    elif states[wanted] != "up":
        yield warn(name, f"{wanted!r} is {states[wanted]}", "jobs wait until it is up")
    else:
        yield ok(name, f"{wanted!r} is up")


def _interface(config: SlurmCluster) -> Iterator[Check]:
    there = [name for _, name in socket.if_nameindex()]
    if config.interface is not None and config.interface not in there:
        yield fail(
            f"{_NAME}, interface",
            f"this machine has no network {config.interface!r}",
            f"set cluster.interface to one of {', '.join(there)}, or to null",
        )


def _logs(config: SlurmCluster) -> Check:
    folder = Path(config.log_directory).absolute()
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    if os.access(there, os.W_OK):
        return ok(f"{_NAME}, logs", f"{there} can be written; the nodes must share it")
    return fail(
        f"{_NAME}, logs", f"{there} cannot be written", "give cluster.log_directory another"
    )


def _kubernetes(config: KubernetesCluster) -> Iterator[Check]:
    packages = list(_missing("kubernetes", "dask_kubernetes", "kr8s"))
    yield from packages
    if any(check.status == "fail" for check in packages):
        return
    kinds = _resource_kinds(config.namespace)
    yield ok(f"{_NAME}, API server", f"answers, with {len(kinds)} kinds of resources")
    if _OPERATOR in kinds:
        yield ok(f"{_NAME}, operator", "DaskCluster is a kind of this cluster")
    else:
        yield fail(
            f"{_NAME}, operator",
            "DaskCluster is not a kind of this cluster",
            "install Dask's operator, https://kubernetes.dask.org: helm install --repo "
            "https://helm.dask.org --create-namespace -n dask-operator --generate-name "
            "dask-kubernetes-operator",
        )
    *kind, product = _TRAINERS[config.pipeline.trainer]
    if tuple(kind) in kinds:
        yield ok(f"{_NAME}, trainer", f"{kind[1]} is a kind of this cluster")
    else:
        yield warn(
            f"{_NAME}, trainer",
            f"{kind[1]} is not a kind of this cluster, which submit needs",
            f"install {product}, or set cluster.pipeline.trainer",
        )


def _resource_kinds(namespace: str | None) -> set[tuple[str, str]]:
    """API group and kind of all that the cluster knows; discovery needs no rights."""
    import httpx
    import kr8s

    failures = (httpx.HTTPError, kr8s.ServerError, kr8s.APITimeoutError, kr8s.NotFoundError,
                OSError, ValueError)  # fmt: skip
    try:
        api: Any = kr8s.api(namespace=namespace)
        api.timeout = _ANSWER_S
        return {(r["version"].rpartition("/")[0], r["kind"]) for r in api.api_resources()}
    except failures as error:
        raise ConfigError(
            f"no Kubernetes cluster answers: {one_line(error)}; set KUBECONFIG, or run in a pod"
        ) from error


def _running(config: RunningCluster) -> Iterator[Check]:
    with warnings.catch_warnings(record=True):
        # Versions are compared below.
        warnings.simplefilter("always")
        try:
            client = Client(config.address, timeout=_ANSWER_S)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"no Dask scheduler answers at {config.address!r}: {one_line(error)}; start one, "
                "or correct cluster.address"
            ) from error
    with client:
        yield ok(f"{_NAME}, scheduler", f"answers at {config.address}")
        there = len(client.nthreads())
        if there < config.workers:
            yield warn(
                f"{_NAME}, number of workers",
                f"{there} of {config.workers} are there",
                "start more, or lower cluster.workers",
            )
        if there:
            yield _versions(client)
            yield from _workers(client)


def _versions(client: Client) -> Check:
    """Python and Dask of scheduler and workers against ours."""
    name = f"{_NAME}, versions"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            client.get_versions(check=True)
        except ValueError as error:
            return fail(name, one_line(error), "install the same versions everywhere")
    differences = [one_line(warning.message) for warning in said]
    if differences:
        return warn(name, "; ".join(differences), "install the same versions everywhere")
    return ok(name, "Python and Dask are the same everywhere")


def _workers(client: Client) -> Iterator[Check]:
    """This package in the workers, and a profiler that can hang them."""
    name, own = f"{_NAME}, workers", metadata.version("landslide-dist")
    try:
        workers = client.run(_about)
    except ImportError as error:
        yield fail(name, f"lack a package ({error})", f"install landslide-dist {own} there")
        return
    others = sorted({version for version, _ in workers.values()} - {own})
    if others:
        found = f"have landslide-dist {', '.join(others)}, here it is {own}"
        yield fail(name, found, "install the same version everywhere")
    else:
        yield ok(name, f"{len(workers)} with landslide-dist {own}")
    if num_profiled := sum(at_risk for _, at_risk in workers.values()):
        yield warn(
            f"{_NAME}, profiler",
            f"Dask's profiler can hang {num_profiled} workers on Python 3.11 (cpython#106883)",
            f"start them with {_PROFILER}",
        )


def _about(dask_worker: Worker) -> tuple[str, bool]:
    """Version of this package in a worker, and whether its profiler can hang it; runs there."""
    callback = dask_worker.periodic_callbacks.get("profile")
    at_risk = sys.version_info < (3, 12) and callback is not None and callback.is_running()
    return metadata.version("landslide-dist"), at_risk
