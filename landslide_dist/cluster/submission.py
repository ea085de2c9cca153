"""What ``submit`` hands over and ``status`` finds again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from landslide_dist.errors import ConfigError
from landslide_dist.whole_file import write_whole

#: How settings of the cluster begin, of a run and of several events.
OF_CLUSTER = ("cluster.", "common.cluster.")


@dataclass(frozen=True)
class Invocation:
    """The command line of a run, for commands of the same run.

    Attributes:
        path: Its YAML file.
        overrides: ``a.b=value`` settings.
        cluster: YAML file of the cluster, where it is one of its own.
    """

    path: Path
    overrides: tuple[str, ...] = ()
    cluster: Path | None = None

    @property
    def of_run(self) -> tuple[str, ...]:
        """The settings without those that change a cluster file of its own."""
        if self.cluster is None:
            return self.overrides
        return tuple(s for s in self.overrides if not s.startswith(OF_CLUSTER))

    def words(self, command: Sequence[str], with_cluster: bool = False) -> list[str]:
        """Words of one command, after the program's name.

        Args:
            command: Its name and options.
            with_cluster: Whether it is to use a cluster file of its own.
        """
        name, *options = command
        words = [name, str(self.path.absolute()), *options]
        if with_cluster and self.cluster is not None:
            words += ["--cluster", str(self.cluster.absolute())]
        settings = self.overrides if with_cluster else self.of_run
        return words + [word for setting in settings for word in ("--set", setting)]


@dataclass(frozen=True)
class SubmittedJob:
    """One job of a run.

    Attributes:
        step: Its name.
        job_id: Of SLURM.
        parts: Of an array; 0 for a single job.
        log: File with its output; of an array with ``%a`` for the number.
        outcome: File with its exit status, there when it has ended; of an array likewise.
    """

    step: str
    job_id: str
    parts: int
    log: str
    outcome: str

    def numbered(self, template: str) -> list[Path]:
        """A file of each of its parts."""
        return [Path(template.replace("%a", str(i))) for i in range(self.parts or 1)]


@dataclass(frozen=True)
class StepStatus:
    """How far one job of a run is.

    Attributes:
        step: Its step; with its number where several share it.
        job: What the cluster calls it.
        state: As the cluster says, or how it ended.
        outcome: Whether it goes on, ended well, or will not end well any more.
        note: Why it waits, or what it said last.
    """

    step: str
    job: str
    state: str
    outcome: Literal["open", "done", "failed"]
    note: str


def jobs_folder(run_dir: str) -> Path:
    """Scripts, logs and outcomes of the jobs of a run."""
    return Path(run_dir).absolute() / "jobs"


def keep_jobs_of(run_dir: str, jobs: Sequence[SubmittedJob]) -> None:
    """Note what was submitted."""
    content = [asdict(job) for job in jobs]
    write_whole(jobs_folder(run_dir) / "submitted.json", json.dumps(content, indent=1))


def jobs_of(run_dir: str) -> list[SubmittedJob]:
    """What was submitted; nothing where there is no note."""
    path = jobs_folder(run_dir) / "submitted.json"
    if not path.exists():
        return []
    try:
        return [SubmittedJob(**entry) for entry in json.loads(path.read_text("utf-8"))]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{str(path)!r} is damaged: remove it and submit again") from error
