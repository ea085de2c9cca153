"""What people found who looked at detections, and the bias factor of those that are right.

Nobody can check all detections of a scene; some are drawn and looked at (reporting bias paper,
section 4.6). The share of them that is right, the precision, says how many of all are.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from landslide_dist.evaluation.bias_result import BiasResult, Factor, Interval

#: What was seen in each drawn detection; None: not judged.
Judgements = Sequence[bool | None]


@dataclass(frozen=True)
class Judged:
    """Detections of a region that people looked at.

    Attributes:
        region: Its name.
        num_drawn: Those that were drawn for them.
        num_judged: Those that they judged.
        num_right: Those of them that are landslides.
        precision: Share of the judged ones that is right; None where none is judged.
        interval: Of the precision; None where none is judged.
    """

    region: str
    num_drawn: int
    num_judged: int
    num_right: int
    precision: float | None
    interval: Interval | None


@dataclass(frozen=True)
class CheckedFactor:
    """The bias factor of one period, of detections that are right.

    Attributes:
        period: Of the records.
        factor: ``(d1 p1 / (d2 p2)) / (r1 / r2)`` with the precisions; None where there is none.
        interval: See :func:`checked_interval`; None where there is no factor.
        reason: Why there is no factor; empty if there is.
    """

    period: str
    factor: float | None
    interval: Interval | None
    reason: str


@dataclass(frozen=True)
class Checked:
    """What was found by eye; it holds for the lowest threshold alone, for that is what is drawn.

    Attributes:
        threshold: Probability from which on blocks were drawn.
        regions: Region 1 and 2.
        factors: Of each period.
    """

    threshold: float
    regions: tuple[Judged, Judged]
    factors: tuple[CheckedFactor, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @property
    def reasons(self) -> list[str]:
        """Why there is no factor, each reason once."""
        return list(dict.fromkeys(f.reason for f in self.factors if f.reason))


def check_detections(
    result: BiasResult, judgements: tuple[Judgements, Judgements]
) -> Checked | None:
    """Precisions, and the factors that they correct; None where nobody has judged anything.

    Args:
        result: The comparison of both regions.
        judgements: Of the detections drawn from the lowest threshold in region 1 and 2.
    """
    names = result.names
    regions = (
        _judged(names[0], judgements[0], result.level),
        _judged(names[1], judgements[1], result.level),
    )
    if not any(region.num_judged for region in regions):
        return None
    lowest = result.detected[0].threshold
    factors = (factor for factor in result.factors if factor.threshold == lowest)
    without = _without(regions, result.merged)
    return Checked(lowest, regions, tuple(_corrected(f, regions, without) for f in factors))


def precision_interval(num_right: int, num_judged: int, level: float) -> Interval:
    """Exact interval of a share (Clopper and Pearson 1934, Biometrika 26, 404-413).

    Args:
        num_right: Of those judged.
        num_judged: At least one.
        level: Coverage, reached at least.
    """
    bounds = stats.binomtest(num_right, num_judged).proportion_ci(level, method="exact")
    return float(bounds.low), float(bounds.high)


def checked_interval(
    factor: float, bounds: Interval, precisions: Sequence[float], intervals: Sequence[Interval]
) -> Interval:
    """Interval of a bias factor times ``p1 / p2``, from those of its three parts.

    The distances from estimate to bound add up as squares, on logarithms, where factor and
    precisions are a sum (the MOVER of Zou and Donner 2008, Statistics in Medicine 27, 1693-1702).
    Exact intervals of the parts make it cover somewhat more often than their level. It is never
    narrower than the interval of the factor, and the same where precisions are known.

    Args:
        factor: Of all detections, above 0.
        bounds: Its bounds, above 0 and finite.
        precisions: Of region 1 and 2, above 0.
        intervals: Theirs, above 0.
    """
    first, second = precisions
    (low1, high1), (low2, high2) = intervals
    # A large precision of region 2 makes the factor small.
    down = np.log([factor / bounds[0], first / low1, high2 / second])
    up = np.log([bounds[1] / factor, high1 / first, second / low2])
    middle = np.log(factor * first / second)
    return (
        float(np.exp(middle - np.sqrt(np.sum(down**2)))),
        float(np.exp(middle + np.sqrt(np.sum(up**2)))),
    )


def _judged(name: str, judgements: Judgements, level: float) -> Judged:
    known = [judgement for judgement in judgements if judgement is not None]
    num_judged, num_right = len(known), sum(known)
    if not known:
        return Judged(name, len(judgements), 0, 0, None, None)
    return Judged(
        name, len(judgements), num_judged, num_right, num_right / num_judged,
        precision_interval(num_right, num_judged, level),
    )  # fmt: skip


def _without(regions: tuple[Judged, Judged], merged: bool) -> str:
    """Why no period has a factor; empty: none is without for the sake of its judgements."""
    # Large groups hold more of the drawn blocks: the precision of groups is another one.
    if merged:
        return "single blocks are judged, but groups of blocks that touch are counted"
    return "; ".join(
        f"no detection of {region.region} that was judged is a landslide"
        if region.num_judged
        else f"no detection of {region.region} is judged"
        for region in regions
        if not region.num_right
    )


def _corrected(found: Factor, regions: tuple[Judged, Judged], without: str) -> CheckedFactor:
    if without or found.factor is None:
        return CheckedFactor(found.period, None, None, without or found.reason)
    precisions = [r.precision for r in regions if r.precision is not None]
    intervals = [r.interval for r in regions if r.interval is not None]
    return CheckedFactor(
        found.period,
        found.factor * precisions[0] / precisions[1],
        checked_interval(found.factor, found.poisson, precisions, intervals),
        "",
    )
