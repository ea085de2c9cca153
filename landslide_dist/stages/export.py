"""``export``: a trained model as files that run without this package, described for catalogues."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch

from landslide_dist.config import RunConfig
from landslide_dist.errors import ConfigError, StoreError
from landslide_dist.inference.cog import read_tags
from landslide_dist.inference.mlm import model_item
from landslide_dist.inference.stac import (
    MAPS,
    UNBOUNDED,
    add_model_link,
    prediction_item,
    write_item,
)
from landslide_dist.models import checkpoint
from landslide_dist.models.export import card, read_card, save_onnx, save_program, to_program
from landslide_dist.models.susceptibility import NetworkModel
from landslide_dist.progress import console, stage
from landslide_dist.sources.imagery import UNKNOWN_DAY
from landslide_dist.stages.calibrate import CALIBRATION
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.evaluate import found_scores
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
            prediction.json, which list the files that are of them as they are now.

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
    files = {"checkpoint": paths.checkpoint(name)} | _programs(description, folder)
    item = model_item(
        identifier, model, description, context.grid, files, _uphill_dtype(config), config.publish
    )
    write_item(item, folder / "model.json")
    location = paths.prediction(name)
    if not exists(location):
        return
    of_map = prediction_item(
        f"{identifier}-{MAPS[config.task][1]}",
        location,
        _cogs(context, name),
        _results(context),
        config.publish,
        config.task,
        _period(context),
    )
    add_model_link(of_map, "model.json", identifier)
    write_item(of_map, folder / "prediction.json")


def _programs(description: dict[str, Any], folder: Path) -> dict[str, str]:
    """Of the exported files those of the present checkpoint and temperature."""
    files = {}
    for kind, path in (("torch", folder / "model.pt2"), ("onnx", folder / "model.onnx")):
        if not path.exists():
            continue
        written = read_card(path)
        if all(written.get(key) == description[key] for key in ("checkpoint", "temperature")):
            files[kind] = str(path)
        else:
            _say_left_out(path, "of an older model", f"export --format {kind}")
    return files


def _cogs(context: RunContext, name: str) -> dict[str, str]:
    """Variable -> its GeoTIFF, of those that are made of the present map."""
    fingerprint, files = check_map(context, name), {}
    for variable, _ in open_group(context.paths.prediction(name)).arrays():
        path = context.paths.cog(name, variable)
        if not Path(path).exists():
            continue
        if read_tags(path).get("fingerprint") == fingerprint:
            files[variable] = path
        else:
            _say_left_out(path, "of an older map", "predict with predict.cog")
    return files


def _results(context: RunContext) -> dict[str, str]:
    """The scores and the report of the run, if they are of its present maps."""
    metrics, report = Path(context.paths.metrics), Path(context.paths.report)
    files = {}
    if metrics.exists():
        try:
            found_scores(context)
            files["metrics"] = str(metrics)
        except StoreError:
            _say_left_out(metrics, "of older maps or settings", "evaluate")
    if report.exists():
        # A page does not tell what it is of: `report` follows the scores that it shows.
        if "metrics" not in files:
            _say_left_out(report, "without scores of the present maps", "evaluate and report")
        elif report.stat().st_mtime_ns < metrics.stat().st_mtime_ns:
            _say_left_out(report, "older than the scores", "report")
        else:
            files["report"] = str(report)
    return files


def _say_left_out(path: str | Path, what: str, remedy: str) -> None:
    console.print(f"export: {path} is {what}: left out; run {remedy}", markup=False)


def _period(context: RunContext) -> tuple[date, date]:
    """Days of the images before and after an event, as far as they are known."""
    pair = context.pair
    if pair is None:
        return UNBOUNDED
    days = cube.open_cube(context.config.cube.location)["time"].values
    start, end = (
        unbounded if str(days[time]) == UNKNOWN_DAY else date.fromisoformat(str(days[time]))
        for time, unbounded in zip(pair.times, UNBOUNDED, strict=True)
    )
    return start, end
