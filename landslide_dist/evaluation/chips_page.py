"""The page of an experiment on chips: table 1, how sensors differ, and what matching changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.evaluation.bias_figures import histogram_figure
from landslide_dist.evaluation.chips import SCORES, Rows, summaries
from landslide_dist.evaluation.embedding import embed, embedding_figure, flattened
from landslide_dist.evaluation.report import Picture, page

#: Chips of each group that are embedded at most.
MAX_EMBEDDED = 400


@dataclass(frozen=True)
class TargetColours:
    """Chips of another sensor.

    Attributes:
        images: ``(chip, 3, y, x)`` uint8 as they are.
        matched: The same with the distribution of the training chips.
    """

    images: NDArray[np.uint8]
    matched: NDArray[np.uint8]


def chips_page(
    title: str,
    rows: Rows,
    level: float,
    seeds: Sequence[int],
    training: NDArray[np.uint8],
    targets: Mapping[str, TargetColours],
    config_yaml: str,
) -> str:
    """The page, HTML without anything outside itself.

    Args:
        title: Of the run.
        rows: Scores over seeds.
        level: Of the intervals.
        seeds: Which seeds.
        training: Training chips of the first seed, ``(chip, 3, y, x)``.
        targets: Chips of other sensors.
        config_yaml: The whole configuration.
    """
    pictures = [
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
    if targets:
        pictures.append(_embedding(training, targets))
    return page(
        "chips.html.j2",
        title=title,
        headings=SCORES,
        rows=_cells(rows, level),
        num_seeds=len(seeds),
        level=f"{level:.0%}",
        pictures=pictures,
        config=config_yaml,
    )


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
