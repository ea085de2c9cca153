"""``status``: how far the jobs of a run are."""

import re
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from landslide_dist.cluster.queue import JobState, job_states
from landslide_dist.cluster.submission import StepStatus, SubmittedJob, jobs_of
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.config.load import AnyConfig
from landslide_dist.errors import ConfigError
from landslide_dist.stages.submit import cluster_of

_PAUSE_S = 10.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def status(config: AnyConfig, follow: bool = False) -> bool:
    """Print how far the jobs of a run are.

    Args:
        config: The run, as it was submitted.
        follow: Print again whenever something changes, until all jobs have ended.

    Returns:
        Whether none has failed.

    Raises:
        ConfigError: Nothing was submitted, or the cluster does not answer.
    """
    look = _look(config)
    shown: list[StepStatus] = []
    while True:
        standings = look()
        if standings != shown:
            Console().print(_table(config.name, standings))
        shown = standings
        if not follow or all(standing.outcome != "open" for standing in standings):
            return all(standing.outcome != "failed" for standing in standings)
        time.sleep(_PAUSE_S)


def _look(config: AnyConfig) -> Callable[[], list[StepStatus]]:
    cluster = cluster_of(config)
    if isinstance(cluster, KubernetesCluster):
        from landslide_dist.cluster.release_status import steps_of_release

        kubernetes = cluster
        return lambda: steps_of_release(kubernetes)
    jobs = jobs_of(config.run_dir)
    if not jobs:
        raise ConfigError(
            f"no jobs of {config.run_dir!r} were submitted: `landslide-dist submit` does"
        )
    return lambda: _slurm_standings(jobs)


def _slurm_standings(jobs: list[SubmittedJob]) -> list[StepStatus]:
    states = job_states([job.job_id for job in jobs])
    return [
        _slurm_standing(job, number, states.get((job.job_id, number)))
        for job in jobs
        for number in range(job.parts or 1)
    ]


def _slurm_standing(job: SubmittedJob, number: int, state: JobState | None) -> StepStatus:
    name = f"{job.step} {number}" if job.parts else job.step
    job_id = f"{job.job_id}_{number}" if job.parts else job.job_id
    log, outcome = (job.numbered(template)[number] for template in (job.log, job.outcome))
    said = _last_line(log.read_text(errors="replace")) if log.exists() else ""
    if state is not None and state.is_active:
        waits = state.state == "PENDING"
        shown = state.state.lower() + ("" if waits else f" {state.minutes}")
        return StepStatus(name, job_id, shown, "open", state.reason if waits else said)
    if not outcome.exists():
        gone = "gone" if state is None else state.state.lower()
        return StepStatus(name, job_id, gone, "failed", said or "it never ran")
    code = outcome.read_text().strip()
    if code == "0":
        return StepStatus(name, job_id, "done", "done", said)
    return StepStatus(name, job_id, f"exit status {code}", "failed", f"{said} ({log})")


def _last_line(text: str) -> str:
    lines = _COLOURS.sub("", text).strip().splitlines()
    return lines[-1] if lines else ""


def _table(name: str, standings: list[StepStatus]) -> Table:
    table = Table(title=name)
    for column in ("step", "job", "state", "last"):
        table.add_column(column, overflow="fold")
    style = {"open": None, "done": "green", "failed": "bold red"}
    for s in standings:
        table.add_row(s.step, s.job, s.state, s.note, style=style[s.outcome])
    return table
