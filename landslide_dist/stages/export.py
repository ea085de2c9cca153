"""``export``: a trained model as files that run without this package, described for catalogues."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from landslide_dist.config import RunConfig
from landslide_dist.errors import ConfigError, StoreError
from landslide_dist.inference.mlm import model_item
from landslide_dist.inference.stac import add_model_link, prediction_item, write_item
from landslide_dist.models import checkpoint
from landslide_dist.models.export import card, save_onnx, save_program, to_program
from landslide_dist.models.susceptibility import NetworkModel
from landslide_dist.progress import console, stage
from landslide_dist.stages.calibrate import CALIBRATION
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.predict import check_map
from landslide_dist.store import cube
from landslide_dist.store.location import exists, open_group

FORMATS = ("torch", "onnx", "stac")


@stage
def export(config: RunConfig, name: str, formats: Sequence[str] = FORMATS) -> Path:
    """Write a model, and the STAC items of the model and of its map where that is predicted.

    Args:
        config: The run.
        name: The model.
        formats: ``torch``: model.pt2; ``onnx``: model.onnx; ``stac``: model.json and
            prediction.json, which list the files that are there.

    Returns:
        The folder of the files.

    Raises:
        ConfigError: There is no such model or format, or it is a baseline without weights.
        StoreError: It has not been trained, or not with these settings.
    """
    check_known("--format", formats, FORMATS)
    context = RunContext(config)
    model, metadata = trained_model(context, name)
    folder = Path(context.paths.export(name))
    temperature = temperature_of(config, metadata)
    description = card(model, metadata, temperature)
    if {"torch", "onnx"} & set(formats):
        dtype = getattr(torch, _uphill_dtype(config))
        program = to_program(model, dtype, temperature)
        if "torch" in formats:
            save_program(folder / "model.pt2", program, description)
        if "onnx" in formats:
            save_onnx(folder / "model.onnx", program, description)
    if "stac" in formats:
        _write_items(context, name, model, description, folder)
    written = ", ".join(sorted(path.name for path in folder.glob("[!.]*")))
    console.print(f"export: {folder}: {written}", markup=False)
    return folder


def check_known(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Refuse words that an option does not have.

    Raises:
        ConfigError: One of them is not known.
    """
    for word in given:
        if word not in known:
            raise ConfigError(f"{option} {word!r} is not one of {', '.join(known)}")


def trained_model(context: RunContext, name: str) -> tuple[NetworkModel, dict[str, Any]]:
    """A model of the run that is up to date, and the metadata of its checkpoint.

    Raises:
        ConfigError: There is no such model, or it is a baseline without weights.
        StoreError: It has not been trained, or not with these settings.
    """
    config = context.config
    if name not in config.models:
        raise ConfigError(f"model {name!r} is not in the run ({', '.join(config.models)})")
    path = context.paths.checkpoint(name)
    if not Path(path).exists():
        raise StoreError(f"there is no model at {path!r} yet: run train")
    model, metadata = checkpoint.load(path)
    if metadata["model_hash"] != context.model_hash(name):
        raise StoreError(
            f"model {path!r} was trained with other settings or on another cube: run train"
        )
    if not isinstance(model, NetworkModel):
        raise ConfigError(
            f"model {name!r} is a baseline of kind {config.models[name].kind!r}: it has no weights "
            "and reads no inputs; name a model that is trained"
        )
    return model, metadata


def temperature_of(config: RunConfig, metadata: dict[str, Any]) -> float:
    """What the logits of a model are divided by in this run's maps.

    Raises:
        StoreError: The run's maps are calibrated and this model is not yet.
    """
    if not config.predict.calibrated:
        return 1.0
    if CALIBRATION not in metadata:
        raise StoreError("predict.calibrated is set but the model has no temperature: run predict")
    return float(metadata[CALIBRATION]["temperature"])


def _uphill_dtype(config: RunConfig) -> str:
    """Dtype of the cube's uphill indices; a model that does not look uphill asks for none."""
    group = open_group(config.cube.location)
    return str(cube.array(group, "uphill").dtype) if "uphill" in group else "uint8"


def _write_items(
    context: RunContext, name: str, model: NetworkModel, description: dict[str, Any], folder: Path
) -> None:
    config, paths = context.config, context.paths
    identifier = f"{config.name}-{name}"
    files = {
        "checkpoint": paths.checkpoint(name),
        "torch": str(folder / "model.pt2"),
        "onnx": str(folder / "model.onnx"),
    }
    item = model_item(
        identifier, model, description, context.grid, _existing(files), _uphill_dtype(config),
        config.publish,
    )  # fmt: skip
    write_item(item, folder / "model.json")
    location = paths.prediction(name)
    if not exists(location):
        return
    check_map(context, name)
    variables = [variable for variable, _ in open_group(location).arrays()]
    of_map = prediction_item(
        f"{identifier}-susceptibility",
        location,
        _existing({variable: paths.cog(name, variable) for variable in variables}),
        _existing({"report": paths.report, "metrics": paths.metrics}),
        config.publish,
    )
    add_model_link(of_map, "model.json", identifier)
    write_item(of_map, folder / "prediction.json")


def _existing(files: dict[str, str]) -> dict[str, str]:
    return {name: path for name, path in files.items() if Path(path).exists()}
