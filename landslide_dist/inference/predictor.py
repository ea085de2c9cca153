"""From the compact planes of a block to predicted rasters, tile by tile."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from landslide_dist.batch import Batch
from landslide_dist.config.predict import PredictConfig
from landslide_dist.grid import Window
from landslide_dist.inference.committee import Committee, Member
from landslide_dist.inference.plan import TilePlan
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.patches.order import random_keys
from landslide_dist.patches.pair import known
from landslide_dist.patches.planes import Planes, as_tensor
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import UNLABELLED


@dataclass(frozen=True)
class Prediction:
    """What is predicted of a block, float32 ``(y, x)``; NaN without elevation or clear images.

    Attributes:
        probability: Mean of all predictions.
        std: Their standard deviation, 0 where there is one.
    """

    probability: NDArray[np.float32]
    std: NDArray[np.float32]


@dataclass
class TiledPredictor:
    """Models, where their inputs come from, and how a block is cut into tiles.

    Attributes:
        committee: In eval mode, on its device.
        reader: Gives ``elevation`` and the models' inputs.
        plan: Tiles and batches.
        device: Where the models run.
        seed: Of dropout draws.
    """

    committee: Committee
    reader: PatchReader
    plan: TilePlan
    device: torch.device
    seed: int = 0
    _running: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def of(
        cls, committee: Committee, reader: PatchReader, config: PredictConfig
    ) -> "TiledPredictor":
        """Put models on the GPU, if there is one, and plan their tiles."""
        device = own_device()
        plan = TilePlan.of(config.tile_px, committee.stride_px, config.batch_tiles)
        return cls(committee.to(device), reader, plan, device, config.seed)

    @classmethod
    def of_model(
        cls, model: SusceptibilityModel, reader: PatchReader, config: PredictConfig
    ) -> "TiledPredictor":
        """One model as it was trained, without dropout."""
        committee = Committee([Member(model.eval())], given_context_px=config.context_px)
        return cls.of(committee, reader, config)

    def probability(self, block: Window) -> NDArray[np.float32]:
        """Read and predict a block; ``(block.height, block.width)``."""
        return self.predict(block, self.read(block)).probability

    def read(self, block: Window) -> Planes:
        """All that the tiles of a block need: each chunk of the store is decoded once."""
        cores = [core for batch in self.plan.batches(block) for core in batch]
        around = cores[0].expand(self.committee.context_px)
        far = cores[-1].expand(self.committee.context_px)
        window = Window(around.y0, around.x0, far.y1 - around.y0, far.x1 - around.x0)
        names = dict.fromkeys((*self.committee.inputs, "elevation"))
        planes = self.reader.read(window, tuple(names))
        return Planes(window, {name: as_tensor(plane) for name, plane in planes.items()})

    def predict(self, block: Window, planes: Planes) -> Prediction:
        """Predict one block.

        Args:
            block: Pixels inside the raster.
            planes: Of :meth:`read`.
        """
        probability, std = (np.full(block.shape, np.nan, dtype=np.float32) for _ in range(2))
        # Threads of one process take turns: each tile already has all cores of the device.
        with self._running:
            for number, cores in enumerate(self.plan.batches(block)):
                batch = self.cut(cores, planes).to(self.device)
                seed = int(random_keys(1, self.seed, block.y0, block.x0, number)[0])
                predicted = self.committee.predict(batch, seed)
                for out, tiles in zip((probability, std), predicted, strict=True):
                    _place(out, block, cores, tiles.cpu().numpy())
        inner = block.relative_to(planes.window).slices
        values = {name: plane.numpy()[(..., *inner)] for name, plane in planes.tensors.items()}
        inside = known(values, self.committee.images)
        for out in (probability, std):
            out[~inside] = np.nan
        return Prediction(probability, std)

    def cut(self, cores: Sequence[Window], planes: Planes) -> Batch:
        """The batch of some cores."""
        context_px = self.committee.context_px
        windows = [core.expand(context_px) for core in cores]
        side = self.plan.core_px

        def stack(name: str) -> torch.Tensor:
            like = planes.tensors[name]
            out = torch.empty((len(cores), *like.shape[:-2], *windows[0].shape), dtype=like.dtype)
            for sample, window in zip(out, windows, strict=True):
                planes.cut(name, window, sample)
            return out

        return Batch(
            {name: stack(name) for name in self.committee.inputs},
            torch.full((len(cores), side, side), UNLABELLED, dtype=torch.uint8),
            torch.tensor([(core.y0, core.x0) for core in cores], dtype=torch.int64),
            context_px,
        )


def _place(
    out: NDArray[np.float32], block: Window, cores: Sequence[Window], tiles: NDArray[np.float32]
) -> None:
    """Write what lies in the block of each tile."""
    for core, tile in zip(cores, tiles, strict=True):
        common = core.intersect(block)
        out[common.relative_to(block).slices] = tile[common.relative_to(core).slices]


def own_device() -> torch.device:
    """The GPU of this process among those that were launched on this machine, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
    return torch.device("cuda", number % torch.cuda.device_count())
