"""``predict``: every model's probability for the whole region, to Zarr and to GeoTIFF."""

from collections.abc import Sequence
from pathlib import Path

from landslide_dist.config import RunConfig
from landslide_dist.config.run import config_hash
from landslide_dist.errors import StoreError
from landslide_dist.inference.cog import write_cog
from landslide_dist.inference.predict import TiledPredictor, check_fits, predict_region
from landslide_dist.models import checkpoint
from landslide_dist.patches.reader import open_reader
from landslide_dist.progress import console
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.train import chosen_models


def predict(config: RunConfig, only: Sequence[str] | None = None) -> None:
    """Map the region with each model; finished shards are left alone.

    Args:
        config: The run.
        only: Names of the models; None for all.

    Raises:
        StoreError: A model has not been trained, or not with these settings.
        DataError: A model does not fit the cube.
    """
    context = RunContext(config)
    for name in chosen_models(config, only):
        predict_model(context, name)


def predict_model(context: RunContext, name: str) -> None:
    """Map the region with one model."""
    config, paths = context.config, context.paths
    path = paths.checkpoint(name)
    if not Path(path).exists():
        raise StoreError(f"there is no model at {path!r} yet: run train")
    model, metadata = checkpoint.load(path)
    if metadata["model_hash"] != context.model_hash(name):
        raise StoreError(
            f"model {path!r} was trained with other settings or on another cube: run train"
        )
    check_fits(metadata, context.grid, config.cube.looking_distances_m)
    names = dict.fromkeys((*model.inputs, "elevation"), config.cube.location)
    reader = open_reader(names, config.training.host_memory_gib)
    provenance = {"model": name, "checkpoint": metadata["model_hash"], "cube": metadata["cube"]}
    num_shards = predict_region(
        TiledPredictor.of(model, reader, config.predict),
        context.grid,
        paths.prediction(name),
        config.cube.storage,
        provenance,
        config_hash(config.predict, {"model": metadata["model_hash"], "cube": context.derive_hash}),
        f"predict {name}",
    )
    published = Path(paths.cog(name)).exists()
    if config.predict.cog and (num_shards or not published):
        write_cog(paths.prediction(name), paths.cog(name), provenance, f"publish {name}")
    elif not num_shards:
        console.print(f"predict: {name} is up to date")
