"""``experiment`` of a run of chips: models over seeds, on their own chips and on other sensors'."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.events import merged
from landslide_dist.config.load import to_yaml
from landslide_dist.config.run import config_hash
from landslide_dist.config.share import Share
from landslide_dist.evaluation.chips import ChipScores, Rows, as_csv, markdown, table
from landslide_dist.evaluation.chips_page import chips_page
from landslide_dist.progress import console, stage, track
from landslide_dist.sources.labelled_chips import LabelledChips
from landslide_dist.stages.chips.evaluate import open_targets, score, to_json
from landslide_dist.stages.chips.report import sensors
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.training.ranks import check_starts_alone, is_first_rank
from landslide_dist.whole_file import write_whole


@stage
def experiment_on_chips(config: ChipsConfig, share: Share | None = None) -> None:
    """Train every model with every seed and score it on its own chips and on those of targets.

    A seed is that of the division, of the weights and of the samples. Models that are up to date
    are left alone. Writes ``experiment.json``, ``table1.md``, ``table1.csv`` and
    ``experiment.html``.

    Args:
        config: The run.
        share: Only this share of the trainings, and neither table nor page.

    Raises:
        ConfigError: Pretrained weights cannot be had.
        DataError: Chips are missing or broken.
    """
    check_starts_alone("experiment")
    first = ChipTrainer(seeded(config, config.experiment.seeds[0]), quiet=True)
    targets = open_targets(config)
    rows: dict[tuple[str, str], list[ChipScores]] = {}
    fits = [(seed, name) for seed in config.experiment.seeds for name in config.models]
    taken = fits if share is None else share.of(fits)
    for seed, name in track(iter(taken), "experiment", total=len(taken)):
        trainer = ChipTrainer(seeded(config, seed), quiet=True, read=first.chips)
        for tested, found in _scores(trainer, name, targets).items():
            rows.setdefault((name, tested), []).append(found)
    if share is None and is_first_rank():
        _write(config, first, targets, rows)


def seeded(config: ChipsConfig, seed: int) -> ChipsConfig:
    """The run of one seed, in a folder of its own."""
    own = {
        "run_dir": f"{config.run_dir.rstrip('/')}/experiment/seed{seed}",
        "split": {"seed": seed},
        "training": {"seed": seed},
    }
    return ChipsConfig.model_validate(merged(config.model_dump(mode="json", by_alias=True), own))


def _scores(
    trainer: ChipTrainer, name: str, targets: Mapping[str, LabelledChips]
) -> dict[str, ChipScores]:
    """Scores of a model by what it is tested on; kept, so that shares of the work stay done."""
    model = trainer.train(name)
    made_of = {"model": trainer.fingerprint(name)}
    made_of |= {f"target {target}": chips.digest for target, chips in targets.items()}
    path, key = Path(trainer.paths.chip_scores(name)), config_hash(made_of)
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
        if kept["key"] == key:
            return {tested: ChipScores.from_dict(found) for tested, found in kept["scores"].items()}
    scores = score(trainer, model, targets)
    plain = {tested: found.to_dict() for tested, found in scores.items()}
    write_whole(path, json.dumps({"key": key, "scores": plain}, indent=1))
    return scores


def _write(
    config: ChipsConfig,
    trainer: ChipTrainer,
    targets: Mapping[str, LabelledChips],
    rows: Rows,
) -> None:
    folder, level = Path(config.run_dir), config.experiment.level
    seeds = list(config.experiment.seeds)
    write_whole(folder / "experiment.json", json.dumps({"seeds": seeds, **to_json(rows)}, indent=1))
    write_whole(folder / "table1.md", markdown(rows, level))
    write_whole(folder / "table1.csv", as_csv(rows, level))
    sections = sensors(trainer, targets)
    page = chips_page(config.name, rows, level, len(seeds), sections, to_yaml(config))
    write_whole(folder / "experiment.html", page)
    title = f"{config.name}: classified chips, {len(seeds)} seeds, {level:.0%} intervals"
    # Wider than most terminals: a cell that is cut tells nothing.
    Console(width=160).print(table(rows, level, title))
    console.print(f"experiment: {folder}/experiment.html, experiment.json, table1.md, table1.csv")
