"""The Dask cluster of ingest and derive: one model a kind, each with its own fields only."""

import os
from typing import Annotated, Literal

from pydantic import Field, model_validator

from landslide_dist.config.base import Config
from landslide_dist.config.pipeline import KubernetesPipeline, SlurmPipeline
from landslide_dist.errors import ConfigError

#: Parts of names whose values belong in a Kubernetes Secret, not in a file that is shared.
_SECRET_WORDS = ("SECRET", "PASSWORD", "TOKEN", "ACCESS_KEY")

_START_TIMEOUT_S = 600.0

#: A worker process with this package imported and its kernels compiled.
_RESTING_BYTES = 400 * 2**20


class LocalCluster(Config):
    """Worker processes of this machine."""

    kind: Literal["local"]
    workers: int = Field(2, ge=1, description="processes")
    threads_per_worker: int = Field(1, ge=1, description="blocks a worker computes at a time")
    memory_gib: float = Field(4.0, gt=0, description="of each worker")


class RunningCluster(Config):
    """A scheduler that is already there."""

    kind: Literal["address"]
    address: str = Field(
        pattern=r"^\w+://.+", description="of the scheduler, e.g. tcp://10.0.0.5:8786"
    )
    workers: int = Field(1, ge=1, description="start when this many have joined")
    connect_timeout_s: float = Field(30.0, gt=0, description="longest wait for the scheduler")
    start_timeout_s: float = Field(300.0, gt=0, description="longest wait for the workers")


class SlurmCluster(Config):
    """Batch jobs of Dask workers, submitted from where the stage runs."""

    kind: Literal["slurm"]
    jobs: int = Field(2, ge=1, description="fixed number of jobs; one that ends is replaced")
    cores: int = Field(4, ge=1, description="of a job")
    memory_gib: float = Field(16.0, gt=0, description="of a job, shared by its processes")
    processes: int = Field(4, ge=1, description="workers of a job; cores / processes threads each")
    walltime_minutes: int = Field(120, ge=5, description="of a job; its workers leave before it")
    partition: str | None = Field(None, description="null: the site's default")
    account: str | None = Field(None, description="null: the user's default")
    interface: str | None = Field(
        None, description="network of scheduler and workers, e.g. ib0; null: Dask's choice"
    )
    python: str | None = Field(
        None, description="interpreter on the nodes; null: the path of the running one"
    )
    log_directory: str = Field(
        "runs/slurm", description="output of the jobs; on a file system that the nodes share"
    )
    local_directory: str | None = Field(
        None, description="fast disk of a node for spilling, e.g. $TMPDIR; null: Dask's choice"
    )
    job_extra_directives: tuple[str, ...] = Field(
        (), description="further #SBATCH options, e.g. --qos=normal"
    )
    job_script_prologue: tuple[str, ...] = Field(
        (), description="shell lines before the workers start, e.g. module load"
    )
    start_timeout_s: float = Field(
        _START_TIMEOUT_S, gt=0, description="longest wait in the queue for a first worker"
    )
    check_interval_s: float = Field(15.0, gt=0, description="between two looks at the queue")
    pipeline: SlurmPipeline = SlurmPipeline()

    @model_validator(mode="after")
    def _processes_share_the_cores(self) -> "SlurmCluster":
        if self.cores % self.processes:
            raise ValueError(
                f"cores {self.cores} is not a multiple of processes {self.processes}: "
                "every worker gets the same number of threads"
            )
        return self


class KubernetesCluster(Config):
    """A ``DaskCluster`` resource, run by the Dask operator."""

    kind: Literal["kubernetes"]
    name: str = Field(
        "landslide-dist",
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        # Names of pods begin with it and have 63 letters at most.
        max_length=45,
        description="of the resource; two runs at once need two names",
    )
    namespace: str | None = Field(None, description="null: the one of the kube context")
    image: str = Field(description="container image with this package, the same version")
    workers: int = Field(2, ge=1, description="fixed number of worker pods")
    threads_per_worker: int = Field(1, ge=1, description="blocks a worker computes at a time")
    cores: float = Field(1.0, gt=0, description="CPU of a worker pod, requested and limited")
    memory_gib: float = Field(4.0, gt=0, description="of a worker pod, requested and limited")
    scheduler_memory_gib: float = Field(2.0, gt=0, description="of the scheduler pod")
    env: dict[str, str] = Field({}, description="plain environment, e.g. AWS_ENDPOINT_URL")
    secrets: tuple[str, ...] = Field(
        (), description="Kubernetes Secrets whose keys become environment variables"
    )
    service_account: str | None = Field(None, description="of the pods, e.g. one with a cloud role")
    run_as_user: int = Field(1000, ge=1, description="user id in the containers, never root")
    idle_timeout_s: int = Field(
        900, ge=0, description="the operator removes a cluster without work after; 0: never"
    )
    start_timeout_s: float = Field(
        _START_TIMEOUT_S, gt=0, description="longest wait for a first worker"
    )
    pipeline: KubernetesPipeline = KubernetesPipeline()

    @model_validator(mode="after")
    def _no_credentials(self) -> "KubernetesCluster":
        leaks = [name for name in self.env if any(w in name.upper() for w in _SECRET_WORDS)]
        if leaks:
            raise ValueError(
                f"env holds {', '.join(leaks)}: put credentials into a Kubernetes Secret and "
                "name it in secrets"
            )
        return self


ClusterConfig = Annotated[
    LocalCluster | RunningCluster | SlurmCluster | KubernetesCluster, Field(discriminator="kind")
]


def worker_shape(config: ClusterConfig | None) -> tuple[int, int]:
    """Workers and threads of each; without a cluster, one process with a thread a core.

    Of a scheduler that is already there only the number of workers is known.
    """
    if config is None:
        return 1, os.cpu_count() or 1
    if isinstance(config, SlurmCluster):
        return config.jobs * config.processes, config.cores // config.processes
    if isinstance(config, RunningCluster):
        return config.workers, 1
    return config.workers, config.threads_per_worker


def check_memory(config: ClusterConfig | None, thread_bytes: int, block_px: int) -> None:
    """Refuse workers that could not hold their blocks; Dask would only kill them, again and again.

    Args:
        config: The cluster; nothing is known of one that runs already.
        thread_bytes: What one computing thread needs.
        block_px: Side of a block, for the message.

    Raises:
        ConfigError: A worker's memory is less than its threads need.
    """
    if config is None or isinstance(config, RunningCluster):
        return
    _, threads = worker_shape(config)
    given = config.memory_gib * 2**30
    if isinstance(config, SlurmCluster):
        given /= config.processes
    needed = _RESTING_BYTES + threads * thread_bytes
    if given < needed:
        raise ConfigError(
            f"a worker of {threads} threads needs {needed / 2**30:.2f} GiB for blocks of "
            f"{block_px} px but has {given / 2**30:.2f} GiB: raise cluster.memory_gib, or take a "
            "smaller cube.storage.shard_px"
        )
