"""Training on one process and on two: patches a second, and the efficiency of the second.

    python benchmarks/bench_ddp.py [--quick] [--json PATH]

Real trainings (``fit`` of a ``PatchModule``) on a synthetic region that the processes hold in
shared memory, started with the environment that ``torchrun`` sets; gloo on CPUs, one GPU a process
where there are several. Strong scaling keeps the global batch, weak scaling the batch of each
process. The rate is that of the epochs after the first; the efficiency, the ratio of the rows, is
rate(n) / (n x rate(1)). Each process has one thread to compute with: a single one leaves the other
cores idle. On CPUs the U-Net has three levels (8, 16, 32 filters), on GPUs those of table 1. What
limits the efficiency: each step waits for the slowest process and exchanges a count and the
gradients (0.15 and 5 MB), which weighs most where a step is short, as in logistic regression;
processes on one machine share its memory bandwidth; and on a busy machine two processes wait for
each other's turns, so that these rows need a quiet one.

Where there is CUDA: patches a second, floating-point operations and bytes of a step against the
card's bound, the larger of operations at its peak rate and bytes at that of its memory; both peaks
are measured in the same run, by a large matrix product and by a copy.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from ddp_roofline import against_bound, synchronize
from harness import Row, arguments, publish

from landslide_dist.config import RunConfig
from landslide_dist.config.model import TrainedModel
from landslide_dist.models import build_model
from landslide_dist.patches.datamodule import PatchDataModule
from landslide_dist.patches.ordered import Sampling
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.stages.split import split
from landslide_dist.tasks import SusceptibilityTask
from landslide_dist.training.fit import Outputs, fit
from landslide_dist.training.module import PatchModule

ALIGNED = ("slope", "elevation")
MODELS = ("llr", "lacnn")


@dataclass(frozen=True)
class Scale:
    """How large the work is.

    Attributes:
        side_px: Side of the region.
        core_px: Side of a core.
        batch_size: Patches of a global batch of one process.
        epochs: Of each training; the first does not count.
        repeats: Trainings of each kind, taken in turn.
    """

    side_px: int = 1600
    core_px: int = 200
    batch_size: int = 8
    epochs: int = 3
    repeats: int = 3


QUICK = Scale(256, 32, 8, 3, 1)


@dataclass(frozen=True)
class Job:
    """Trainings of some processes, one after the other.

    Attributes:
        folder: Of the region.
        scale: Its size.
        world_size: Processes.
        trainings: Model, and patches of its global batch.
    """

    folder: str
    scale: Scale
    world_size: int
    trainings: list[tuple[str, int]]


def main() -> None:
    """Run all comparisons; print the table and write it with ``--json``."""
    options = arguments("Weak and strong scaling of training.")
    scale = QUICK if options.quick else Scale()
    gpus = torch.cuda.device_count()
    sizes = [2] if gpus == 0 else [n for n in (2, 4, 8) if n <= gpus]
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        config = run_config(folder, scale)
        for stage in (ingest, derive, split):
            stage(config)
        rows = scaling_rows(folder, scale, sizes)
        if gpus:
            rows += [roofline_row(folder, scale, model) for model in MODELS]
    publish(rows, ["torch", "pytorch-lightning"], options.json)


def run_config(folder: str, scale: Scale, world_size: int = 1) -> RunConfig:
    """A run on a synthetic region, with a U-Net of three levels on CPUs."""
    on_gpu = torch.cuda.is_available()
    widths = (16, 32, 64, 128, 128) if on_gpu else (8, 16, 32)
    return RunConfig.model_validate(
        {
            "name": "ddp",
            "run_dir": f"{folder}/run",
            "cube": {"location": f"{folder}/cube.zarr"},
            "sources": {"synthetic": {"height": scale.side_px, "width": scale.side_px}},
            "patches": {"core_px": scale.core_px},
            "training": {"devices": world_size, "timeout_s": 600},
            "models": {
                "llr": {"kind": "llr"},
                "lacnn": {"kind": "lacnn", "widths": widths, "aligned": {"features": ALIGNED}},
            },
        }
    )


def scaling_rows(folder: str, scale: Scale, sizes: list[int]) -> list[Row]:
    """Several processes against one, runs in turn."""
    size = scale.batch_size
    jobs = [Job(folder, scale, 1, [(model, size) for model in MODELS])]
    jobs += [
        Job(folder, scale, n, [(model, size * f) for f in (1, n) for model in MODELS])
        for n in sizes
    ]
    runs = [[rates(job) for job in jobs] for _ in range(scale.repeats)]
    (alone, *several) = [np.median(of_job, axis=0) for of_job in zip(*runs, strict=True)]
    rows = []
    for job, of_job in zip(jobs[1:], several, strict=True):
        kinds = ["strong"] * len(MODELS) + ["weak"] * len(MODELS)
        for kind, (model, _), rate in zip(kinds, job.trainings, of_job, strict=True):
            peer = float(alone[MODELS.index(model)])
            rows.append(
                Row(f"{model}, {kind} scaling on {job.world_size}", float(rate), peer,
                    "one process", "patches/s", float(rate) / (job.world_size * peer))
            )  # fmt: skip
    return rows


def rates(job: Job) -> list[float]:
    """Patches a second of each training, processes started as ``torchrun`` starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(job.world_size),
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", __file__, "--rank-of", json.dumps(asdict(job))]
    processes = [
        subprocess.Popen(
            command,
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(job.world_size)
    ]
    try:
        ended = [process.communicate(timeout=1800) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, ended, strict=True):
        if process.returncode:
            raise SystemExit(f"a training process ended with {process.returncode}:\n{errors}")
    return list(map(float, ended[0][0].splitlines()[-len(job.trainings) :]))


def roofline_row(folder: str, scale: Scale, model: str) -> Row:
    """A step on one GPU against what its operations and bytes take at the card's peaks."""
    trainer = ModelTrainer(RunContext(run_config(folder, scale)))
    module, data = prepared(trainer, scale, model, scale.batch_size)
    batch = next(iter(data.train_dataloader()))
    seconds, bound = against_bound(module.model, batch)
    return Row(f"{model}, a step on one GPU", len(batch) / seconds, len(batch) / bound,
               "roofline bound", "patches/s", bound / seconds)  # fmt: skip


# One process of a training.


class Epochs(pl.Callback):
    """Notes how long the training steps of each epoch take; validation is left out."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:  # noqa: D102
        synchronize()
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:  # noqa: D102
        if trainer.is_last_batch:
            synchronize()
            self.seconds.append(time.perf_counter() - self._start)


class TimedModule(PatchModule):
    """With the clock of its epochs."""

    def configure_callbacks(self) -> list[pl.Callback]:  # noqa: D102
        self.epochs = Epochs()
        return [self.epochs]


def train_as_rank(job: Job) -> None:
    """Train as one of the processes; the first prints patches a second, a line a training."""
    trainer = ModelTrainer(RunContext(run_config(job.folder, job.scale, job.world_size)))
    config = trainer.context.config.training
    for number, (model, batch_size) in enumerate(job.trainings):
        module, data = prepared(trainer, job.scale, model, batch_size)
        # One for all processes, of their own.
        folder = Path(job.folder) / f"training-{os.getppid()}-{os.environ['MASTER_PORT']}-{number}"
        folder.mkdir(exist_ok=True)
        fit(module, data, config, Outputs(folder, lambda: None, "bench", quiet=True))
        if os.environ["RANK"] == "0":
            print(data.num_samples("train") / median(module.epochs.seconds[1:]), flush=True)


def prepared(
    trainer: ModelTrainer, scale: Scale, name: str, batch_size: int
) -> tuple[TimedModule, PatchDataModule]:
    """A model with fresh weights and its patches, read as the package does."""
    config = trainer.context.config
    model_config = config.models[name]
    assert isinstance(model_config, TrainedModel)
    settings = {"epochs": scale.epochs, "learning_rate": 1e-3, "batch_size": batch_size}
    model_config = model_config.model_copy(update=settings)
    statistics = trainer.statistics
    torch.manual_seed(0)
    model = build_model(
        model_config,
        trainer.context.channels,
        statistics.mean_std,
        trainer.context.radii_px,
        statistics.share,
        ALIGNED,
    )
    context_px = model.reach_px + model.halo_px
    data = PatchDataModule(
        trainer.region, trainer.index, model.inputs, context_px, Sampling(batch_size)
    )
    return TimedModule(model, SusceptibilityTask(), model_config, micro_batch_size=8), data


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank-of"]:
        settings = json.loads(sys.argv[2])
        train_as_rank(Job(**{**settings, "scale": Scale(**settings["scale"])}))
    else:
        main()
