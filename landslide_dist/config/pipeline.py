"""What the jobs of a whole run ask a batch system for; ``submit`` reads it."""

from typing import Literal

from pydantic import Field, model_validator

from landslide_dist.config.base import Config


class JobSize(Config):
    """Nodes (or pods) of one job, all alike."""

    nodes: int = Field(1, ge=1, description="nodes, or pods")
    processes: int = Field(
        1, ge=1, description="of a node; with GPUs one each; training takes them as ranks"
    )
    cores: int = Field(2, ge=1, description="of a node, shared by its processes")
    gpus: int = Field(0, ge=0, description="of a node")
    memory_gib: float = Field(8.0, gt=0, description="of a node")

    @model_validator(mode="after")
    def _shared_out(self) -> "JobSize":
        if self.cores % self.processes:
            raise ValueError(
                f"cores {self.cores} is not a multiple of processes {self.processes}: "
                "every process gets the same number"
            )
        if self.gpus and self.gpus != self.processes:
            raise ValueError(
                f"gpus {self.gpus} and processes {self.processes} differ: a process drives one GPU"
            )
        return self


class SlurmJob(JobSize):
    """The same with SLURM's own settings."""

    walltime_minutes: int = Field(720, ge=2, description="the job is queued again at its end")
    directives: tuple[str, ...] = Field(
        (), description="further #SBATCH options, e.g. --constraint=a100"
    )


class SlurmPipeline(Config):
    """Batch jobs of a whole run, each started when the one before it has ended well."""

    setup: str | None = Field(
        None, description="shell file that every job reads first: modules, virtual environment"
    )
    notice_s: int = Field(
        120, ge=10, description="before the walltime, time to write the state; at least one step"
    )
    prepare: SlurmJob = SlurmJob()
    train: SlurmJob = SlurmJob()
    predict: SlurmJob = SlurmJob()
    report: SlurmJob = SlurmJob()
    experiment: SlurmJob = Field(SlurmJob(), description="of each part of an experiment")


class Toleration(Config):
    """A taint that pods may run in spite of, such as that of spot nodes."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class KubernetesPipeline(Config):
    """Pods of a whole run; the chart makes them."""

    trainer: Literal["trainjob", "jobset"] = Field(
        "trainjob", description="trainjob needs Kubeflow Trainer v2, jobset its JobSet alone"
    )
    claim: str = Field(
        "landslide-dist",
        description="PersistentVolumeClaim that all pods share (ReadWriteMany): run_dir, and what "
        "is not on s3://",
    )
    max_restarts: int = Field(
        20, ge=0, description="how often lost pods, spot nodes for example, start the jobs again"
    )
    shared_memory_gib: float = Field(2.0, gt=0, description="/dev/shm; counts as a pod's memory")
    gpu_resource: str = Field("nvidia.com/gpu", description="name of GPUs as the nodes offer them")
    node_selector: dict[str, str] = Field({}, description="labels of the nodes to run on")
    tolerations: tuple[Toleration, ...] = ()
    prepare: JobSize = JobSize()
    train: JobSize = JobSize()
    predict: JobSize = JobSize()
    report: JobSize = JobSize()
    experiment: JobSize = Field(JobSize(), description="of each part of an experiment")
