"""Temperature of a trained model, fitted to the validation labels and kept in its checkpoint."""

import json
from collections.abc import Mapping
from typing import Any

from landslide_dist.config.model import TrainedModel
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.cores import count_parts
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.calibration import at_temperature, fit_temperature
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.models import checkpoint
from landslide_dist.patches.summary import SplitSummary
from landslide_dist.progress import console
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.train import trainer_of
from landslide_dist.whole_file import write_whole

#: Entry of a checkpoint's metadata.
CALIBRATION = "calibration"


def calibrate(context: RunContext, name: str) -> float:
    """Fit the temperature of a model, unless its checkpoint has one of the same tiles.

    Also writes ``calibration.json``.

    Returns:
        What the model's logits are divided by; 1 for baselines that were not trained.

    Raises:
        ConfigError: The model is not trained.
        DataError: The validation part lacks pixels with, or without, landslides.
    """
    path = context.paths.checkpoint(name)
    metadata = checkpoint.load(path)[1]
    tiles = context.config.predict.tiles
    if CALIBRATION in metadata and metadata[CALIBRATION].get("tiles", {}) == tiles:
        return temperature_in(metadata, path)
    if not isinstance(context.config.models[name], TrainedModel):
        return 1.0
    before = _validation_counts(context, name)
    temperature = fit_temperature(before)
    after = at_temperature(before, temperature)
    bins = context.config.evaluate.calibration_bins
    entry = {
        "temperature": temperature,
        "num_pixels": before.num_labelled,
        "tiles": tiles,
        "before": _scores(before, bins),
        "after": _scores(after, bins),
    }
    write_whole(context.paths.calibration(name), json.dumps(entry, indent=1))
    checkpoint.amend(path, {CALIBRATION: entry})
    console.print(
        f"calibrate: {name} has temperature {temperature:.3f}; validation NLL "
        f"{kernel.nll(before):.4f} -> {kernel.nll(after):.4f}"
    )
    return temperature


def temperature_in(metadata: Mapping[str, Any], path: str) -> float:
    """The temperature that a checkpoint holds.

    Raises:
        ConfigError: It holds none.
    """
    if CALIBRATION not in metadata:
        raise ConfigError(
            f"checkpoint {path!r} has no temperature: predict with predict.calibrated in the run "
            "that trained it, or set predict.calibrated to false"
        )
    return float(metadata[CALIBRATION]["temperature"])


def _validation_counts(context: RunContext, name: str) -> ScoreCounts:
    trainer = trainer_of(context, quiet=True)
    values = {"validation": context.config.split.parts()["validation"]}
    predict = trainer.predictor(name).probability
    index = SplitSummary.load(context.split_summary).index
    return count_parts(predict, trainer.reader, index, values)["validation"]


def _scores(counts: ScoreCounts, num_bins: int) -> dict[str, Any]:
    """Plain data: scores, and the reliability curve."""
    curve = kernel.reliability(counts, num_bins)
    return {
        "nll": kernel.nll(counts),
        "brier": kernel.brier(counts),
        "ece": kernel.expected_calibration_error(counts, num_bins),
        "reliability": {
            "predicted": curve.predicted.tolist(),
            "observed": curve.observed.tolist(),
            "num_pixels": curve.num_pixels.tolist(),
        },
    }
