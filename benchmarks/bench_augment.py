"""Augmentation of event patches, and whether training waits for patches and augmentation.

    python benchmarks/bench_augment.py [--quick] [--json PATH]

*Augmentation*: flips, turn, scale, shear, contrast, colour, brightness, sharpness and noise of a
batch of tiles of 224 px, RGB before and after, surface model and labels, against kornia's random
affine and colour augmentations with the same limits. Ours draws by the key of each sample, so any
number of processes draws alike; kornia draws from torch's state.

*Step*: augmentation of a batch against one training step of the residual U-Net on it, published
filters (with ``--quick`` fewer): its share is what a device that trains spends on augmentation.

*Waiting*: an event of made-up images is trained on; what the trainer waits for the next batch
against what it works.
"""

import tempfile
import time
from pathlib import Path

import kornia.augmentation as K
import torch
from harness import Row, arguments, compare_rates, publish
from torch import Tensor
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config.augment import AugmentConfig
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.load import validate
from landslide_dist.config.model import ResUNetConfig
from landslide_dist.models import build_model, checkpoint
from landslide_dist.patches.augment import Augment
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train, trainer_of
from landslide_dist.tasks import EventMappingTask

SIDE_PX = 224
CHANNELS = EventChannels(("red", "green", "blue"), 10.0)
IMAGES = (CHANNELS.images[:3], CHANNELS.images[3:])


def main() -> None:
    """Print the table; write it with ``--json``."""
    options = arguments("Augmentation of event patches.")
    num, repeats = (4, 2) if options.quick else (16, 5)
    batch = tiles(num)
    rows = [
        compare_rates(
            f"augmentation of {num} tiles",
            num,
            "tiles/s",
            lambda: Augment(AugmentConfig(), IMAGES)(batch),
            kornias(batch),
            "kornia",
            repeats,
        ),
        step_row(batch, (8, 16, 32) if options.quick else (32, 64, 128, 256, 512)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows.append(waiting_row(Path(folder), 192 if options.quick else 1024))
    publish(rows, ["torch", "kornia"], options.json)


def tiles(num: int) -> Batch:
    """Random images over a smooth surface."""
    random = torch.Generator().manual_seed(0)
    side = SIDE_PX + 2
    images = {
        name: torch.randint(300, 4000, (num, side, side), generator=random).to(torch.uint16)
        for name in CHANNELS.images
    }
    heights = torch.rand(num, side, side, generator=random).cumsum(1).cumsum(2) / 50
    target = (torch.rand(num, SIDE_PX, SIDE_PX, generator=random) < 0.05).to(torch.uint8)
    origins = torch.zeros(num, 2, dtype=torch.int64)
    return Batch({**images, "elevation": heights}, target, origins, 1, torch.arange(num))


def kornias(batch: Batch) -> "Kornia":
    """The peer, on float planes that it gets ready made."""
    images = torch.stack([batch.planes[name].float() for name in CHANNELS.images], dim=1) / 4000
    labels = F.pad(batch.target[:, None].float(), (1, 1, 1, 1))
    return Kornia(images, batch.planes["elevation"][:, None], labels)


class Kornia:
    """The same augmentations, geometry once for all planes, colours apart."""

    def __init__(self, images: Tensor, elevation: Tensor, target: Tensor) -> None:
        limits = AugmentConfig()
        self.inputs = torch.cat([images, elevation], dim=1), target
        self.geometry = K.AugmentationSequential(
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            K.RandomAffine(limits.turn_deg, scale=(1 / limits.scale, limits.scale), shear=6.0, p=1),
            data_keys=["input", "mask"],
        )
        self.colours = K.AugmentationSequential(
            K.ColorJiggle(limits.brightness, limits.contrast, limits.colour, 0.0, p=1.0),
            K.RandomSharpness(limits.sharpness, p=1.0),
            K.RandomGaussianNoise(std=limits.noise, p=1.0),
        )

    def __call__(self) -> None:
        """Augment a batch."""
        planes, _ = self.geometry(*self.inputs)
        for first in (0, 3):
            self.colours(planes[:, first : first + 3].clamp(0, 1))


def step_row(batch: Batch, widths: tuple[int, ...]) -> Row:
    """Seconds of augmentation beside seconds of a training step."""
    config = ResUNetConfig(kind="resunet", widths=widths)
    statistics = dict.fromkeys(CHANNELS.images, (2000.0, 800.0)) | {"slope": (15.0, 8.0)}
    model = build_model(config, CHANNELS, statistics, {}, 0.05).train()
    task = EventMappingTask(config, model.num_heads)
    augment = Augment(AugmentConfig(), IMAGES)
    started = time.perf_counter()
    varied = augment(batch)
    augmented = time.perf_counter()
    (task.sums(model, varied) * task.weights / task.counts(varied.target)).sum().backward()
    ended = time.perf_counter()
    augment_s, step_s = augmented - started, ended - augmented
    name = f"augmentation against a step, filters {widths[0]}-{widths[-1]}"
    return Row(name, augment_s, step_s, "the step", "s", step_s / augment_s)


def waiting_row(folder: Path, side_px: int) -> Row:
    """What training on an event waits for its patches."""
    config = validate(
        {
            "name": "waiting",
            "task": "event_mapping",
            "run_dir": str(folder),
            "cube": {"location": str(folder / "cube.zarr"), "storage": {"shard_px": 512}},
            "sources": {
                "synthetic": {"height": side_px, "width": side_px, "event": {"num_pairs": 2}}
            },
            "split": {"fractions": [0.7, 0.15, 0.15]},
            "patches": {"core_px": 64, "stride_px": 32, "context_px": 0, "oversample": 1},
            "models": {"resunet": {"kind": "resunet", "widths": [8, 16, 32], "epochs": 1}},
        },
        "benchmark",
    )
    for stage in (ingest, derive, split, train):
        stage(config)
    context = RunContext(config)
    model = checkpoint.load(context.paths.checkpoint("resunet"))[0].train()
    trainer = trainer_of(context, quiet=True)
    data = trainer.datamodule(model, 16, 0)
    task = trainer.module(model, model.recipe.config).task
    augment = trainer.augment(model)
    waited = worked = 0.0
    before = time.perf_counter()
    for batch in data.train_dataloader():
        arrived = time.perf_counter()
        task.sums(model, augment(batch)).sum().backward()
        waited, worked = waited + arrived - before, worked + time.perf_counter() - arrived
        before = time.perf_counter()
    name = f"waiting for patches, {side_px} x {side_px} px, two pairs"
    return Row(name, waited, worked, "working", "s", worked / max(waited, 1e-6))


if __name__ == "__main__":
    main()
