"""``report`` of a run of chips: scores, wrong calls, other sensors and maps of scenes on a page."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import DataError
from landslide_dist.evaluation.bias_blocks import Shown, map_figure
from landslide_dist.evaluation.chips import Rows
from landslide_dist.evaluation.chips_page import (
    Section,
    TargetColours,
    chips_page,
    sensors_section,
    wrong_calls,
)
from landslide_dist.evaluation.report import Picture
from landslide_dist.features.reference import Reference
from landslide_dist.grid import Window
from landslide_dist.inference.chips import classify
from landslide_dist.progress import console, stage
from landslide_dist.schema import PART_NAMES, PROBABILITY
from landslide_dist.sources.labelled_chips import LabelledChips
from landslide_dist.stages.bias.region import find_map
from landslide_dist.stages.bias.scene import survey
from landslide_dist.stages.chips.evaluate import matched, open_targets, score_all
from landslide_dist.stages.chips.scenes import SceneMap
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.store import cube
from landslide_dist.store.location import open_group
from landslide_dist.whole_file import write_whole


@stage
def report_chips(config: ChipsConfig, rows: Rows | None = None, output: Path | None = None) -> None:
    """Write ``report.html``.

    Args:
        config: The run.
        rows: What ``evaluate_chips`` returned; None computes it again.
        output: Where the page goes; None for the run's folder.

    Raises:
        ConfigError: A model is not trained, or with other settings.
        DataError: Chips are missing or broken.
    """
    trainer = ChipTrainer(config)
    targets = open_targets(config)
    found = score_all(trainer, targets) if rows is None else rows
    sections = [_wrong(trainer), *sensors(trainer, targets), *_scenes(trainer)]
    page = chips_page(config.name, found, config.experiment.level, 1, sections, to_yaml(config))
    place = output or trainer.paths.report
    write_whole(place, page)
    console.print(f"report: {place}")


def sensors(trainer: ChipTrainer, targets: Mapping[str, LabelledChips]) -> list[Section]:
    """The chips of other sensors beside the training chips, as they are and matched."""
    reference = Reference.from_json(trainer.reference)
    training = trainer.chips.images[trainer.parts == PART_NAMES.index("train")]
    shown = {
        name: TargetColours(target.images, matched(target.images, reference))
        for name, target in targets.items()
    }
    return sensors_section(training, shown)


def _wrong(trainer: ChipTrainer) -> Section:
    """The test chips that each model is most wrong about."""
    test = trainer.parts == PART_NAMES.index("test")
    images, labels = trainer.chips.images[test], trainer.chips.labels[test]
    pictures = [
        wrong_calls(name, images, labels, classify(trainer.trained(name)[0], images))
        for name in trainer.config.models
    ]
    return Section("Wrong calls on the test part", pictures)


def _scenes(trainer: ChipTrainer) -> list[Section]:
    """Every map that there is, and which there are not."""
    config = trainer.config
    if not config.scenes:
        return []
    pictures: list[Picture] = []
    missing: list[str] = []
    for scene in config.scenes:
        maps = []
        for model in config.models:
            try:
                maps.append(find_map(trainer, scene, model))
            except DataError:
                missing.append(f"{scene} by {model}")
        pictures += _pictures(maps)
    text = "The scene and the probability of a landslide in each of its blocks."
    if missing:
        text += f" Not classified as the run is set now: {', '.join(missing)}."
    return [Section("Scenes", pictures, text)]


def _pictures(maps: list[SceneMap]) -> list[Picture]:
    """Maps of one scene, whose picture is taken once for all with blocks of a size."""
    pictures: list[Picture] = []
    images: dict[int, NDArray[np.float32]] = {}
    for drawn in maps:
        side = drawn.block_px
        if side not in images:
            images[side] = survey(drawn).picture
        cells = drawn.grid
        array = cube.array(open_group(drawn.location), PROBABILITY.name)
        probability = cube.read_window(array, Window(0, 0, *cells.shape), np.nan)
        whole = np.ones(cells.shape, dtype=np.bool_)
        shown = Shown(images[side], probability, whole, ~whole, cells.pixel_m)
        title = f"{drawn.run.name} by {drawn.model}"
        pictures.append(Picture(title, "", map_figure(drawn.run.name, shown)))
    return pictures
