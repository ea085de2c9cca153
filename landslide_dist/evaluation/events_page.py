"""The page of the event experiments, in the order of Prakash et al. 2021; and its pictures."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from landslide_dist.evaluation.drawing import smaller
from landslide_dist.evaluation.events import EventsResult
from landslide_dist.evaluation.events_confusion import confusion_figure
from landslide_dist.evaluation.events_figures import (
    ablation_figure,
    jackknife_figure,
    spider_figure,
    unseen_figure,
)
from landslide_dist.evaluation.events_summary import (
    Gain,
    Mean,
    ModelRow,
    gain_sentence,
    gains,
    is_left_out,
    is_single,
    model_names,
    pixel_sizes_m,
    select_rows,
    tested_events,
)
from landslide_dist.evaluation.events_table import EventsTable, events_table
from landslide_dist.evaluation.magnitude import magnitude_frequency_figure
from landslide_dist.evaluation.report import Picture, page
from landslide_dist.evaluation.sections import TextTable
from landslide_dist.evaluation.table import Cell

_SECTIONS = ("spider", "unseen", "jackknife", "ablation", "confusion", "magnitude")


def events_pictures(result: EventsResult) -> dict[str, Picture]:
    """All pictures, by the name of their file without suffix: ``spider-resunet`` and so on.

    What was not run has none.
    """
    pictures: dict[str, Picture] = {}
    for model in model_names(result):
        pictures |= _spiders(result, model)
        for pixel_m in pixel_sizes_m(result):
            pictures |= _bars(result, model, pixel_m)
    return pictures | _confusions(result) | _magnitudes(result)


def render_events(name: str, result: EventsResult, settings: str) -> str:
    """The page as HTML text without any outside resource.

    Args:
        name: Of the experiments.
        result: What was found.
        settings: The whole configuration, YAML.
    """
    pictures = events_pictures(result)
    table = events_table(result)
    found = gains(result)
    return page(
        "events.html.j2",
        title=name,
        lead=_lead(result),
        table=table,
        rows=_rows(table),
        num_seeds=len({outcome.trained.seed for outcome in result.outcomes}),
        several=len(model_names(result)) > 1,
        long=_long_table(table),
        gains=[_gain_section(one) for one in _by_model_and_size(found)],
        **{
            section: [
                # Maps are printed at twice the size that a screen shows.
                replace(picture, png=smaller(picture.png)) if section == "confusion" else picture
                for key, picture in pictures.items()
                if key.startswith(section)
            ]
            for section in _SECTIONS
        },
        config=settings,
    )


def _spiders(result: EventsResult, model: str) -> dict[str, Picture]:
    rows = [row for pixel_m in pixel_sizes_m(result) for row in _ran(result, model, pixel_m)]
    trained, unseen = tested_events(result)
    pictures = {}
    if trained and rows:
        text = "Black: trained on all events. Dashed pink: on this event alone."
        pictures[f"spider-{model}"] = Picture(model, text, spider_figure(result, model))
    if unseen and rows:
        text = "Black: trained on all events. In colour: on one event, by its name."
        pictures[f"unseen-{model}"] = Picture(model, text, unseen_figure(result, model))
    return pictures


def _bars(result: EventsResult, model: str, pixel_m: float) -> dict[str, Picture]:
    combined, _, ablations, left_out = select_rows(result, model, pixel_m)
    ran = _ran(result, model, pixel_m)
    place, title = f"{model}-{pixel_m:g}m", f"{model}, {pixel_m:g} m"
    pictures = {}
    if combined in ran and any(row in ran for row in left_out):
        pictures[f"jackknife-{place}"] = Picture(
            title,
            "Blue: better without the event. Orange: worse without it.",
            jackknife_figure(result, model, pixel_m),
        )
    if combined in ran and tested_events(result)[1] and any(row in ran for row in ablations):
        pictures[f"ablation-{place}"] = Picture(
            title,
            "Black: the combined model as it is. Blue: with one thing changed.",
            ablation_figure(result, model, pixel_m),
        )
    return pictures


def _confusions(result: EventsResult) -> dict[str, Picture]:
    pictures = {}
    for event in result.maps:
        figure = confusion_figure(event, _mapping_model(result, event.pixel_m))
        if figure is not None:
            unseen = "unseen" if event.event in result.unseen else "its test part"
            pictures[f"confusion-{event.event}"] = Picture(
                f"{event.event}, {unseen}", f"Pixels of {event.pixel_m:g} m.", figure
            )
    return pictures


def _magnitudes(result: EventsResult) -> dict[str, Picture]:
    areas = {name: found for name, found in result.areas_m2.items() if len(found)}
    if not areas:
        return {}
    text = "Number of landslides by event in the legend. Where a line bends down on the left, "
    text += "small landslides are few, or were not mapped."
    figure = magnitude_frequency_figure(areas)
    return {"magnitude-frequency": Picture("Areas of the landslides", text, figure)}


def _ran(result: EventsResult, model: str, pixel_m: float) -> list[ModelRow]:
    """Models with scores."""
    combined, *others = select_rows(result, model, pixel_m)
    rows = [combined, *(row for group in others for row in group)]
    events = [event for group in tested_events(result) for event in group]
    return [row for row in rows if any(row.by_seed(result, event) for event in events)]


def _mapping_model(result: EventsResult, pixel_m: float) -> str:
    """Symbol of the model of the maps: the combined one, or the first of all."""
    rows = [row for model in model_names(result) for row in _ran(result, model, pixel_m)]
    return rows[0].symbol if rows else "model"


def _lead(result: EventsResult) -> str:
    """What was done, in two sentences."""
    trained, unseen = tested_events(result)
    rows = [
        row
        for model in model_names(result)
        for pixel_m in pixel_sizes_m(result)
        for row in _ran(result, model, pixel_m)
    ]
    kinds = [
        text
        for text, was_run in (
            ("on each event alone", any(is_single(row) for row in rows)),
            ("on all of them together", any(row.label == "ALL" for row in rows)),
            ("on all but one", any(is_left_out(row) for row in rows)),
        )
        if was_run
    ]
    sizes = _listed([f"{pixel_m:g}" for pixel_m in pixel_sizes_m(result)])
    tested = "the held-out part of these events"
    if unseen:
        tested += f" and the whole of {_listed(unseen)}, which no model has seen"
    return (
        f"Models that map landslides from images before and after {_listed(trained)} were trained "
        f"{_listed(kinds)}, at {sizes} m. Each was tested on {tested}."
    )


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _rows(table: EventsTable) -> list[dict[str, Any]]:
    """Rows of the table of MCC, with what they are and where a resolution begins."""
    events = [event for _, names in table.mcc.groups for event in names]
    sizes = [row.pixel_m for row in table.rows]
    return [
        {
            "row": row,
            "begins": index > 0 and sizes[index - 1] != row.pixel_m,
            "cells": [
                {"cell": cell, "seen": event in seen}
                for event, cell in zip(events, cells, strict=True)
            ],
        }
        for index, (row, seen, (_, cells)) in enumerate(
            zip(table.rows, table.seen, table.mcc.rows, strict=True)
        )
    ]


def _long_table(table: EventsTable) -> TextTable:
    return TextTable("All scores", table.headings, table.lines())


def _by_model_and_size(found: Sequence[Gain]) -> list[list[Gain]]:
    groups: dict[tuple[float, str], list[Gain]] = {}
    for one in found:
        groups.setdefault((one.pixel_m, one.model), []).append(one)
    return list(groups.values())


def _gain_section(found: Sequence[Gain]) -> dict[str, Any]:
    """A sentence and a table of one model at one resolution: rows are seeds, then their mean."""
    events = list(dict.fromkeys(one.event for one in found))
    seeds = list(dict.fromkeys(one.seed for one in found))
    rows = [[f"seed {seed}", *_gain_cells(found, events, (seed,))] for seed in seeds]
    if len(seeds) > 1:
        rows.append(["mean", *_gain_cells(found, events, seeds)])
    headings = [
        "combined less",
        *(f"{event}: {what}" for event in events for what in ("mean single", "best single")),
    ]
    if len(events) > 1:
        headings += ["all: mean single", "all: best single"]
    title = f"{found[0].model}, {found[0].pixel_m:g} m"
    return {"text": gain_sentence(found), "table": TextTable(title, headings, rows)}


def _gain_cells(found: Sequence[Gain], events: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Of each event, then of all if there are several."""
    groups = [[event] for event in events] + ([list(events)] if len(events) > 1 else [])
    ours = [[g for g in found if g.event in group and g.seed in seeds] for group in groups]
    means = [
        Mean.of(values).value
        for group in ours
        for values in ([one.over_mean for one in group], [one.over_best for one in group])
    ]
    return [Cell(mean, signed=True).text for mean in means]
