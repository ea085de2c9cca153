"""Hashes by which a stage knows that what it would make is already there."""

from collections.abc import Sequence
from typing import Any

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


def model_hash(config: RunConfig, name: str, derived: str, buffer_px: int) -> str:
    """What a trained model depends on: cube, split, patches, its own settings, its LLR's."""
    return config_hash(
        # The buffer as it is: by default it is as wide as the models of the run see.
        {"derived": derived, "buffer_px": buffer_px},
        config.split,
        config.patches,
        config.models[name],
        config.llr_of(name),
        # Devices and memory may differ from machine to machine; the model is the same.
        {"seed": config.seed_of(name), "precision": config.training.precision},
    )
