"""``predict`` of a run of chips: scenes become cubes, are matched, and are classified."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from distributed import Client

from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.paths import RunPaths
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid
from landslide_dist.inference.cog import read_tags, write_cog
from landslide_dist.inference.predict import Processes, is_predicted, predict_region
from landslide_dist.inference.scene import ClassifyBlock, cell_grid
from landslide_dist.progress import console, stage
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.match import match
from landslide_dist.stages.train import chosen_models
from landslide_dist.store import cube
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import hold
from landslide_dist.training.ranks import first_rank_first, joined, wait_for_all_ranks


@stage
def predict_scenes(
    config: ChipsConfig, only: Sequence[str] | None = None, overwrite: bool = False
) -> None:
    """Classify every scene with every model; what is there already is left alone.

    Blocks are classified by this process, by those that ``torchrun`` or ``srun`` started with it,
    or by the workers of the run's Dask cluster.

    Args:
        config: The run.
        only: Names of models; None for all.
        overwrite: Replace cubes that were ingested with other settings.

    Raises:
        ConfigError: The run has no scenes, a name is not a model, or a scene's cube has other
            settings and ``overwrite`` is not given.
        DataError: A scene's files are broken, or its images cannot be matched.
        StoreError: A store fails.
    """
    names = chosen_models(config.models, only)
    if not config.scenes:
        raise ConfigError(f"run {config.name!r} has no scenes to classify: give scenes")
    trainer = ChipTrainer(config)
    for name in names:
        # A model that is missing shows before hours of preparation, not after.
        trainer.trained(name)
    with joined(config.training.timeout_s) as (rank, count):
        processes = Processes(rank, count, wait_for_all_ranks)
        for scene in config.scenes:
            run = scene_run(trainer, scene)
            with first_rank_first():
                prepare(run, overwrite)
            with open_cluster(config.cluster if count == 1 else None) as client:
                for name in names:
                    SceneMap.of(trainer, run, name).draw(processes, client)


def scene_run(trainer: ChipTrainer, scene: str) -> RunConfig:
    """The run that prepares a scene for the classifiers of a trainer."""
    config = trainer.config
    return config.scene(scene, trainer.reference if config.matching else None)


def prepare(run: RunConfig, overwrite: bool = False) -> None:
    """Bring a scene into its cube and match it; a finished one is left alone.

    Args:
        run: The run that prepares it.
        overwrite: Replace a cube that was ingested with other settings.
    """
    ingest(run, overwrite)
    with hold(run.cube.location, "derive") as lock, open_cluster(run.cluster) as client:
        match(run, lock, client)


@dataclass(frozen=True)
class SceneMap:
    """One model's map of one scene.

    Attributes:
        trainer: The run of chips.
        run: The run that prepared the scene.
        model: Name of the model.
        fingerprint: ``model_hash`` of its checkpoint.
        block_px: Side of a cell in pixels of the scene.
    """

    trainer: ChipTrainer
    run: RunConfig
    model: str
    fingerprint: str
    block_px: int

    @classmethod
    def of(cls, trainer: ChipTrainer, run: RunConfig, name: str) -> "SceneMap":
        """A map, once its model is known to be the run's."""
        model, metadata = trainer.trained(name)
        pixel_m = cube.read_grid(run.cube.location).pixel_m
        return cls(trainer, run, name, metadata["model_hash"], model.recipe.pixels(pixel_m))

    @cached_property
    def grid(self) -> Grid:
        """The cells."""
        return cell_grid(cube.read_grid(self.run.cube.location), self.block_px)

    @property
    def location(self) -> str:
        """Zarr group of the map, beside the scene's cube."""
        return RunPaths(self.trainer.config.scene_store(self.run.name)).prediction(self.model)

    @property
    def cog(self) -> str:
        """GeoTIFF of the map, in the local folder of the run wherever the map is."""
        return RunPaths.of(self.run).cog(self.model)

    @property
    def task(self) -> ClassifyBlock:
        """What draws it."""
        classify = self.trainer.config.classify
        return ClassifyBlock(
            self.trainer.paths.checkpoint(self.model),
            self.fingerprint,
            self.run.cube.location,
            "matched" if self.run.cube.matching is not None else "reflectance",
            self.block_px,
            classify.batch_size,
            classify.min_valid,
            self.location,
        )

    @cached_property
    def map_hash(self) -> str:
        """Hash of everything that the map depends on."""
        attributes = open_group(self.run.cube.location).attrs
        made_of = {
            "model": self.fingerprint,
            "scene": attributes["matched" if self.run.cube.matching is not None else "ingest_hash"],
            "min_valid": self.trainer.config.classify.min_valid,
        }
        return config_hash(made_of)

    @property
    def is_drawn(self) -> bool:
        """Whether map and GeoTIFF are there."""
        if not is_predicted(self.location, self.map_hash) or not Path(self.cog).exists():
            return False
        return read_tags(self.cog).get("fingerprint") == self.map_hash

    def draw(self, processes: Processes, client: Client | None) -> None:
        """Classify what is missing, and write the GeoTIFF."""
        label = f"{self.run.name}, {self.model}"
        if self.is_drawn:
            if processes.rank == 0:
                console.print(f"predict: {label} is up to date")
            return
        side = self.trainer.config.classify.shard_cells
        storage = StorageConfig(chunk_px=side, shard_px=side)
        provenance = self.provenance()
        steps = predict_region(
            self.task, self.grid, storage, provenance, self.map_hash, label, client, processes
        )
        if processes.rank == 0:
            left = [
                size - cells * self.block_px
                for size, cells in zip(
                    cube.read_grid(self.run.cube.location).shape, self.grid.shape, strict=True
                )
            ]
            console.print(
                f"predict: {label}: {self.grid.shape[0]} x {self.grid.shape[1]} blocks of "
                f"{self.block_px} px; {left[0]} rows and {left[1]} columns at the edge are left out"
            )
            console.print(f"predict: {label}: {steps}")
            tags = {**provenance, "fingerprint": self.map_hash}
            write_cog(self.location, self.cog, tags, f"publish {label}")

    def provenance(self) -> dict[str, Any]:
        """Attributes of the map: who drew it, from what."""
        return {
            "model": self.model,
            "checkpoint": self.fingerprint,
            "block_px": self.block_px,
            "cube": {"location": self.run.cube.location},
        }
