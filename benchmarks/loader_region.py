"""The region that ``bench_loader`` reads: its size, its files, its patches and models."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_storage import NUM_ALIGNED, selected

from landslide_dist.config import RunConfig
from landslide_dist.config.categories import inspire
from landslide_dist.config.channels import Channels
from landslide_dist.config.model import AlignedFeatures, LACNNConfig, LLRConfig
from landslide_dist.grid import Window
from landslide_dist.models import build_model
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.patches.cutter import PatchCutter
from landslide_dist.patches.index import Patches
from landslide_dist.patches.order import Share, training_order
from landslide_dist.patches.reader import ZarrReader
from landslide_dist.patches.region import Region, RegionData
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.store import cube

#: All that a patch of a model that looks uphill holds.
INPUTS = ("slope", "elevation", "lithology", "land_cover", "rock_family", "rock_age", "uphill")
LABELS = ("landslide", "split")
REACH_PX = 30
#: Every label trains: all values of the split raster.
EVERYTHING = frozenset({0, 1, 2})
#: Cores on a side of the part that is written as dense channels, and where it begins.
DENSE_CORES = DENSE_START = 4


@dataclass(frozen=True)
class Scale:
    """How large the work is.

    Attributes:
        side_cores: Cores on a side of the region, which also has the context around them.
        core_px: Side of a core.
        halo_px: What is delivered around it; the read reaches ``REACH_PX`` farther.
        chunk_px: Side of a chunk of the cube and of the published layout, and of a GeoTIFF's tile.
        shard_px: Side of a shard of the cube.
        memory_gib: What streaming may hold, and GDAL's cache.
        repeats: Timed runs of each loader after one more; 0: that one alone.
        llr_steps: Training steps over our loader, before timing and timed.
        steps: Those over others, and of LACNN: timed ones after one more.
        batch_sizes: Patches of a training step: of LLR table 1's; of LACNN a third of it, since its
            steps take long on a CPU.
    """

    side_cores: int = 27
    core_px: int = 500
    halo_px: int = 64
    chunk_px: int = 512
    shard_px: int = 2048
    memory_gib: float = 1.25
    repeats: int = 3
    llr_steps: tuple[int, int] = (10, 40)
    steps: int = 2
    batch_sizes: tuple[int, int] = (15, 3)

    @property
    def context_px(self) -> int:
        """Around a core, of what is read."""
        return self.halo_px + REACH_PX

    @property
    def read_px(self) -> int:
        """Side of the window that is read for a patch."""
        return self.core_px + 2 * self.context_px

    @property
    def side_px(self) -> int:
        """Side of the region: every window of a patch lies within it."""
        return self.side_cores * self.core_px + 2 * self.context_px


QUICK = Scale(8, 60, 8, 64, 256, 0.02, 0, (1, 3), 1, (4, 2))


@dataclass(frozen=True)
class Bench:
    """The files of a region and what to read of them; each process opens them itself."""

    folder: str
    scale: Scale

    @property
    def published(self) -> str:
        """The published layout, of the dense part."""
        return f"{self.folder}/published.h5"

    @property
    def dense_tiff(self) -> str:
        """The same channels as one GeoTIFF."""
        return f"{self.folder}/dense.tif"

    def tiff(self, name: str) -> str:
        """One variable of the whole region."""
        return f"{self.folder}/{name}.tif"

    @cached_property
    def config(self) -> RunConfig:
        """A run on the region."""
        scale = self.scale
        return RunConfig.model_validate(
            {
                "name": "loader",
                "run_dir": f"{self.folder}/run",
                "cube": {
                    "location": f"{self.folder}/cube.zarr",
                    "storage": {"chunk_px": scale.chunk_px, "shard_px": scale.shard_px},
                },
                "sources": {"synthetic": {"height": scale.side_px, "width": scale.side_px}},
                "split": {"seed": 1},
                "patches": {"core_px": scale.core_px},
                "training": {"residency": "stream"},
            }
        )

    @cached_property
    def trainer(self) -> ModelTrainer:
        """Reads statistics of the region."""
        return ModelTrainer(RunContext(self.config))

    @property
    def location(self) -> str:
        """The cube."""
        return self.config.cube.location

    def reader(self) -> ZarrReader:
        """A new reader of stores that are not open yet."""
        locations = dict.fromkeys((*INPUTS, "landslide"), self.location)
        return ZarrReader(locations | {"split": self.trainer.context.split_location})

    @cached_property
    def patches(self) -> Patches:
        """Every core with all of its context inside the region."""
        side = np.arange(self.scale.side_cores, dtype=np.int64) * self.scale.core_px
        origins = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
        ones = np.ones(len(origins), dtype=np.int64)
        core_px = self.scale.core_px
        return Patches(core_px, core_px, origins + self.scale.context_px, ones, ones)

    @cached_property
    def dense_patches(self) -> np.ndarray:
        """Numbers of the patches of the part that is stored as dense channels too."""
        core = self.patches.origins // self.scale.core_px - DENSE_START
        return np.flatnonzero(((core >= 0) & (core < DENSE_CORES)).all(axis=1))

    @property
    def dense_window(self) -> Window:
        """Pixels that the dense part delivers."""
        scale = self.scale
        start = DENSE_START * scale.core_px + REACH_PX
        side = DENSE_CORES * scale.core_px + 2 * scale.halo_px
        return Window(start, start, side, side)

    def cutter(self) -> PatchCutter:
        """Cuts patches."""
        return PatchCutter(self.patches, EVERYTHING, INPUTS, self.scale.context_px)

    def shares(
        self, batch_size: int, num_lanes: int, block_cores: int | None, chosen: Any = None
    ) -> list[Share]:
        """The batches of an epoch, each patch once; of some patches alone if they are given."""
        numbers = np.arange(len(self.patches)) if chosen is None else chosen
        blocks = self.patches.blocks(num_lanes, block_cores)[numbers]
        order = training_order(blocks, np.ones_like(blocks), 0, 0, num_lanes)
        batches = range(-(-len(order) // batch_size))
        shares = [order.share(batch, batch_size, 0, 1) for batch in batches]
        return [share._replace(patch=numbers[share.patch]) for share in shares]

    def region(self, residency: str) -> Region:
        """The region held in memory, or streamed."""
        data = RegionData(
            self.reader(),
            INPUTS,
            {"train": EVERYTHING, "validation": frozenset(), "test": frozenset()},
            (self.scale.side_px,) * 2,
            cube.shard_windows(self.location),
        )
        held = 64.0 if residency != "stream" else self.scale.memory_gib
        return Region(data, residency, held)  # type: ignore[arg-type]

    def model(self, kind: str) -> SusceptibilityModel:
        """LLR or LACNN of table 1 of the paper, with its 94 channels, or 94 + 66."""
        channels = Channels(inspire())
        features = self.aligned if kind == "lacnn" else None
        configs = {
            "llr": LLRConfig(kind="llr"),
            "lacnn": LACNNConfig(kind="lacnn", aligned=AlignedFeatures(features=features)),
        }
        statistics = self.trainer.statistics
        torch.manual_seed(0)
        return build_model(
            configs[kind],
            channels,
            statistics.mean_std,
            self.trainer.context.radii_px,
            statistics.share,
            features,
        )

    @cached_property
    def aligned(self) -> tuple[str, ...]:
        """Channels that are gathered uphill: slope, elevation and the largest classes."""
        planes = self.reader().read(self.dense_window, INPUTS)
        names = selected(
            Channels(inspire()), {k: torch.from_numpy(np.array(v)) for k, v in planes.items()}
        )
        assert len(names) == NUM_ALIGNED
        return names


def files(bench: Bench) -> Iterator[Path]:
    """Everything that a loader reads."""
    return (path for path in Path(bench.folder).rglob("*") if path.is_file())


def drop_page_cache(paths: Sequence[Path]) -> None:
    """Ask the kernel to forget what it holds of some files, as any process may."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
