"""Keeps the number of SLURM jobs while a stage runs.

A cluster of dask-jobqueue forgets a job whose worker is gone but does not submit another, and does
not notice one that ended before its worker joined.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from landslide_dist.cluster.queue import Queue
from landslide_dist.config.cluster import SlurmCluster
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console

if TYPE_CHECKING:
    from dask_jobqueue.slurm import SLURMCluster

#: Longest pause between two submissions while every job fails.
_LONGEST_PAUSE_S = 600.0


def submit_missing(cluster: "SLURMCluster", num_jobs: int) -> None:
    """Submit what is missing to ``num_jobs``.

    Raises:
        ConfigError: ``sbatch`` refuses.
    """
    while len(cluster.worker_spec) < num_jobs:
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        # Not `scale`: it submits in the background, where a refusal is only logged. Scaling down by
        # nothing waits until jobs and specification agree.
        cluster.sync(cluster.scale_down, ())
    except (OSError, RuntimeError) as error:
        reason = str(error).partition("stderr:")[2] or str(error)
        raise ConfigError(f"SLURM refuses the job: {reason.strip()}") from error


@contextmanager
def keep_jobs(cluster: "SLURMCluster", queue: Queue, config: SlurmCluster) -> Iterator[None]:
    """Replace jobs that end, in a thread of its own, until the context ends."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_keep, args=(cluster, queue, config, stop), name="slurm-keeper", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _keep(
    cluster: "SLURMCluster", queue: Queue, config: SlurmCluster, stop: threading.Event
) -> None:
    pause_s = config.check_interval_s
    while not stop.wait(pause_s):
        try:
            replaced = _replace_ended(cluster, queue, config.jobs)
        except ConfigError as error:
            # A controller that restarts, or a quota: what runs goes on, and the next look may do.
            console.print(f"SLURM: {error}", markup=False)
            replaced = True
        # Jobs that end although no worker is left fail at their start: do not flood the queue.
        failing = replaced and not cluster.scheduler_info["workers"]
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) if failing else config.check_interval_s


def _replace_ended(cluster: "SLURMCluster", queue: Queue, num_jobs: int) -> bool:
    # First what was submitted, then what is queued: the other way round a job that has just been
    # submitted would look as if it had ended.
    submitted = {name: job.job_id for name, job in dict(cluster.workers).items()}
    queued = {job.job_id for job in queue.jobs()}
    ended = {name: job_id for name, job_id in submitted.items() if job_id not in queued}
    if ended:
        cluster.sync(cluster.scale_down, tuple(ended))
        console.print(f"SLURM: {len(ended)} of {num_jobs} jobs have ended; submitting others")
    submit_missing(cluster, num_jobs)
    return bool(ended)
