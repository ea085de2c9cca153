"""Hashes by which a stage knows that what it would make is already there."""

from collections.abc import Mapping, Sequence
from typing import Any

from landslide_dist.config.model import AlignedModel, TrainedModel
from landslide_dist.config.run import RunConfig, config_hash


def ingest_hash(config: RunConfig, inputs: Sequence[dict[str, Any]]) -> str:
    """What the ingested variables depend on: sources, grid, layout, and the files as they are."""
    return config_hash(
        config.sources, config.cube.grid, config.cube.storage, {"inputs": list(inputs)}
    )


def derive_hash(config: RunConfig, ingested: str) -> str:
    """What slope and uphill index depend on: the elevation and the looking distances."""
    return config_hash({"distances": config.cube.looking_distances_m, "ingested": ingested})


def match_hash(config: RunConfig, ingested: str, reference: str) -> str:
    """What the matched images depend on: the images, and the reference as it is."""
    return config_hash(config.cube.matching, {"ingested": ingested, "reference": reference})


def started_from(config: RunConfig, name: str) -> dict[str, str]:
    """Setting -> path of each checkpoint that a model begins with, or its LLR of this run."""
    model, llr = config.models[name], config.llr_of(name)
    found = {}
    if isinstance(model, TrainedModel) and model.init_from is not None:
        found["init_from"] = model.init_from
    if llr is not None and llr.init_from is not None:
        found["llr.init_from"] = llr.init_from
    if isinstance(model, AlignedModel) and model.aligned.features is None and llr is None:
        found["aligned.llr"] = model.aligned.llr
    return found


def model_hash(
    config: RunConfig, name: str, derived: str, buffer_px: int, files: Mapping[str, Any]
) -> str:
    """What a trained model depends on: cube, split, patches, its own settings, its LLR's.

    Args:
        config: The run.
        name: The model.
        derived: Fingerprint of the cube.
        buffer_px: Of the split as it is: by default it is as wide as the models of the run see.
        files: Setting -> version of the file that it names.
    """
    return config_hash(
        {"derived": derived, "buffer_px": buffer_px} | ({"files": dict(files)} if files else {}),
        config.split,
        config.patches,
        config.models[name],
        config.llr_of(name),
        # Devices and memory may differ from machine to machine; the model is the same.
        {"seed": config.seed_of(name), "precision": config.training.precision},
    )
