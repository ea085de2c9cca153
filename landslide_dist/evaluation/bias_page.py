"""The page of the comparison of two regions' reports, as a single HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from landslide_dist.config.bias import BiasConfig
from landslide_dist.evaluation.bias_checked import Checked
from landslide_dist.evaluation.bias_result import BiasResult, Factor, Interval
from landslide_dist.evaluation.report import Picture, page
from landslide_dist.evaluation.sections import TextTable

_NONE = "–"
#: Of a polygon beyond the scene that is worth a word.
LEAST_SHARE = 0.0005


@dataclass(frozen=True)
class RegionText:
    """What the page tells of a region beside its numbers.

    Attributes:
        name: What it is called.
        scene: Its scene.
        day: Of the scene's image.
        bounds: Left, bottom, right, top in degrees.
        polygon: File of the polygon; None: the whole scene.
        outside_share: Share of the polygon beyond the scene.
        masked: What is masked, in words; empty: nothing.
        num_checked: Detections of its check sheet.
    """

    name: str
    scene: str
    day: str
    bounds: tuple[float, float, float, float]
    polygon: str | None
    outside_share: float
    masked: str
    num_checked: int


def render_bias(
    title: str,
    result: BiasResult,
    config: BiasConfig,
    regions: Sequence[RegionText],
    block_m: tuple[float, float],
    pictures: Mapping[str, Sequence[Picture]],
    config_yaml: str,
    checked: Checked | None = None,
) -> str:
    """The page as HTML text without any outside resource.

    Args:
        title: Name of the run.
        result: What was found.
        config: What was compared.
        regions: Of region 1 and 2.
        block_m: Side of a block in each.
        pictures: ``curves``, ``blocks``, ``maps`` and ``histograms``.
        config_yaml: The whole configuration.
        checked: What people found by eye; None: nothing is judged.
    """
    one, other = result.names
    sides = " and ".join(dict.fromkeys(f"{side:g}" for side in block_m))
    return page(
        "bias.html.j2",
        title=title,
        names=(one, other),
        lead=_lead(result),
        level=f"{result.level:.0%}",
        merged=result.merged,
        block_m=sides,
        model=config.model,
        tables=[_table(result, period, *days) for period, days in config.periods.items()],
        notes=_notes(result.factors),
        counted=_counted(result),
        places=[_place(region) for region in regions],
        periods=[_period(name, *days) for name, days in config.periods.items()],
        catalog=config.catalog,
        accuracy=_accuracy(config.max_accuracy_m),
        bootstrap_block=config.block_cells,
        draws=config.draws,
        lowest=f"{config.thresholds[0]:g}",
        sheets=[
            (f"bias_detections_{region.name}", region.name, region.num_checked)
            for region in regions
        ],
        checked=None if checked is None else _checked(result, checked),
        pictures=pictures,
        config=config_yaml,
    )


def _lead(result: BiasResult) -> str:
    """What was found, in a sentence that leaves the interval in."""
    one, other = result.names
    known = [factor for factor in result.factors if factor.factor is not None]
    values = [factor.factor for factor in known if factor.factor is not None]
    span = f"{short(min(values))} to {short(max(values))}" if len(values) > 1 else short(values[0])
    low = min(factor.poisson[0] for factor in known)
    high = max(factor.poisson[1] for factor in known)
    bootstraps = [factor.bootstrap for factor in known if factor.bootstrap is not None]
    if bootstraps:
        low = min(low, *(bounds[0] for bounds in bootstraps))
        high = max(high, *(bounds[1] for bounds in bootstraps))
    if low > 1:
        meaning = f"By this measure {one} is the more under-reported one"
    elif high < 1:
        meaning = f"By this measure {other} is the more under-reported one"
    else:
        meaning = "The intervals hold 1: neither region can be called the more under-reported one"
    return (
        f"The bias factor of {one} over {other} is {span} over all periods and thresholds; the "
        f"widest bounds are {short(low)} and {short(high)}. Above 1 {one} is the more "
        f"under-reported region. {meaning}."
    )


def _table(result: BiasResult, period: str, first: date, last: date) -> TextTable:
    ratios = {found.threshold: found.ratio for found in result.detected}
    recorded = result.recorded_ratios[period]
    rows = [
        [
            f"{factor.threshold:g}",
            *(f"{number:,}" for number in factor.detected),
            _ratio(ratios[factor.threshold]),
            *(f"{number:,}" for number in factor.recorded),
            _ratio(recorded),
            _ratio(factor.factor),
            interval(factor.poisson),
            interval(factor.bootstrap),
        ]
        for factor in result.of_period(period)
    ]
    headings = (
        "threshold",
        *(f"detected, {name}" for name in result.names),
        "d1\u00a0/\u00a0d2",
        *(f"recorded, {name}" for name in result.names),
        "r1\u00a0/\u00a0r2",
        "bias factor",
        "Poisson interval",
        "bootstrap interval",
    )
    return TextTable(f"{period}: {first} to {last}", headings, rows)


def _notes(factors: Sequence[Factor]) -> list[str]:
    """Why there is no factor or interval, each reason once."""
    texts = [
        f"From {f.threshold:g} there is no bias factor: {f.reason}." for f in factors if f.reason
    ]
    texts += [
        f"From {f.threshold:g} there is no bootstrap interval: {f.bootstrap_reason}."
        for f in factors
        if f.bootstrap_reason
    ]
    return list(dict.fromkeys(texts))


def _checked(result: BiasResult, checked: Checked) -> dict[str, Any]:
    """Precisions, and in words what they make of the factor."""
    rows = [
        [
            judged.region,
            f"{region.blocks[0]:,}",
            *map(str, (judged.num_drawn, judged.num_judged, judged.num_right)),
            _ratio(judged.precision),
            interval(judged.interval),
        ]
        for judged, region in zip(checked.regions, result.regions, strict=True)
    ]
    blocks = f"blocks from {checked.threshold:g}"
    headings = ("region", blocks, "drawn", "judged", "right", "precision", "exact interval")
    known = [
        f"{short(factor.factor)} ({interval(factor.interval)}) in the period {factor.period}"
        for factor in checked.factors
        if factor.factor is not None
    ]
    return {
        "table": TextTable("Checked by eye", headings, rows),
        "known": ", ".join(known),
        "threshold": f"{checked.threshold:g}",
        "reasons": checked.reasons,
    }


def _counted(result: BiasResult) -> TextTable:
    rows = [
        [
            region.name,
            f"{region.num_blocks:,}",
            f"{region.num_classified:,}",
            f"{region.num_masked:,}",
            f"{region.num_unclear:,}",
        ]
        for region in result.regions
    ]
    headings = ("region", "blocks inside", "counted", "masked", "not clear")
    return TextTable("Blocks", headings, rows)


def _place(region: RegionText) -> dict[str, Any]:
    left, bottom, right, top = region.bounds
    area = "the whole scene" if region.polygon is None else f"the polygon {region.polygon}"
    if region.outside_share >= LEAST_SHARE:
        area += f", of which {region.outside_share:.1%} lie outside the scene and are left out"
    day = "an unknown day" if region.day == "unknown" else region.day
    masked = (
        f"Masked: {region.masked}."
        if region.masked
        else "Nothing is masked: towns, fields and water count like all other ground."
    )
    return {
        "name": region.name,
        "text": f"scene {region.scene}, image of {day}; {area}, longitude {left:.3f} to "
        f"{right:.3f}, latitude {bottom:.3f} to {top:.3f} degrees. {masked}",
    }


def _period(name: str, first: date, last: date) -> str:
    return f"{name}: {first} to {last}, both days included"


def _accuracy(max_accuracy_m: float | None) -> str:
    if max_accuracy_m is None:
        return "Records of any accuracy of location count, those of unknown accuracy too."
    return (
        f"Only records known to lie within {max_accuracy_m:g} m of their point count; those of "
        "unknown accuracy do not."
    )


def _ratio(value: float | None) -> str:
    return _NONE if value is None else short(value)


def interval(bounds: Interval | None) -> str:
    """Both bounds; words where there is no upper one."""
    if bounds is None:
        return _NONE
    low, high = bounds
    return f"from {short(low)}" if np.isinf(high) else f"{short(low)} to {short(high)}"


def short(value: float) -> str:
    """Three digits."""
    if np.isinf(value):
        return "no bound"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
