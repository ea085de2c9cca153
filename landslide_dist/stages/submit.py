"""``submit``: a whole run, or its experiment, as jobs of a cluster."""

from collections.abc import Sequence
from pathlib import Path

import typer
from pydantic import TypeAdapter

from landslide_dist.cluster.queue import job_states
from landslide_dist.cluster.sbatch import Batch
from landslide_dist.cluster.steps import Step
from landslide_dist.cluster.submission import Invocation, jobs_of, keep_jobs_of
from landslide_dist.config.cluster import ClusterConfig, KubernetesCluster, SlurmCluster
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import AnyConfig
from landslide_dist.errors import ConfigError


def submit(
    config: AnyConfig, steps: Sequence[Step], invocation: Invocation, dry_run: bool = False
) -> None:
    """Hand a run over to a batch system; the jobs go on when this command has ended.

    Args:
        config: The run; its cluster says where.
        steps: Its jobs, or those of its experiment or search.
        invocation: How their commands name it.
        dry_run: Print what would be handed over, and hand nothing over.

    Raises:
        ConfigError: The cluster has no jobs, refuses one, or still has those of an earlier call.
    """
    match cluster_of(config):
        case SlurmCluster() as cluster:
            devices = "common.training.devices" if isinstance(config, EventsConfig) else (
                "training.devices"
            )  # fmt: skip
            batch = Batch(config.name, config.run_dir, invocation, cluster, devices)
            if dry_run:
                typer.echo("\n".join(batch.script(step) for step in steps), nl=False)
                return
            _check_none_queued(config.run_dir)
            Path(cluster.log_directory).mkdir(parents=True, exist_ok=True)
            keep_jobs_of(config.run_dir, batch.submit(steps))
        case KubernetesCluster() as cluster:
            from landslide_dist.cluster.chart import Release

            release = Release(cluster, invocation, steps)
            if dry_run:
                typer.echo(release.manifests(), nl=False)
                return
            release.install()
        case other:
            kind = "none" if other is None else other.kind
            raise ConfigError(
                f"submit needs a cluster of kind slurm or kubernetes, the run has {kind}: give "
                "--cluster, or `landslide-dist run` on this machine"
            )


def cluster_of(config: AnyConfig) -> ClusterConfig | None:
    """Where a run of any kind computes."""
    if not isinstance(config, EventsConfig):
        return config.cluster
    # Events share it, as they share all that is common to them.
    given = config.common.get("cluster")
    adapter: TypeAdapter[ClusterConfig] = TypeAdapter(ClusterConfig)
    return None if given is None else adapter.validate_python(given)


def _check_none_queued(run_dir: str) -> None:
    states = job_states([job.job_id for job in jobs_of(run_dir)])
    waiting = sorted({job_id for (job_id, _), state in states.items() if state.is_active})
    if waiting:
        raise ConfigError(
            f"jobs {', '.join(waiting)} of {run_dir!r} are still in the queue: follow them with "
            "`landslide-dist status`, or scancel them first"
        )
