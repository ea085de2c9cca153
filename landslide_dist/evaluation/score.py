"""Scores of predicted probabilities, part by part: one pass over the blocks of the region.

Each block adds its counts (see :mod:`landslide_dist.kernels.scores`), so memory does not grow with
the region and any division into blocks gives the same scores.
"""

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.bootstrap import BlockCounts, bootstrap_intervals
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.progress import track
from landslide_dist.schema import LANDSLIDE, PROBABILITY, SPLIT, TRUE_PROBABILITY, UNLABELLED
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, store_errors

#: Name of the probability that the labels of a synthetic region were drawn from, among the models.
BEST_REACHABLE = "best reachable"
#: Scores that need no threshold, by the names of ``metrics.json``; they get bootstrap intervals.
RANKED_SCORES = {
    "nll": kernel.nll,
    "auc": kernel.auc,
    "ap": kernel.average_precision,
    "brier": kernel.brier,
}
#: Models are counted side by side; each thread holds one block.
NUM_THREADS = 4


@dataclass(frozen=True)
class ModelScores:
    """What is known of one model.

    Attributes:
        counts: Part -> counts of its labelled pixels; parts without labels are left out.
        chosen_on: Part on which the best threshold was chosen.
        threshold: The threshold with the best MCC there; NaN if the part lacks a class.
        intervals: Score -> 95 % block-bootstrap interval on the test part; may be empty.
        calibration_bins: Equal-count bins of calibration error and reliability.
    """

    counts: Mapping[str, ScoreCounts]
    chosen_on: str
    threshold: float
    intervals: Mapping[str, tuple[float, float]]
    calibration_bins: int


def score_predictions(
    cube_location: str,
    split_location: str,
    predictions: Mapping[str, str],
    parts: Mapping[str, frozenset[int]],
    config: EvaluateConfig,
) -> dict[str, ModelScores]:
    """Score predictions against the labels of each part.

    Args:
        cube_location: Cube with ``landslide`` and perhaps ``true_probability``.
        split_location: Group that holds ``split``.
        predictions: Model -> group that holds ``probability`` on the same grid.
        parts: ``SplitConfig.parts()``.
        config: Bootstrap and calibration.

    Returns:
        Model -> scores, in the given order; :data:`BEST_REACHABLE` last where it is known.

    Raises:
        DataError: A prediction is on another grid, scaled to integers, not in [0, 1], or missing
            at labelled pixels; or no pixel is labelled.
    """
    grid = cube.read_grid(cube_location)
    group = open_group(cube_location)
    arrays = {
        name: _prediction_array(name, location, grid) for name, location in predictions.items()
    }
    if TRUE_PROBABILITY.name in group:
        arrays[BEST_REACHABLE] = cube.array(group, TRUE_PROBABILITY.name)
    landslide = cube.array(group, LANDSLIDE.name)
    split = cube.array(open_group(split_location), SPLIT.name)
    tallies = {name: _Tally(array, config.bootstrap_block_px) for name, array in arrays.items()}
    windows = cube.shard_windows(cube_location)
    with store_errors(cube_location), ThreadPoolExecutor(NUM_THREADS) as threads:
        for window in track(windows, "evaluate", len(windows)):
            labels = _Labels.read(landslide, split, window, parts)
            if labels.pixels:
                list(threads.map(partial(_Tally.add, labels=labels), tallies.values()))
    _refuse_gaps(tallies, predictions)
    return {name: _finish(tally, list(parts), config) for name, tally in tallies.items()}


def to_metrics(scores: Mapping[str, ModelScores]) -> dict[str, Any]:
    """All scores as plain data for JSON; what is undefined is null."""
    return {
        "models": {
            name: {part: _part_metrics(model, part) for part in model.counts}
            for name, model in scores.items()
        }
    }


def _part_metrics(model: ModelScores, part: str) -> dict[str, Any]:
    counts = model.counts[part]
    metrics = {
        "num_pixels": counts.num_labelled,
        "num_landslide": counts.num_positive,
        **{name: score(counts) for name, score in RANKED_SCORES.items()},
        "ece": kernel.expected_calibration_error(counts, model.calibration_bins),
        "at_0.5": _at(counts, 0.5),
        "at_best": {
            "threshold": model.threshold,
            "chosen_on": model.chosen_on,
            **_at(counts, model.threshold),
        },
        "intervals": {k: list(v) for k, v in model.intervals.items()} if part == "test" else {},
    }
    plain: dict[str, Any] = null_for_nan(metrics)
    return plain


def _at(counts: ScoreCounts, threshold: float) -> dict[str, float]:
    found = kernel.precision_recall_f1_mcc(kernel.confusion_at(counts, threshold))
    # Without a threshold nothing is called, which is not the same as calling nothing.
    return dict.fromkeys(found, math.nan) if math.isnan(threshold) else found


def null_for_nan(value: Any) -> Any:
    """Plain data with None in place of what is undefined: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: null_for_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class _Labels:
    """Labels of one block: for each part the flat positions of its pixels and their labels."""

    window: Window
    pixels: dict[str, tuple[NDArray[np.int64], NDArray[np.uint8]]]

    @classmethod
    def read(
        cls,
        landslide: zarr.Array[Any],
        split: zarr.Array[Any],
        window: Window,
        parts: Mapping[str, Iterable[int]],
    ) -> "_Labels":
        part_of = cube.read_window(split, window, UNLABELLED).ravel()
        pixels = {}
        if (part_of != UNLABELLED).any():
            target = cube.read_window(landslide, window, UNLABELLED).ravel()
            labelled = target != UNLABELLED
            for name, values in parts.items():
                at = np.flatnonzero(labelled & np.isin(part_of, sorted(values)))
                if len(at):
                    pixels[name] = (at, target[at])
        return cls(window, pixels)


@dataclass
class _Tally:
    """Counts of one model, block after block."""

    array: zarr.Array[Any]
    block_px: int
    counts: dict[str, ScoreCounts] = field(default_factory=dict)
    blocks: list[BlockCounts] = field(default_factory=list)
    num_missing: int = 0
    num_outside: int = 0

    def add(self, labels: _Labels) -> None:
        """Count one block."""
        window = labels.window
        probability = cube.read_window(self.array, window, np.nan).ravel()
        for part, (at, target) in labels.pixels.items():
            predicted = probability[at]
            usable = (predicted >= 0) & (predicted <= 1)
            if not usable.all():
                missing = int(np.isnan(predicted).sum())
                self.num_missing += missing
                self.num_outside += int((~usable).sum()) - missing
                continue
            before = self.counts.get(part, ScoreCounts.zero())
            self.counts[part] = before + ScoreCounts.from_block(predicted, target)
            if part == "test":
                block = self._block_number(window, at)
                self.blocks.append(BlockCounts.from_pixels(predicted, target, block))

    def _block_number(self, window: Window, at: NDArray[np.int64]) -> NDArray[np.int64]:
        row, column = np.divmod(at, window.width)
        across = -(-self.array.shape[1] // self.block_px)
        down = (row + window.y0) // self.block_px
        return np.asarray(down * across + (column + window.x0) // self.block_px)


def _finish(tally: _Tally, parts: list[str], config: EvaluateConfig) -> ModelScores:
    intervals = {}
    if tally.blocks and config.bootstrap_draws:
        blocks = BlockCounts.merge(tally.blocks)
        intervals = bootstrap_intervals(blocks, RANKED_SCORES, config.bootstrap_draws, config.seed)
    counts = {part: tally.counts[part] for part in parts if part in tally.counts}
    chosen_on = "validation" if "validation" in counts else "train"
    threshold = kernel.best_threshold(counts.get(chosen_on, ScoreCounts.zero()))
    return ModelScores(counts, chosen_on, threshold, intervals, config.calibration_bins)


def _prediction_array(name: str, location: str, grid: Grid) -> zarr.Array[Any]:
    found = cube.read_grid(location)
    if (
        found.shape != grid.shape
        or found.crs != grid.crs
        or not np.allclose(found.bounds, grid.bounds, rtol=0, atol=1e-3 * grid.pixel_m)
    ):
        raise DataError(
            f"prediction {name!r} ({location}) has {_describe(found)}, the cube {_describe(grid)}: "
            "predict again on this cube"
        )
    array = cube.array(open_group(location), PROBABILITY.name)
    if array.dtype.kind != "f":
        raise DataError(
            f"prediction {name!r} ({location}) is {array.dtype}, scaled for viewing; scores need "
            "the probability itself: predict again to float32"
        )
    return array


def _describe(grid: Grid) -> str:
    bounds = ", ".join(f"{b:g}" for b in grid.bounds)
    return f"{grid.height} x {grid.width} px, {grid.crs.partition('[')[0]}, bounds {bounds}"


def _refuse_gaps(tallies: Mapping[str, _Tally], predictions: Mapping[str, str]) -> None:
    for name, tally in tallies.items():
        place = f"prediction {name!r} ({predictions.get(name, 'true_probability of the cube')})"
        if tally.num_missing:
            raise DataError(
                f"{place} has no value at {tally.num_missing} labelled pixels; "
                "predict the whole region again, or leave this model out"
            )
        if tally.num_outside:
            raise DataError(
                f"{place} is not in [0, 1] at {tally.num_outside} labelled pixels; "
                "give probabilities, not logits or percentages"
            )
        if not tally.counts:
            raise DataError(f"{place} has nothing to be scored by: no pixel of a part is labelled")
