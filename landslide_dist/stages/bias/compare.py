"""``bias``: detected landslides of two regions against recorded ones, to numbers and a page."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from landslide_dist.config.bias import BiasConfig
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.imagery import COLOURS
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.bias import compare_reporting
from landslide_dist.evaluation.bias_blocks import Blocks, Shown, blocks_figure, map_figure
from landslide_dist.evaluation.bias_checked import Checked, check_detections
from landslide_dist.evaluation.bias_figures import (
    counts_figure,
    histogram_figure,
    ratio_figure,
)
from landslide_dist.evaluation.bias_page import (
    LEAST_SHARE,
    RegionText,
    interval,
    render_bias,
    short,
)
from landslide_dist.evaluation.bias_result import BiasResult
from landslide_dist.evaluation.report import Picture
from landslide_dist.features.reference import Reference
from landslide_dist.progress import console, stage
from landslide_dist.sources.files import describe
from landslide_dist.sources.landslide_catalog import read_catalog
from landslide_dist.stages.bias.region import Placed, place_region
from landslide_dist.stages.bias.scene import Survey, as_seen, cut_blocks, survey
from landslide_dist.stages.bias.sheet import draw_sheet, drawn_blocks
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.store import cube
from landslide_dist.whole_file import write_whole

#: Blocks with the highest and lowest probabilities that are shown (figure 6).
NUM_SHOWN, SURE, SURELY_NOT = 10, 0.99, 0.01


@stage
def bias(config: ChipsConfig) -> None:
    """Compare the two regions of a run; trains and predicts nothing.

    Writes ``bias.json``, ``bias.csv``, ``bias.html`` and a sheet of detections of each region to
    the run's folder. What people have filled into these sheets corrects the factor.

    Args:
        config: The run.

    Raises:
        ConfigError: The run does not say what to compare, its model is not trained, or a sheet is
            filled in for other detections or with what is neither yes nor no.
        DataError: A map is missing or of older settings, the catalog or a polygon cannot be used,
            or there is no bias factor at all.
    """
    trainer = ChipTrainer(config)
    settings, result, regions = compare_regions(trainer)
    _say(result, _write(trainer, settings, result, regions))
    console.print(f"bias: {Path(config.run_dir) / 'bias.html'}")


def compare_regions(trainer: ChipTrainer) -> tuple[BiasConfig, BiasResult, tuple[Placed, Placed]]:
    """The numbers of :func:`bias` and where they come from; writes nothing."""
    config = trainer.config
    settings = config.bias
    if settings is None:
        raise ConfigError(f"run {config.name!r} does not say what to compare: give bias")
    catalog = read_catalog(settings.catalog)
    one, other = (place_region(trainer, settings, name, catalog) for name in settings.regions)
    for placed in (one, other):
        if placed.outside_share >= LEAST_SHARE:
            console.print(
                f"bias: {placed.outside_share:.1%} of {placed.settings.polygon} lie outside the "
                f"scene {placed.settings.scene} and are left out"
            )
    return settings, compare_reporting((one.region, other.region), settings), (one, other)


def _write(
    trainer: ChipTrainer, settings: BiasConfig, result: BiasResult, regions: tuple[Placed, Placed]
) -> Checked | None:
    """Everything is made, and what could be refused is asked for, before anything is written.

    Returns:
        What people found by eye; None where nothing is judged.
    """
    config, folder = trainer.config, Path(trainer.config.run_dir)
    random = np.random.Generator(np.random.Philox(settings.seed))
    sheets = [draw_sheet(placed, settings.thresholds[0], random, folder) for placed in regions]
    kept = [sheet.path for sheet in sheets if sheet.is_kept]
    checked = check_detections(result, (sheets[0].judgements(), sheets[1].judgements()))
    surveys = {placed.settings.scene: survey(placed.map) for placed in regions}
    pictures = _pictures(trainer, result, regions, surveys, random)
    texts = [_text(placed, len(sheet.ids)) for placed, sheet in zip(regions, sheets, strict=True)]
    sides = (regions[0].map.grid.pixel_m, regions[1].map.grid.pixel_m)
    html = render_bias(
        config.name, result, settings, texts, sides, pictures, to_yaml(config), checked
    )
    plain = {"model": settings.model, **result.to_dict(), "made_of": _made_of(settings, regions)}
    if checked is not None:
        plain["checked"] = checked.to_dict()
    for placed, sheet in zip(regions, sheets, strict=True):
        sheet.write(surveys[placed.settings.scene], placed)
    for path in kept:
        console.print(f"bias: {path} is filled in and was left alone")
    write_whole(folder / "bias.csv", result.to_csv())
    write_whole(folder / "bias.json", json.dumps(plain, indent=1, allow_nan=False))
    write_whole(folder / "bias.html", html)
    return checked


def _say(result: BiasResult, checked: Checked | None) -> None:
    """A line for every factor, and what was found by eye."""
    by_eye = _by_eye(checked)
    for factor in result.factors:
        if factor.factor is not None:
            console.print(
                f"bias: {factor.period}, from {factor.threshold:g}: "
                f"bias factor {short(factor.factor)} ({interval(factor.poisson)})"
                + by_eye.get((factor.period, factor.threshold), "")
            )
    if checked is None:
        return
    for region in checked.regions:
        if region.precision is not None:
            console.print(
                f"bias: {region.region}, checked by eye: {region.num_right} of "
                f"{region.num_judged} right, precision {short(region.precision)} "
                f"({interval(region.interval)})"
            )
    for reason in checked.reasons:
        console.print(f"bias: there is no bias factor checked by eye: {reason}")


def _by_eye(checked: Checked | None) -> dict[tuple[str, float], str]:
    """Period and threshold -> what the eye makes of the factor, where it makes one."""
    if checked is None:
        return {}
    return {
        (found.period, checked.threshold): f", checked by eye {short(found.factor)} "
        f"({interval(found.interval)})"
        for found in checked.factors
        if found.factor is not None
    }


def _pictures(
    trainer: ChipTrainer,
    result: BiasResult,
    regions: tuple[Placed, Placed],
    surveys: dict[str, Survey],
    random: np.random.Generator,
) -> dict[str, list[Picture]]:
    chips = Reference.from_json(trainer.reference).rows(COLOURS)
    curves = [
        Picture(
            "Detected landslides",
            "Bands hold the bootstrap's intervals of the line that the factor is made of.",
            counts_figure(result),
        ),
        Picture(
            "Detected and recorded ratio",
            "What lies above a recorded line is a bias factor above 1; where the band reaches the "
            "line, chance may have made it." + _undrawn(result),
            ratio_figure(result),
        ),
    ]
    pictures: dict[str, list[Picture]] = {
        "curves": curves, "blocks": [], "maps": [], "histograms": []
    }  # fmt: skip
    for placed in regions:
        found = surveys[placed.settings.scene]
        groups = [_some(placed, high, random) for high in (True, False)]
        counts = {"training chips": chips, "scene": found.before}
        if found.after is not None:
            counts = {
                "training chips": chips, "scene, before": found.before,
                "scene, matched to the chips": found.after,
            }  # fmt: skip
        region = placed.region
        shown = Shown(
            found.picture, region.probability, region.inside, region.masked, placed.map.grid.pixel_m
        )
        pictures["blocks"].append(
            Picture(placed.name, _few(groups), blocks_figure(placed.name, groups))
        )
        pictures["maps"].append(
            Picture(
                placed.name,
                "The scene and the probability of each of its blocks. Compare high probabilities "
                "with slopes, roads and fields, low ones with water and forest.",
                map_figure(placed.name, shown),
            )
        )
        pictures["histograms"].append(
            Picture(placed.name, "Clear pixels by value.", histogram_figure(placed.name, counts))
        )
    return pictures


def _undrawn(result: BiasResult) -> str:
    missing = [period for period, ratio in result.recorded_ratios.items() if not ratio]
    if not missing:
        return ""
    return f" Without a line, since nothing is recorded in a region: {', '.join(missing)}."


def _some(placed: Placed, high: bool, random: np.random.Generator) -> Blocks:
    """Blocks that surely show a landslide, or surely none, as the model sees them."""
    counted = placed.region.counted
    chosen = counted > SURE if high else counted < SURELY_NOT
    rows, columns = drawn_blocks(chosen, NUM_SHOWN, random)
    values = cut_blocks(placed.map, rows, columns, placed.map.task.variable)
    num = int(chosen.sum())
    title = f"{len(rows)} of {num:,} with p {'> 0.99' if high else '< 0.01'}"
    return Blocks(title, as_seen(placed.map, values), counted[rows, columns])


def _few(groups: list[Blocks]) -> str:
    if all(len(group.images) == NUM_SHOWN for group in groups):
        return ""
    high, low = (len(group.images) for group in groups)
    return f"Fewer than {NUM_SHOWN} of a kind: {high} above {SURE:g}, {low} below {SURELY_NOT:g}."


def _text(placed: Placed, num_checked: int) -> RegionText:
    day = str(cube.open_cube(placed.map.run.cube.location)["time"].to_numpy()[0])
    masked = "; ".join(
        f"blocks of which more than half is {name} {', '.join(map(str, codes))}"
        for name, codes in placed.settings.masked.items()
    )
    polygon, layer = placed.settings.polygon, placed.settings.layer
    if layer is not None:
        polygon = f"{polygon}, layer {layer}"
    return RegionText(
        placed.name, placed.settings.scene, day, placed.outline.bounds, polygon,
        placed.outside_share, masked, num_checked,
    )  # fmt: skip


def _made_of(settings: BiasConfig, regions: tuple[Placed, Placed]) -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "catalog": describe(settings.catalog),
        "periods": {n: [str(day) for day in days] for n, days in settings.periods.items()},
        "max_accuracy_m": settings.max_accuracy_m,
        "regions": {
            placed.name: {
                "scene": placed.settings.scene,
                "map": placed.map.location,
                "map_hash": placed.map.map_hash,
                "block_m": placed.map.grid.pixel_m,
                "polygon": describe(placed.settings.polygon) if placed.settings.polygon else None,
                **({"layer": placed.settings.layer} if placed.settings.layer else {}),
                "outside_share": placed.outside_share,
                "bounds_deg": list(placed.outline.bounds),
                "masked": {name: list(codes) for name, codes in placed.settings.masked.items()},
                "records": {
                    period: found["event_id"].tolist() for period, found in placed.records.items()
                },
            }
            for placed in regions
        },
    }
