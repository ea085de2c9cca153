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
from landslide_dist.config.model import TrainedModel
from landslide_dist.config.run import config_hash
from landslide_dist.errors import ConfigError, DataError, StoreError
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
from landslide_dist.store.location import exists, open_group
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


def check_map(context: RunContext, name: str) -> str:
    """Refuse a map that ``predict`` would not leave alone.

    Args:
        context: The run.
        name: Model or ensemble.

    Returns:
        The map's fingerprint.

    Raises:
        ConfigError: The file of an ensemble's member cannot be read or has no temperature.
        DataError: It is damaged.
        StoreError: The map is not there, of other models or settings, or not whole.
    """
    location = context.paths.prediction(name)
    if not exists(location):
        raise StoreError(f"there is no map of {name!r} at {location!r} yet: run predict")
    attributes = open_group(location).attrs
    members = context.config.predict.ensembles.get(name, (name,))
    fingerprint = _fingerprint(context, [_as_it_is(context, member) for member in members])
    if attributes.get("fingerprint") == fingerprint:
        if not is_predicted(location, fingerprint):
            raise StoreError(f"map {location!r} is not whole: run predict, which goes on with it")
        return fingerprint
    if attributes.get("checkpoint") != context.map_hash(name):
        raise StoreError(
            f"map {location!r} was made by a model of other settings: run train and predict"
        )
    raise StoreError(f"map {location!r} is of other settings of predict: run predict")


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
            "cube": {
                "location": self.context.config.cube.location,
                "derive_hash": self.context.derive_hash,
            },
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that the stored map depends on."""
        return _fingerprint(self.context, self.members)


def _fingerprint(context: RunContext, members: Sequence[Trained]) -> str:
    """Hash of everything that the map of some models depends on."""
    settings = context.config.predict.model_dump(
        mode="json", exclude={"cog", "ensembles", "on_cluster"}
    )
    made_by = [[member.fingerprint, member.temperature] for member in members]
    made_of = {"predict": settings, "members": made_by, "cube": context.derive_hash}
    pair = context.pair
    return config_hash(made_of | ({"pair": pair.number} if pair is not None else {}))


def _as_it_is(context: RunContext, member: str) -> Trained:
    """A model as a map would be drawn with it now; no temperature is fitted."""
    model = context.config.models.get(member)
    calibrated = context.config.predict.calibrated
    if model is not None and not (calibrated and isinstance(model, TrainedModel)):
        # The settings tell: the map of a checkpoint that was cleared away is still good.
        return Trained(context.paths.checkpoint(member), context.model_hash(member))
    path, _, metadata = _load(context, member)
    if not calibrated:
        return Trained(path, metadata["model_hash"])
    from landslide_dist.stages.calibrate import CALIBRATION, temperature_in

    if model is not None and CALIBRATION not in metadata:
        raise StoreError(f"model {path!r} has no temperature yet: run predict")
    return Trained(path, metadata["model_hash"], temperature_in(metadata, path))


def _load(context: RunContext, member: str) -> tuple[str, SusceptibilityModel, dict[str, Any]]:
    """Path, model and metadata of a model of the run, or of a checkpoint file."""
    of_run = member in context.config.models
    path = context.paths.checkpoint(member) if of_run else member
    if of_run and not Path(path).exists():
        raise StoreError(f"there is no model at {path!r} yet: run train")
    model, metadata = checkpoint.load(path)
    if "model_hash" not in metadata:
        raise DataError(f"checkpoint {path!r} is not one that `train` has written")
    if of_run and metadata["model_hash"] != context.model_hash(member):
        raise StoreError(
            f"model {path!r} was trained with other settings or on another cube: run train"
        )
    return path, model, metadata


def _member(context: RunContext, member: str) -> tuple[Trained, SusceptibilityModel]:
    """A model to predict with, known to fit; its temperature is fitted if need be."""
    config = context.config
    path, model, metadata = _load(context, member)
    check_fits(metadata, context.grid, config.cube.looking_distances_m)
    if isinstance(model, NetworkModel):
        check_channels(model.recipe.channels, context.channels)
    temperature = 1.0
    if config.predict.calibrated:
        # Here, since it imports all that trains: most maps are drawn without.
        from landslide_dist.stages.calibrate import calibrate, temperature_in

        of_run = member in config.models
        temperature = calibrate(context, member) if of_run else temperature_in(metadata, path)
    return Trained(path, metadata["model_hash"], temperature), model
