"""The jobs of one run in SLURM's queue, found by the name that only they have."""

import getpass
import shutil
import subprocess
from dataclasses import dataclass

from landslide_dist.errors import ConfigError

_COMMANDS = ("sbatch", "squeue", "scancel")


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
        done = subprocess.run(
            [command, *mine, *options], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ConfigError(f"{command} failed: {done.stderr.strip()}")
        return done.stdout
