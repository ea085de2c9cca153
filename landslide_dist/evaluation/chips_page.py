"""The page of classified chips: table 1, wrong calls, how sensors differ, what matching changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.evaluation.bias_blocks import Blocks, blocks_figure
from landslide_dist.evaluation.bias_figures import histogram_figure
from landslide_dist.evaluation.chips import SCORES, Rows, summaries
from landslide_dist.evaluation.embedding import embed, embedding_figure, flattened
from landslide_dist.evaluation.report import Picture, page

#: Chips of each group that are embedded at most.
MAX_EMBEDDED = 400
#: Probability from which a chip is called one with a landslide.
CALLED = 0.5
#: Wrong calls of each kind that are shown at most.
MAX_WRONG = 5


@dataclass(frozen=True)
class TargetColours:
    """Chips of another sensor.

    Attributes:
        images: ``(chip, 3, y, x)`` uint8 as they are.
        matched: The same with the distribution of the training chips.
    """

    images: NDArray[np.uint8]
    matched: NDArray[np.uint8]


@dataclass(frozen=True)
class Section:
    """Pictures of one kind.

    Attributes:
        title: Its heading.
        pictures: Below each other.
        text: Before them; empty for none.
    """

    title: str
    pictures: Sequence[Picture]
    text: str = ""


def chips_page(
    title: str,
    rows: Rows,
    level: float,
    num_seeds: int,
    sections: Sequence[Section],
    config_yaml: str,
) -> str:
    """The page, HTML without anything outside itself.

    Args:
        title: Of the run.
        rows: Scores over seeds.
        level: Of the intervals.
        num_seeds: How many seeds they are of.
        sections: What is shown below the scores.
        config_yaml: The whole configuration.
    """
    return page(
        "chips.html.j2",
        title=title,
        headings=SCORES,
        rows=_cells(rows, level),
        num_seeds=num_seeds,
        level=f"{level:.0%}",
        sections=sections,
        config=config_yaml,
    )


def sensors_section(
    training: NDArray[np.uint8], targets: Mapping[str, TargetColours]
) -> list[Section]:
    """How chips of other sensors differ, and what matching changes; none without targets.

    Args:
        training: Training chips, ``(chip, 3, y, x)``.
        targets: Chips of other sensors.
    """
    if not targets:
        return []
    colours = [
        Picture(
            f"Colours of {name}",
            "Share of pixels of each value: the training chips, the target as it is, and the "
            "target matched to them.",
            histogram_figure(
                name,
                {
                    "training chips": _counts(training),
                    "as it is": _counts(target.images),
                    "matched to the chips": _counts(target.matched),
                },
            ),
        )
        for name, target in targets.items()
    ]
    return [Section("Other sensors", [*colours, _embedding(training, targets)])]


def wrong_calls(
    name: str,
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    probability: NDArray[np.float32],
) -> Picture:
    """The chips that a model is most wrong about.

    Args:
        name: Of the model.
        images: ``(chip, 3, y, x)``.
        labels: 1 with a landslide.
        probability: Of a landslide.
    """
    missed = np.flatnonzero((labels == 1) & (probability < CALLED))
    false = np.flatnonzero((labels == 0) & (probability >= CALLED))
    num = int(labels.sum())
    groups = [
        _worst(f"{len(missed)} of {num} landslides are missed", images, probability, missed),
        _worst(
            f"{len(false)} of {len(labels) - num} others are called landslides",
            images,
            probability,
            false,
        ),
    ]
    text = "; ".join(group.title for group in groups)
    shown = [group for group in groups if len(group.images)] or groups[:1]
    return Picture(
        name,
        f"{text}. The probability of a landslide is above each chip, the worst calls come first.",
        blocks_figure(name, shown),
    )


def _worst(
    title: str,
    images: NDArray[np.uint8],
    probability: NDArray[np.float32],
    wrong: NDArray[np.intp],
) -> Blocks:
    distance = np.abs(probability[wrong] - CALLED)
    worst = wrong[np.argsort(-distance, kind="stable")][:MAX_WRONG]
    shown = np.moveaxis(images[worst].astype(np.float32), 1, -1)
    return Blocks(title, shown / np.float32(255), probability[worst])


def _counts(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each value, ``(3, 256)``."""
    return np.stack([np.bincount(images[:, band].ravel(), minlength=256) for band in range(3)])


def _embedding(training: NDArray[np.uint8], targets: Mapping[str, TargetColours]) -> Picture:
    first = {"training": flattened(_some(training))}
    before = embed(first | {n: flattened(_some(t.images)) for n, t in targets.items()}, 0)
    after = embed(first | {n: flattened(_some(t.matched)) for n, t in targets.items()}, 0)
    return Picture(
        "Targets beside the training chips",
        "Every point is a chip, by its first principal components and t-SNE, which keeps "
        "neighbours and not distances; the distance of the groups is the sliced Wasserstein "
        "distance, in grey values.",
        embedding_figure(before, after),
    )


def _some(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return images[:: -(-len(images) // MAX_EMBEDDED)]


def _cells(rows: Rows, level: float) -> list[dict[str, Any]]:
    found, last = [], None
    for (model, tested), scores in rows.items():
        cells = [
            {
                "mean": "–" if np.isnan(s.mean) else f"{s.mean:.3f}",
                "interval": "" if np.isnan(s.low) else f"{s.low:.3f} – {s.high:.3f}",
            }
            for s in summaries(scores, level).values()
        ]
        first = scores[0]
        found.append(
            {
                "model": "" if model == last else model,
                "tested": tested,
                "chips": first.chips,
                "landslides": first.landslides,
                "cells": cells,
            }
        )
        last = model
    return found
