"""The jobs of one run in SLURM's queue, found by the name that only they have."""

import getpass
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from landslide_dist.errors import ConfigError

_COMMANDS = ("sbatch", "squeue", "scancel")

#: States that a job does not leave, as squeue names them.
_ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
     "PREEMPTED", "REVOKED", "TIMEOUT"}
)  # fmt: skip


@dataclass(frozen=True)
class QueuedJob:
    """A job that has not ended."""

    job_id: str
    state: str  # PENDING, RUNNING, …
    reason: str  # why it is pending, in SLURM's words

    def __str__(self) -> str:
        return f"{self.job_id} {self.state} ({self.reason})"


def check_commands() -> None:
    """Refuse a machine from which no job can be submitted.

    Raises:
        ConfigError: SLURM's commands are not there.
    """
    missing = [name for name in _COMMANDS if shutil.which(name) is None]
    if missing:
        raise ConfigError(
            f"cluster.kind slurm needs {', '.join(missing)}: run on a login node, or on a node "
            "where SLURM's commands are on PATH"
        )


@dataclass(frozen=True)
class JobState:
    """What SLURM says of one job, or of one of an array."""

    state: str
    reason: str
    minutes: str  # that it has run, as SLURM writes it

    @property
    def is_active(self) -> bool:
        """Whether it waits, runs or ends just now."""
        return self.state not in _ENDED


def job_states(job_ids: Sequence[str]) -> dict[tuple[str, int], JobState]:
    """States of jobs by id and number in the array (0 for a single job); only of those it knows.

    Raises:
        ConfigError: SLURM's commands are not there, or it does not answer.
    """
    if not job_ids:
        return {}
    check_commands()
    listed = _output(
        "squeue", f"--user={getpass.getuser()}", "--states=all", "--array", "--noheader",
        "--format=%F|%K|%T|%M|%r",
    )  # fmt: skip
    states = {}
    for line in listed.splitlines():
        job_id, number, state, minutes, reason = line.split("|", 4)
        if job_id in job_ids:
            at = (job_id, int(number) if number.isdigit() else 0)
            states[at] = JobState(state, reason, minutes)
    return states


@dataclass(frozen=True)
class Queue:
    """Looks at and cancels the user's jobs called ``job_name``."""

    job_name: str

    def jobs(self) -> list[QueuedJob]:
        """Jobs that wait or run.

        Raises:
            ConfigError: SLURM does not answer.
        """
        listed = self._call("squeue", "--noheader", "--format=%i|%T|%r")
        return [QueuedJob(*line.split("|", 2)) for line in listed.splitlines()]

    def cancel(self) -> None:
        """End all of them.

        Raises:
            ConfigError: SLURM does not answer.
        """
        self._call("scancel")

    def _call(self, command: str, *options: str) -> str:
        mine = (f"--name={self.job_name}", f"--user={getpass.getuser()}")
        return _output(command, *mine, *options)


def _output(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{words[0]} failed: {done.stderr.strip()}")
    return done.stdout
