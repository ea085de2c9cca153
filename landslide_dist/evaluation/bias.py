"""How much less is reported in one region than in another, as plain numbers.

Landslides that a model detects on the scenes of two regions, those that a catalog records, and the
bias factor ``(d1 / d2) / (r1 / r2)`` of them (reporting bias paper, sections 4.6 and 5.4).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.bias import BiasConfig
from landslide_dist.errors import DataError
from landslide_dist.evaluation.bias_result import BiasResult, Detected, Factor, RegionCounts
from landslide_dist.kernels.bias import (
    bias_factor,
    bootstrap_interval,
    detections,
    drawn_detections,
    percentile_interval,
    poisson_interval,
)


@dataclass(frozen=True, eq=False)
class Region:
    """One of the two regions, on the blocks of its scene.

    Attributes:
        name: What it is called.
        probability: Landslide probability of each block of the scene, ``(y, x)``; NaN: not clear.
        inside: Blocks of the region, ``(y, x)``.
        masked: Blocks that are not to be counted, ``(y, x)``, e.g. water.
        recorded: Period -> recorded landslides.
    """

    name: str
    probability: NDArray[np.float32]
    inside: NDArray[np.bool_]
    masked: NDArray[np.bool_]
    recorded: Mapping[str, int]

    @property
    def counted(self) -> NDArray[np.float32]:
        """Probability of the blocks that count; NaN elsewhere."""
        return np.where(self.inside & ~self.masked, self.probability, np.float32(np.nan))


def compare_reporting(regions: tuple[Region, Region], config: BiasConfig) -> BiasResult:
    """Count, divide, and say how sure that is.

    Raises:
        DataError: A region has no block that counts, or there is no bias factor at any threshold in
            any period.
    """
    counts = (
        _counts(regions[0], config.thresholds),
        _counts(regions[1], config.thresholds),
    )
    rasters = regions[0].counted, regions[1].counted
    detected = tuple(
        _detected(counts, rasters, config, position) for position in range(len(config.thresholds))
    )
    factors = tuple(
        _factor(counts, rasters, config, period, found)
        for period in config.periods
        for found in detected
    )
    if all(factor.factor is None for factor in factors):
        raise DataError(
            f"there is no bias factor at any threshold in any period: {factors[0].reason}; give "
            "lower thresholds, longer periods or larger regions"
        )
    return BiasResult(counts, config.merged, config.level, detected, factors)


def _counts(region: Region, thresholds: tuple[float, ...]) -> RegionCounts:
    """Count a region.

    Raises:
        DataError: None of its blocks counts.
    """
    counted, masked = region.counted, region.inside & region.masked
    num_blocks, num_masked = int(region.inside.sum()), int(masked.sum())
    num_classified = int(np.isfinite(counted).sum())
    num_unclear = num_blocks - num_classified - num_masked
    if not num_classified:
        raise DataError(
            f"region {region.name!r} has no block to count: of {num_blocks} inside "
            f"{num_masked} are masked and {num_unclear} not clear; give another polygon, "
            "other masked codes, or a clearer image"
        )
    blocks, groups = (
        tuple(detections(counted, thresholds, merged).tolist()) for merged in (False, True)
    )
    return RegionCounts(
        region.name, num_blocks, num_classified, num_masked, num_unclear, blocks, groups,
        dict(region.recorded),
    )  # fmt: skip


def _detected(
    counts: tuple[RegionCounts, RegionCounts],
    rasters: tuple[NDArray[np.float32], NDArray[np.float32]],
    config: BiasConfig,
    position: int,
) -> Detected:
    threshold = config.thresholds[position]
    one, other = ((c.groups if config.merged else c.blocks)[position] for c in counts)
    random = np.random.Generator(np.random.Philox(config.seed))
    drawn = [
        _drawn(raster, threshold, config, random, region.name)
        for raster, region in zip(rasters, counts, strict=True)
    ]
    intervals = [None if d is None else percentile_interval(d, config.level) for d in drawn]
    ratio_interval = None
    if drawn[0] is not None and drawn[1] is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio_interval = percentile_interval(drawn[0] / drawn[1], config.level)
    return Detected(
        threshold,
        (one, other),
        (intervals[0], intervals[1]),
        one / other if other else None,
        ratio_interval,
    )


def _drawn(
    raster: NDArray[np.float32],
    threshold: float,
    config: BiasConfig,
    random: np.random.Generator,
    name: str,
) -> NDArray[np.float64] | None:
    """Numbers of drawn blocks; None where there are no detections or too few blocks to draw."""
    try:
        drawn = drawn_detections(
            raster, threshold, config.block_cells, config.draws, random, config.merged, name
        )
    except DataError:
        return None
    return drawn.astype(np.float64)


def _factor(
    counts: tuple[RegionCounts, RegionCounts],
    rasters: tuple[NDArray[np.float32], NDArray[np.float32]],
    config: BiasConfig,
    period: str,
    found: Detected,
) -> Factor:
    threshold, detected = found.threshold, found.numbers
    recorded = (counts[0].recorded[period], counts[1].recorded[period])
    none = [
        f"no block of {region.name} reaches {threshold:g}"
        for region, number in zip(counts, detected, strict=True)
        if not number
    ] + [
        f"nothing is recorded in {region.name} in the period {period}"
        for region, number in zip(counts, recorded, strict=True)
        if not number
    ]
    bootstrap, without = None, ""
    try:
        bootstrap = bootstrap_interval(
            *rasters, *recorded, threshold, config.block_cells, config.draws, config.seed,
            config.level, config.merged,
        )  # fmt: skip
    except DataError as error:
        without = "" if 0 in detected else str(error)
    return Factor(
        period, threshold, detected, recorded,
        None if none else bias_factor(*detected, *recorded),
        poisson_interval(detected, recorded, config.level),
        bootstrap, "; ".join(none), without,
    )  # fmt: skip
