"""``evaluate`` of a run of chips: table 1 of the paper, of its own chips and of other sensors'."""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.imagery import COLOURS
from landslide_dist.evaluation.chips import ChipScores, Rows, table
from landslide_dist.features.reference import Reference
from landslide_dist.inference.chips import classify
from landslide_dist.kernels.histogram import apply_table, count_values, matching_table, num_values
from landslide_dist.models.chip import ChipModel
from landslide_dist.progress import stage
from landslide_dist.schema import PART_NAMES
from landslide_dist.sources.labelled_chips import LabelledChips, open_chips
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.whole_file import write_whole


@stage
def evaluate_chips(config: ChipsConfig) -> Rows:
    """Score every model on every part and on the chips of other sensors; writes metrics.json.

    Raises:
        ConfigError: A model is not trained, or with other settings.
        DataError: Chips are missing or broken.
    """
    trainer = ChipTrainer(config)
    rows = score_all(trainer, open_targets(config))
    write_whole(trainer.paths.metrics, json.dumps(to_json(rows), indent=1))
    Console().print(table(rows, config.experiment.level, f"{config.name}: classified chips"))
    return rows


def score_all(trainer: ChipTrainer, targets: Mapping[str, LabelledChips]) -> Rows:
    """Scores of every model of a run, which is trained."""
    rows: dict[tuple[str, str], list[ChipScores]] = {}
    for name in trainer.config.models:
        scores = score(trainer, trainer.trained(name)[0], targets)
        rows |= {(name, tested): [found] for tested, found in scores.items()}
    return rows


def open_targets(config: ChipsConfig) -> dict[str, LabelledChips]:
    """Labelled chips of other sensors, by name."""
    return {name: open_chips(source) for name, source in config.targets.items()}


def score(
    trainer: ChipTrainer, model: ChipModel, targets: Mapping[str, LabelledChips]
) -> dict[str, ChipScores]:
    """Scores of one model: of each part, and of the targets as they are and matched.

    The reference of the matching are the training chips.
    """
    chips = trainer.chips
    probability = classify(model, chips.images)
    found = {
        part: ChipScores.of(chips.labels[trainer.parts == i], probability[trainer.parts == i])
        for i, part in enumerate(PART_NAMES)
    }
    reference = Reference.from_json(trainer.reference)
    for name, target in targets.items():
        found[name] = ChipScores.of(target.labels, classify(model, target.images))
        images = matched(target.images, reference)
        found[f"{name}, matched"] = ChipScores.of(target.labels, classify(model, images))
    return found


def matched(images: NDArray[np.uint8], reference: Reference) -> NDArray[np.uint8]:
    """Chips with the reference's distribution of values, colour by colour.

    Args:
        images: ``(chip, 3, y, x)``; all of them together are what is matched, as a scene is.
        reference: Counts of each colour.
    """
    out = np.empty_like(images)
    wanted = reference.rows(list(COLOURS))
    for band in range(len(COLOURS)):
        values = np.ascontiguousarray(images[:, band])
        counts = count_values(values, None, num_values(np.uint8))
        out[:, band] = apply_table(values, matching_table(counts, wanted[band]), None, "uint8", 0)
    return out


def to_json(rows: Rows) -> dict[str, object]:
    """Scores by model and by what they are tested on, one entry a seed."""
    plain: dict[str, dict[str, object]] = {}
    for (model, tested), scores in rows.items():
        plain.setdefault(model, {})[tested] = [entry.to_dict() for entry in scores]
    return {"models": plain}
