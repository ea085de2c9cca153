"""What the comparison of two regions' reports found: plain numbers, as JSON and as a table."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

Interval = tuple[float, float]


@dataclass(frozen=True)
class RegionCounts:
    """What is in a region.

    Attributes:
        name: What it is called.
        num_blocks: Blocks inside; the next three add up to it.
        num_classified: Those that count.
        num_masked: Those that are masked.
        num_unclear: Others that clouds and the like hide.
        blocks: Detected blocks at each threshold.
        groups: Groups of detected blocks that touch, at each threshold.
        recorded: Period -> recorded landslides.
    """

    name: str
    num_blocks: int
    num_classified: int
    num_masked: int
    num_unclear: int
    blocks: tuple[int, ...]
    groups: tuple[int, ...]
    recorded: Mapping[str, int]


@dataclass(frozen=True)
class Detected:
    """Detected landslides at a threshold.

    Attributes:
        threshold: Probability from which on a block is detected.
        numbers: Of region 1 and 2, ``d1`` and ``d2``.
        intervals: Of each number, from drawn blocks; None where it has none.
        ratio: ``d1 / d2``; None where ``d2`` is 0.
        ratio_interval: Of the ratio.
    """

    threshold: float
    numbers: tuple[int, int]
    intervals: tuple[Interval | None, Interval | None]
    ratio: float | None
    ratio_interval: Interval | None


@dataclass(frozen=True)
class Factor:
    """The bias factor of one period at one threshold.

    Attributes:
        period: Of the records.
        threshold: Of the detections.
        detected: ``d1, d2``.
        recorded: ``r1, r2``.
        factor: ``(d1 / d2) / (r1 / r2)``; None where one of the four is 0.
        poisson: Its interval if the four are Poisson numbers.
        bootstrap: Its interval from drawn blocks and drawn Poisson means; None where there is none.
        reason: Why there is no factor; empty if there is.
        bootstrap_reason: Why there is no bootstrap interval; empty if there is.
    """

    period: str
    threshold: float
    detected: tuple[int, int]
    recorded: tuple[int, int]
    factor: float | None
    poisson: Interval
    bootstrap: Interval | None
    reason: str
    bootstrap_reason: str


@dataclass(frozen=True)
class BiasResult:
    """The comparison of two regions.

    Attributes:
        regions: Region 1 and 2.
        merged: Whether groups of blocks are detected landslides, or blocks.
        level: Of the intervals.
        detected: By threshold.
        factors: Every period at every threshold, period by period.
    """

    regions: tuple[RegionCounts, RegionCounts]
    merged: bool
    level: float
    detected: tuple[Detected, ...]
    factors: tuple[Factor, ...]

    @property
    def names(self) -> tuple[str, str]:
        """Names of the regions."""
        return self.regions[0].name, self.regions[1].name

    @property
    def recorded_ratios(self) -> dict[str, float | None]:
        """Period -> ``r1 / r2``; None where ``r2`` is 0."""
        one, other = (region.recorded for region in self.regions)
        return {period: one[period] / other[period] if other[period] else None for period in one}

    def of_period(self, period: str) -> list[Factor]:
        """The factors of one period, by threshold."""
        return [factor for factor in self.factors if factor.period == period]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which knows no infinity: a bound that there is not is None."""
        plain: dict[str, Any] = _finite(asdict(self))
        return plain | {"recorded_ratios": self.recorded_ratios}

    def to_csv(self) -> str:
        """A row for every period and threshold; a bound that there is not is ``inf``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        one, other = self.names
        writer.writerow([
            "period", "threshold", f"detected_{one}", f"detected_{other}", "detected_ratio",
            f"recorded_{one}", f"recorded_{other}", "recorded_ratio", "bias_factor",
            "poisson_low", "poisson_high", "bootstrap_low", "bootstrap_high", "note",
        ])  # fmt: skip
        ratios = {found.threshold: found.ratio for found in self.detected}
        for factor in self.factors:
            numbers = [
                *factor.recorded, self.recorded_ratios[factor.period], factor.factor,
                *factor.poisson, *(factor.bootstrap or (None, None)),
            ]  # fmt: skip
            row = [factor.threshold, *factor.detected, ratios[factor.threshold], *numbers]
            reasons = filter(None, (factor.reason, factor.bootstrap_reason))
            writer.writerow([factor.period, *map(_text, row), "; ".join(reasons)])
        return text.getvalue()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: float | None) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
