"""Scores of predicted probabilities, part by part: one pass over the blocks of the region.

Each block adds its counts (see :mod:`landslide_dist.evaluation.counting`), merged in the order of
the blocks, so memory does not grow with the region, any number of threads or workers gives the same
scores, and any division into blocks gives the same counts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from distributed import Client

from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.errors import DataError
from landslide_dist.evaluation.counting import CountBlock, MapCounts, SetKey
from landslide_dist.evaluation.strata import Strata, open_strata
from landslide_dist.grid import Grid
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.bootstrap import DrawnScores, Draws, intervals
from landslide_dist.kernels.classes import (
    SusceptibilityClass,
    describe_classes,
    equal_shares,
    natural_breaks,
)
from landslide_dist.kernels.rates import rate_curve
from landslide_dist.kernels.scores import Curve, ScoreCounts
from landslide_dist.kernels.sparse_counts import SparseCounts
from landslide_dist.schema import PROBABILITY, TRUE_PROBABILITY
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, store_errors
from landslide_dist.store.results import block_results

#: Name of the probability that the labels of a synthetic region were drawn from, among the models.
BEST_REACHABLE = "best reachable"
#: Models that use no information on a pixel.
BASELINES = frozenset({"naive", "random"})
#: Scores that need no threshold, by the names of ``metrics.json``; they get bootstrap intervals.
RANKED_SCORES = {
    "nll": kernel.nll,
    "auc": kernel.auc,
    "ap": kernel.average_precision,
    "brier": kernel.brier,
}

#: Division -> stratum -> part -> counts.
StrataCounts = Mapping[str, Mapping[str, Mapping[str, SparseCounts]]]


@dataclass(frozen=True)
class ClassRow:
    """One susceptibility class of a map.

    Attributes:
        whole: All mapped pixels and all landslides among them.
        test: Labelled pixels of the test part alone; None without any.
    """

    whole: SusceptibilityClass
    test: SusceptibilityClass | None


@dataclass(frozen=True)
class ModelScores:
    """What is known of one model.

    Attributes:
        counts: Part -> counts of its labelled pixels; parts without labels are left out.
        chosen_on: Part on which the best threshold was chosen.
        threshold: The threshold with the best MCC there; NaN if the part lacks a class.
        intervals: Score -> 95 % block-bootstrap interval on the test part; may be empty.
        config: Bootstrap, calibration, classes.
        pixel_m: Side of a pixel, metres.
        drawn: Score -> its values on the bootstrap's draws, the same draws for all models.
        strata: Counts of the labelled pixels of each stratum.
        mapped: Counts of all mapped pixels, landslides among them; empty without classes.
        classes: Method -> susceptibility classes, the least susceptible first.
    """

    counts: Mapping[str, ScoreCounts]
    chosen_on: str
    threshold: float
    intervals: Mapping[str, tuple[float, float]]
    config: EvaluateConfig
    pixel_m: float
    drawn: DrawnScores = field(default_factory=dict)
    strata: StrataCounts = field(default_factory=dict)
    mapped: SparseCounts = field(default_factory=SparseCounts.zero)
    classes: Mapping[str, tuple[ClassRow, ...]] = field(default_factory=dict)

    @property
    def calibration_bins(self) -> int:
        """Equal-count bins of calibration error and reliability."""
        return self.config.calibration_bins

    def rate_curve(self, part: str) -> Curve:
        """Success rate (training part) or prediction rate (others), of ``evaluate.rate_area``."""
        landslides = self.counts[part].positive
        if self.config.rate_area == "part" or not len(self.mapped.bins):
            return rate_curve(landslides, landslides + self.counts[part].negative)
        mapped = self.mapped.dense()
        return rate_curve(landslides, mapped.positive + mapped.negative)


def score_predictions(
    cube_location: str,
    split_location: str,
    predictions: Mapping[str, str],
    parts: Mapping[str, frozenset[int]],
    config: EvaluateConfig,
    client: Client | None = None,
    threads: int | None = None,
) -> dict[str, ModelScores]:
    """Score predictions against the labels of each part.

    Args:
        cube_location: Cube with ``landslide`` and perhaps ``true_probability``.
        split_location: Group that holds ``split``.
        predictions: Model -> group that holds ``probability`` on the same grid.
        parts: ``SplitConfig.parts()``.
        config: Bootstrap, calibration, strata and classes.
        client: Dask client; None runs threads of this process.
        threads: Threads without a client; by default one a core.

    Returns:
        Model -> scores, in the given order; :data:`BEST_REACHABLE` last where it is known.

    Raises:
        DataError: A prediction is on another grid, scaled to integers, not in [0, 1], or missing
            at labelled pixels; or no pixel is labelled; or the regions cannot be used.
        ConfigError: A variable of ``evaluate.strata`` has no classes.
    """
    task = count_task(cube_location, split_location, predictions, parts, config)
    tallies = {name: _Tally(Draws(config.bootstrap_draws, config.seed)) for name in task.maps}
    windows = cube.shard_windows(cube_location)
    with store_errors(cube_location):
        for counted in block_results(task, windows, "evaluate", client, threads):
            for name, counts in counted.items():
                tallies[name].add(counts)
    _refuse_gaps(tallies, predictions)
    pixel_m = cube.read_grid(cube_location).pixel_m
    return {name: tally.finish(task, config, pixel_m) for name, tally in tallies.items()}


def count_task(
    cube_location: str,
    split_location: str,
    predictions: Mapping[str, str],
    parts: Mapping[str, frozenset[int]],
    config: EvaluateConfig,
) -> CountBlock:
    """The work on one block; see :func:`score_predictions`."""
    grid = cube.read_grid(cube_location)
    maps = {name: (location, PROBABILITY.name) for name, location in predictions.items()}
    for name, location in predictions.items():
        _check_prediction(name, location, grid)
    if TRUE_PROBABILITY.name in open_group(cube_location):
        maps[BEST_REACHABLE] = (cube_location, TRUE_PROBABILITY.name)
    block_px = config.bootstrap_block_px if config.bootstrap_draws else 0
    strata = open_strata(cube_location, grid, config)
    whole = bool(config.class_methods) or config.rate_area == "map"
    return CountBlock(cube_location, split_location, maps, dict(parts), strata, block_px, whole)


class _Tally:
    """Counts of one map, block after block."""

    def __init__(self, draws: Draws):
        self.sets: dict[SetKey, SparseCounts] = {}
        self.mapped = SparseCounts.zero()
        self.draws = draws
        self.num_missing = 0
        self.num_outside = 0

    def add(self, counted: MapCounts) -> None:
        for key, counts in counted.sets.items():
            before = self.sets.get(key)
            self.sets[key] = counts if before is None else before + counts
        self.mapped += counted.mapped
        if counted.drawn is not None:
            self.draws.add(counted.drawn)
        self.num_missing += counted.num_missing
        self.num_outside += counted.num_outside

    def finish(self, task: CountBlock, config: EvaluateConfig, pixel_m: float) -> ModelScores:
        counts = {
            part: self.sets[SetKey(part)].dense()
            for part in task.parts
            if SetKey(part) in self.sets
        }
        chosen_on = "validation" if "validation" in counts else "train"
        drawn = self.draws.scores(RANKED_SCORES) if self.draws.num_blocks else {}
        return ModelScores(
            counts,
            chosen_on,
            kernel.best_threshold(counts.get(chosen_on, ScoreCounts.zero())),
            intervals(drawn),
            config,
            pixel_m,
            drawn,
            {division.name: self._strata(division, task.parts) for division in task.strata},
            self.mapped,
            self._classes(config, counts),
        )

    def _strata(
        self, division: Strata, parts: Mapping[str, frozenset[int]]
    ) -> dict[str, dict[str, SparseCounts]]:
        """Counts of the strata that hold labelled pixels, in the order of their names."""
        found = {
            label: {
                part: self.sets[key]
                for part in parts
                if (key := SetKey(part, division.name, stratum)) in self.sets
            }
            for stratum, label in enumerate(division.labels)
        }
        return {label: counts for label, counts in found.items() if counts}

    def _classes(
        self, config: EvaluateConfig, counts: Mapping[str, ScoreCounts]
    ) -> dict[str, tuple[ClassRow, ...]]:
        mapped = self.mapped.dense()
        area = mapped.positive + mapped.negative
        trained = counts.get("train", ScoreCounts.zero()).positive
        classes = {}
        for method in config.class_methods:
            if method == "natural_breaks":
                cuts = natural_breaks(area, config.num_classes)
            else:
                cuts = equal_shares(area if method == "equal_area" else trained, config.num_classes)
            whole = describe_classes(cuts, area, mapped.positive)
            tested = counts.get("test")
            test = (
                [None] * len(whole)
                if tested is None
                else describe_classes(cuts, tested.positive + tested.negative, tested.positive)
            )
            classes[str(method)] = tuple(ClassRow(*pair) for pair in zip(whole, test, strict=True))
        return classes


def _check_prediction(name: str, location: str, grid: Grid) -> None:
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
                f"{place} is not in [0, 1] at {tally.num_outside} pixels; "
                "give probabilities, not logits or percentages"
            )
        if not tally.sets:
            raise DataError(f"{place} has nothing to be scored by: no pixel of a part is labelled")


def rivals(scores: Mapping[str, ModelScores]) -> list[str]:
    """Models that were trained; baselines where there is nothing else."""
    models = [name for name in scores if name != BEST_REACHABLE]
    return [name for name in models if name not in BASELINES] or models


def best_model(scores: Mapping[str, ModelScores]) -> str:
    """The trained model with the lowest test NLL, the first where none has one."""

    def test_nll(name: str) -> float:
        value = kernel.nll(scores[name].counts.get("test", ScoreCounts.zero()))
        return math.inf if math.isnan(value) else value

    return min(rivals(scores), key=test_nll)
