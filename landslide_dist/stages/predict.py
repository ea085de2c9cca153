"""``predict``: every model's probability for the whole region, to Zarr and to GeoTIFF."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from distributed import Client

from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError, StoreError
from landslide_dist.inference.cog import read_tags, write_cog
from landslide_dist.inference.committee import num_draws
from landslide_dist.inference.predict import (
    Outputs,
    PredictBlock,
    Processes,
    check_channels,
    check_fits,
    is_predicted,
    predict_region,
)
from landslide_dist.inference.source import PredictorSource, Trained
from landslide_dist.models import checkpoint
from landslide_dist.models.susceptibility import NetworkModel, SusceptibilityModel
from landslide_dist.progress import console, stage
from landslide_dist.stages.context import RunContext
from landslide_dist.training.ranks import first_rank_first, joined, wait_for_all_ranks


@stage
def predict(config: RunConfig, only: Sequence[str] | None = None) -> None:
    """Map the region with each model and ensemble; finished blocks are left alone.

    Blocks are predicted by this process, by the processes that ``torchrun`` or ``srun`` started
    with it, or by the workers of the run's Dask cluster.

    Args:
        config: The run.
        only: Names of the maps; None for all.

    Raises:
        ConfigError: A name is not a map of the run, or a file of an ensemble has no temperature.
        StoreError: A model has not been trained, or not with these settings.
        DataError: A model does not fit the cube.
    """
    context = RunContext(config)
    with joined(config.training.timeout_s) as (rank, count), ExitStack() as stack:
        processes = Processes(rank, count, wait_for_all_ranks)
        on_cluster = config.predict.on_cluster and count == 1
        opened = open_cluster(config.cluster if on_cluster else None)
        # Started by the first map that has blocks left.
        cluster = cache(lambda: stack.enter_context(opened))
        for name in _chosen_maps(config, only):
            with first_rank_first():
                drawn = MapToDraw.of(context, name)
            predicted = drawn.predict(processes, cluster)
            if rank == 0 and not drawn.publish() and not predicted:
                console.print(f"predict: {name} is up to date")


def _chosen_maps(config: RunConfig, only: Sequence[str] | None) -> list[str]:
    for name in only or ():
        if name not in config.maps:
            raise ConfigError(f"map {name!r} is not in the run ({', '.join(config.maps)})")
    order = [*config.training_order(), *config.predict.ensembles]
    return [name for name in order if only is None or name in only]


@dataclass(frozen=True)
class MapToDraw:
    """One map of a run.

    Attributes:
        context: The run.
        name: Model or ensemble.
        members: The models behind it.
        inputs: Cube variables that they read.
        has_spread: Whether there is more than one prediction of a pixel.
    """

    context: RunContext
    name: str
    members: tuple[Trained, ...]
    inputs: tuple[str, ...]
    has_spread: bool

    @classmethod
    def of(cls, context: RunContext, name: str) -> "MapToDraw":
        """A map, once its models are known to fit; their temperatures are fitted if need be."""
        config = context.config.predict
        members, models = [], []
        for member in config.ensembles.get(name, (name,)):
            trained, model = _member(context, member)
            members.append(trained)
            models.append(model)
        inputs = dict.fromkeys(variable for model in models for variable in model.inputs)
        num_predictions = sum(num_draws(model, config.dropout_draws) for model in models)
        return cls(context, name, tuple(members), tuple(inputs), num_predictions > 1)

    def predict(self, processes: Processes, cluster: Callable[[], Client | None]) -> bool:
        """Predict the blocks that are missing; False where none is."""
        context, config = self.context, self.context.config
        if is_predicted(self.location, self.fingerprint):
            return False
        images = () if context.pair is None else context.pair.channels(1.0).images
        names = [name for name in (*self.inputs, "elevation") if name not in images]
        locations = dict.fromkeys(names, config.cube.location)
        source = PredictorSource.of(self.members, locations, config.predict, context.pair)
        steps = predict_region(
            PredictBlock(source.predictor, self.location, self.outputs),
            context.grid,
            config.cube.storage,
            self.provenance,
            self.fingerprint,
            f"predict {self.name}",
            cluster(),
            processes,
        )
        if processes.rank == 0:
            console.print(f"predict: {self.name}: {steps}")
        return True

    def publish(self) -> int:
        """Write the GeoTIFFs that are missing or of an older map; how many."""
        tags = {**self.provenance, "fingerprint": self.fingerprint}
        written = 0
        for name in self.outputs.names if self.context.config.predict.cog else ():
            path = self.context.paths.cog(self.name, name)
            if not Path(path).exists() or read_tags(path).get("fingerprint") != self.fingerprint:
                write_cog(self.location, path, tags, f"publish {self.name}", name)
                written += 1
        return written

    @cached_property
    def outputs(self) -> Outputs:
        """What is stored of it."""
        return Outputs(self.context.config.predict, self.has_spread)

    @property
    def location(self) -> str:
        """Zarr group of the map."""
        return self.context.paths.prediction(self.name)

    @property
    def provenance(self) -> dict[str, Any]:
        """Attributes of the map: who drew it, from what."""
        return {
            "model": self.name,
            "checkpoint": self.context.map_hash(self.name),
            "temperature": [member.temperature for member in self.members],
            "cube": {"location": self.context.config.cube.location, "derive_hash": self.derived},
        }

    @cached_property
    def derived(self) -> str:
        """Fingerprint of the cube."""
        return self.context.derive_hash

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that the stored map depends on."""
        settings = self.context.config.predict.model_dump(
            mode="json", exclude={"cog", "ensembles", "on_cluster"}
        )
        members = [[member.fingerprint, member.temperature] for member in self.members]
        made_of = {"predict": settings, "members": members, "cube": self.derived}
        pair = self.context.pair
        return config_hash(made_of | ({"pair": pair.number} if pair is not None else {}))


def _member(context: RunContext, member: str) -> tuple[Trained, SusceptibilityModel]:
    """A model of the run, or of a checkpoint file."""
    config = context.config
    of_run = member in config.models
    path = context.paths.checkpoint(member) if of_run else member
    if of_run and not Path(path).exists():
        raise StoreError(f"there is no model at {path!r} yet: run train")
    model, metadata = checkpoint.load(path)
    if of_run and metadata["model_hash"] != context.model_hash(member):
        raise StoreError(
            f"model {path!r} was trained with other settings or on another cube: run train"
        )
    check_fits(metadata, context.grid, config.cube.looking_distances_m)
    if isinstance(model, NetworkModel):
        check_channels(model.recipe.channels, context.channels)
    temperature = 1.0
    if config.predict.calibrated:
        # Here, since it imports all that trains: most maps are drawn without.
        from landslide_dist.stages.calibrate import calibrate, temperature_in

        temperature = calibrate(context, member) if of_run else temperature_in(metadata, path)
    return Trained(path, metadata["model_hash"], temperature), model
