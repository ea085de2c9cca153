"""A training small enough to be repeated many times, alone or as one of several processes.

As a script it is one process of a training: ``small.py SETTINGS.json``, with the environment that
``torchrun`` would set.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from landslide_dist.config.categories import synthetic
from landslide_dist.config.channels import Channels
from landslide_dist.config.model import CNNConfig, LLRConfig
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.config.training import TrainingConfig
from landslide_dist.grid import Window
from landslide_dist.kernels.terrain import slope
from landslide_dist.models import build_model
from landslide_dist.patches.datamodule import PatchDataModule
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.ordered import Sampling
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.region import Region, RegionData
from landslide_dist.patches.statistics import split_moments, training_statistics
from landslide_dist.sources.synthetic import synthetic_sources
from landslide_dist.tasks import SusceptibilityTask
from landslide_dist.training.fit import Outputs, fit
from landslide_dist.training.module import PatchModule
from landslide_dist.training.resume import Preempted

CHANNELS = Channels(synthetic())
CORE_PX = 16
SHAPE = (96, 112)
WINDOWS = [Window(0, 0, *SHAPE)]
PARTS = {"train": frozenset({0}), "validation": frozenset({1}), "test": frozenset({2})}
LLR = LLRConfig(kind="llr", epochs=2, learning_rate=0.05, batch_size=6, plateau_patience=0)
CNN = CNNConfig(kind="cnn", widths=(4, 8), epochs=2, learning_rate=0.02, batch_size=6)


def planes():
    """A synthetic region whose columns are training, validation and test."""
    config = SyntheticSource(seed=2, height=SHAPE[0], width=SHAPE[1], base_rate=0.2)
    made = {name: s.read(WINDOWS[0]) for name, s in synthetic_sources(config).items()}
    made["slope"] = slope(made["elevation"], 10.0)
    column = np.arange(SHAPE[1]) // CORE_PX
    made["split"] = np.broadcast_to(np.clip(column - 4, 0, 2), SHAPE).astype(np.uint8)
    return made


class Recorder(PatchModule):
    """Notes the patches of every step, and gets a signal after one of them."""

    stop_at: int | None = None
    number = signal.SIGTERM
    #: Seconds a step takes longer, so that there is time to kill it.
    slowness_s = 0.0

    def training_step(self, batch, batch_idx):
        super().training_step(batch, batch_idx)
        real = [o for o in batch.origin.tolist() if min(o) >= 0]
        self.seen.append([self.trainer.global_step, sorted(real)])
        self.note(self.trainer.global_rank)
        time.sleep(self.slowness_s)
        if self.trainer.global_step == self.stop_at:
            os.kill(os.getpid(), self.number)

    def note(self, rank):
        """What a killed process leaves of it."""
        if self.notes is not None:
            with (self.notes / f"rank-{rank}.jsonl").open("a") as file:
                file.write(json.dumps(self.seen[-1]) + "\n")


def train(
    reader, folder, config=LLR, stop_at=None, fingerprint="a", seed=0, notes=None, **settings
):
    """Train, until it ends or a signal comes after a step.

    Returns:
        Weights, steps with their patches, history.
    """
    index = PatchIndex.build(reader, WINDOWS, SHAPE, CORE_PX, 3)
    moments = split_moments(reader, WINDOWS, 3, CHANNELS.continuous)
    statistics = training_statistics(index, moments, PARTS["train"])
    torch.manual_seed(0)
    model = build_model(config, CHANNELS, statistics.mean_std, {30.0: 3}, statistics.share)
    region = Region(RegionData(reader, model.inputs, PARTS, SHAPE, WINDOWS))
    sampling = Sampling(config.batch_size, oversample=2, seed=seed)
    data = PatchDataModule(region, index, model.inputs, model.halo_px, sampling)
    module = Recorder(model, SusceptibilityTask(), config, micro_batch_size=4)
    module.seen, module.stop_at, module.notes = [], stop_at, notes
    training = TrainingConfig(accelerator="cpu", **settings)
    outputs = Outputs(folder, lambda: None, fingerprint, quiet=True)
    if stop_at is None:
        fit(module, data, training, outputs)
    else:
        with pytest.raises(Preempted) as ended:
            fit(module, data, training, outputs)
        assert ended.value.code == 128 + module.number
        assert (folder / "state.ckpt").exists()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    history = folder / "history.json"
    return weights, module.seen, json.loads(history.read_text()) if history.exists() else []


def one_of_several(settings):
    """A process of some trainings; the first writes what came out of each."""
    reader = HostReader(planes())
    world_size = int(os.environ["WORLD_SIZE"])
    Recorder.slowness_s = settings.get("slowness_s", 0.0)
    for job in settings["jobs"]:
        folder, kind = Path(job["folder"]), {"llr": LLR, "cnn": CNN}[job["kind"]]
        folder.mkdir(parents=True, exist_ok=True)
        weights, _, _ = train(
            reader,
            folder,
            kind.model_copy(update=job["model"]),
            notes=folder,
            devices=world_size,
            timeout_s=120,
            **job.get("training", {}),
        )
        if os.environ["RANK"] == "0":
            torch.save(weights, folder / "weights.pt")


if __name__ == "__main__":
    one_of_several(json.loads(Path(sys.argv[1]).read_text()))
