"""A whole run as SLURM batch jobs: scripts from ``deploy/slurm``, one waiting for the other."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from landslide_dist.cluster.deployed import deploy_folder
from landslide_dist.cluster.queue import check_commands
from landslide_dist.cluster.steps import ON_DASK, Step
from landslide_dist.cluster.submission import Invocation, SubmittedJob, jobs_folder
from landslide_dist.config.cluster import SlurmCluster
from landslide_dist.config.pipeline import SlurmJob
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console
from landslide_dist.whole_file import write_whole

_TEMPLATES = {
    "prepare": "derive.sbatch.j2",
    "train": "train.sbatch.j2",
    "predict": "predict.sbatch.j2",
    "experiment": "experiment.sbatch.j2",
    "report": "report.sbatch.j2",
}


@dataclass(frozen=True)
class Batch:
    """The jobs of one run.

    Attributes:
        name: Of the run.
        run_dir: Its folder, which the nodes share.
        invocation: How its commands are called.
        cluster: SLURM's settings.
        devices: The setting that says how many processes an experiment starts.
    """

    name: str
    run_dir: str
    invocation: Invocation
    cluster: SlurmCluster
    devices: str

    def script(self, step: Step) -> str:
        """The batch script of a step."""
        environment = Environment(
            loader=FileSystemLoader(deploy_folder() / "slurm"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters["quote"] = shlex.quote
        template = environment.get_template(_TEMPLATES[step.size])
        log, outcome = self._files(step)
        text = template.render(
            step=step,
            run=self.name,
            job_name=f"{self.name}-{step.name}",
            size=self._size(step),
            pipeline=self.cluster.pipeline,
            cluster=self.cluster,
            folder=os.getcwd(),
            log=shlex.quote(log),
            outcome=_in_shell(outcome),
            devices=f"--set {self.devices}",
            commands=[self._command(words) for words in step.commands],
        )
        return text.rstrip() + "\n"

    def submit(self, steps: Sequence[Step]) -> list[SubmittedJob]:
        """Write the scripts and queue them, each after the one before it.

        Raises:
            ConfigError: SLURM is not here or refuses a job; those before it are taken back.
        """
        check_commands()
        jobs: list[SubmittedJob] = []
        folder = jobs_folder(self.run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        for step in steps:
            path = folder / f"{step.name}.sbatch"
            write_whole(path, self.script(step))
            log, outcome = self._files(step)
            job = SubmittedJob(step.name, "", step.parts, log, outcome)
            for old in job.numbered(outcome):
                old.unlink(missing_ok=True)
            options = ["--parsable", "--kill-on-invalid-dep=yes"]
            if jobs:
                options.append(f"--dependency=afterok:{jobs[-1].job_id}")
            done = subprocess.run(
                ["sbatch", *options, path], capture_output=True, text=True, check=False
            )
            if done.returncode:
                for earlier in jobs:
                    subprocess.run(["scancel", earlier.job_id], check=False)
                raise ConfigError(f"sbatch refused {str(path)!r}: {done.stderr.strip()}")
            job_id = done.stdout.strip().partition(";")[0]
            jobs.append(SubmittedJob(step.name, job_id, step.parts, log, outcome))
            console.print(f"submit: {step.name} is SLURM job {job_id}, {path}")
        return jobs

    def _size(self, step: Step) -> SlurmJob:
        size = getattr(self.cluster.pipeline, step.size)
        assert isinstance(size, SlurmJob)
        return size

    def _files(self, step: Step) -> tuple[str, str]:
        """Files with the output and the outcome of a step, ``%a`` for the number in an array."""
        number = "-%a" if step.parts else ""
        folder = jobs_folder(self.run_dir)
        return f"{folder}/{step.name}{number}.log", f"{folder}/{step.name}{number}.exit"

    def _command(self, words: Sequence[str]) -> str:
        python = Path(self.cluster.python or sys.executable)
        program = str(python.with_name("landslide-dist"))
        return shlex.join([program, *self.invocation.words(words, words[0] in ON_DASK)])


def _in_shell(path: str) -> str:
    before, number, after = path.partition("%a")
    quoted = shlex.quote(before)
    return f'{quoted}"$SLURM_ARRAY_TASK_ID"{shlex.quote(after)}' if number else quoted
