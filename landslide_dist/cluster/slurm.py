"""Dask workers in SLURM jobs.

The scheduler lives in the process of the stage. Jobs have a fixed number: a worker leaves before
its walltime, hands its blocks back and its job ends; the keeper submits another in its place, as it
does for one that was cancelled or killed.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from distributed import Client

from landslide_dist.cluster.credentials import temporary_security
from landslide_dist.cluster.queue import Queue, check_commands
from landslide_dist.cluster.threads import worker_environment
from landslide_dist.config.cluster import SlurmCluster
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console

if TYPE_CHECKING:
    from dask_jobqueue.slurm import SLURMCluster

#: Shares of the walltime: how far apart the ends of the workers lie, so that they do not all leave
#: at once, and what is kept for the start of a job and an orderly end of its workers.
_STAGGER, _MARGIN = 0.1, 0.1

_LOG_LINES = 3


@contextmanager
def connect_slurm(config: SlurmCluster) -> Iterator[Client]:
    """Submit the jobs and wait for the first worker; all jobs are cancelled on the way out.

    Raises:
        ConfigError: dask-jobqueue or SLURM is missing, a job is refused, or no worker comes.
    """
    from landslide_dist.cluster.keeper import keep_jobs, submit_missing

    check_commands()
    queue = Queue(f"landslide-dist-{uuid.uuid4().hex[:8]}")
    try:
        with slurm_cluster(config, queue.job_name) as cluster:
            submit_missing(cluster, config.jobs)
            console.print(f"SLURM: {config.jobs} jobs submitted, {queue.job_name}")
            with Client(cluster) as client:
                _wait_for_worker(client, queue, config)
                with keep_jobs(cluster, queue, config):
                    yield client
    finally:
        # By name and not by the list of the cluster: an interrupt may come between the submission
        # of a job and its entry there.
        queue.cancel()


@contextmanager
def slurm_cluster(config: SlurmCluster, job_name: str) -> Iterator["SLURMCluster"]:
    """The cluster with its scheduler, before any job is submitted.

    Raises:
        ConfigError: dask-jobqueue is missing, or the scheduler cannot start as configured.
    """
    try:
        import cryptography  # noqa: F401 - distributed makes certificates with it

        from landslide_dist.cluster.job import OwnSlurmCluster
    except ImportError as error:
        raise ConfigError(
            f"cluster.kind slurm needs a package that is missing ({error.name}): "
            "pip install 'landslide-dist[slurm]'"
        ) from error
    logs = Path(config.log_directory).absolute()
    with ExitStack() as stack:
        try:
            logs.mkdir(parents=True, exist_ok=True)
            security = stack.enter_context(temporary_security(logs))
            options = _options(config, job_name, str(logs))
            cluster = stack.enter_context(OwnSlurmCluster(security=security, **options))
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(f"the Dask scheduler for SLURM cannot start: {error}") from error
        yield cluster


def _options(config: SlurmCluster, job_name: str, logs: str) -> dict[str, Any]:
    environment = worker_environment(config.cores // config.processes)
    exports = [f"export {name}={value}" for name, value in environment.items()]
    return {
        "job_name": job_name,
        "queue": config.partition,
        "account": config.account,
        "cores": config.cores,
        "memory": f"{config.memory_gib}GiB",
        "processes": config.processes,
        "walltime": str(config.walltime_minutes),
        "interface": config.interface,
        "python": config.python,
        "log_directory": logs,
        "local_directory": config.local_directory,
        # SLURM would hold a job that lost its node for two minutes; the keeper replaces it at once.
        "job_extra_directives": ["--no-requeue", *config.job_extra_directives],
        # Ours come last: a module of the site may set OMP_NUM_THREADS to the cores of the job.
        "job_script_prologue": [*config.job_script_prologue, *exports],
        "worker_extra_args": _lifetime(config.walltime_minutes),
        "scheduler_options": _scheduler(config),
    }


def _scheduler(config: SlurmCluster) -> dict[str, Any]:
    # Any free port: several runs share a login node.
    address = {"interface": config.interface} if config.interface else {}
    return {"dashboard_address": ":0", **address}


def _lifetime(walltime_minutes: int) -> list[str]:
    """Options that let workers leave, staggered, before SLURM ends their job."""
    walltime_s = 60 * walltime_minutes
    # A worker's lifetime is drawn from lifetime ± stagger.
    stagger_s = round(walltime_s * _STAGGER / 2)
    lifetime_s = round(walltime_s * (1 - _MARGIN)) - stagger_s
    return [
        "--lifetime", f"{lifetime_s}s",
        "--lifetime-stagger", f"{stagger_s}s",
        "--no-lifetime-restart",
    ]  # fmt: skip


def _wait_for_worker(client: Client, queue: Queue, config: SlurmCluster) -> None:
    deadline = monotonic() + config.start_timeout_s
    while True:
        pause_s = min(config.check_interval_s, max(0.1, deadline - monotonic()))
        try:
            client.wait_for_workers(1, timeout=pause_s)
            return
        except TimeoutError:
            jobs = queue.jobs()
        if not jobs:
            raise ConfigError(
                f"all {config.jobs} SLURM jobs ended before a worker joined: {_last_words(config)}"
            )
        if monotonic() >= deadline:
            raise ConfigError(
                f"no worker has joined after {config.start_timeout_s:g} s "
                f"(cluster.start_timeout_s); SLURM jobs: {', '.join(map(str, jobs))}; see "
                f"{config.log_directory} for those that run"
            )


def _last_words(config: SlurmCluster) -> str:
    """Where the output of the last job is, and how it ends."""
    logs = sorted(Path(config.log_directory).glob("*.err"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return f"no output in {config.log_directory!r}; do the nodes share that folder?"
    lines = logs[-1].read_text(errors="replace").strip().splitlines()
    return f"{logs[-1]}: {' | '.join(lines[-_LOG_LINES:]) or 'empty'}"
