"""``experiment``: every model on every fold of several kinds of split, side by side.

The difference between the kinds is the leak: a random split scores a model on pixels next to those
it was trained on, a spatial one on ground it has not seen.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from landslide_dist.config import RunConfig
from landslide_dist.config.split import SplitConfig
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.score import RANKED_SCORES
from landslide_dist.grid import Window
from landslide_dist.inference.predict import TiledPredictor
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.patches.index import Patches
from landslide_dist.patches.reader import PatchReader
from landslide_dist.progress import console, track
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.split import write_split
from landslide_dist.stages.train import ModelTrainer

#: Two kinds of split side by side; a narrower terminal would cut the headings.
TABLE_WIDTH = 110


@dataclass(frozen=True)
class Fold:
    """One fold of one division of the labels."""

    kind: str
    partition: int
    fold: int

    def config(self, config: RunConfig) -> RunConfig:
        """The run that trains and scores this fold, in a folder of its own."""
        assert config.experiment is not None
        settings = config.split.model_dump() | {
            "kind": self.kind,
            "seed": config.split.seed + self.partition,
            "folds": config.experiment.folds,
            "test_fold": self.fold,
        }
        return config.model_copy(
            update={
                "split": SplitConfig.model_validate(settings),
                "run_dir": f"{config.run_dir}/experiment/{self.kind}-{self.partition}-{self.fold}",
            }
        )


def experiment(config: RunConfig) -> None:
    """Cross-validate the run's models; writes ``experiment.json`` and prints the table.

    A killed experiment goes on where it was: checkpoints that are up to date are not trained again.

    Raises:
        ConfigError: The run has no ``experiment``.
    """
    if config.experiment is None:
        raise ConfigError("the run has no experiment: give experiment.splits, folds, partitions")
    folds = list(_folds(config))
    rows = []
    for fold in track(iter(folds), "experiment", total=len(folds)):
        rows += _score_fold(fold, fold.config(config))
    path = Path(RunContext(config).paths.experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": rows, "summary": summary(rows)}, indent=1))
    console.print(f"experiment: {path}")
    Console(width=TABLE_WIDTH).print(_table(rows))


def summary(rows: list[dict[str, float | str]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Kind of split -> model -> score -> mean over folds and partitions, and deviation.

    The deviation is that of the partitions' means: how much the answer hangs on the division.
    """
    result: dict[str, dict[str, dict[str, list[float]]]] = {}
    for kind in dict.fromkeys(str(row["split"]) for row in rows):
        models = dict.fromkeys(str(row["model"]) for row in rows)
        result[kind] = {
            model: {
                score: _mean_and_deviation(
                    [r for r in rows if r["split"] == kind and r["model"] == model], score
                )
                for score in (
                    f"{part}_{name}" for part in ("test", "train") for name in RANKED_SCORES
                )
            }
            for model in models
        }
    return result


def _folds(config: RunConfig) -> Iterator[Fold]:
    assert config.experiment is not None
    for kind in config.experiment.splits:
        for partition in range(config.experiment.partitions):
            for fold in range(config.experiment.folds):
                yield Fold(kind, partition, fold)


def _score_fold(fold: Fold, config: RunConfig) -> list[dict[str, float | str]]:
    context = RunContext(config)
    write_split(context)
    trainer = ModelTrainer(context, quiet=True)
    # Only patches of a part are predicted, so a tile need not be larger than a patch.
    tile_px = min(config.predict.tile_px, config.patches.core_px)
    tiling = config.predict.model_copy(update={"tile_px": tile_px})
    rows = []
    for name in config.training_order():
        predictor = TiledPredictor.of(trainer.train(name), trainer.reader, tiling)
        row: dict[str, float | str] = {
            "split": fold.kind,
            "partition": fold.partition,
            "fold": fold.fold,
            "model": name,
        }
        for part in ("test", "train"):
            values = config.split.parts()[part]
            counts = _score(predictor, trainer.reader, trainer.index.select(values), values)
            row |= {f"{part}_{key}": score(counts) for key, score in RANKED_SCORES.items()}
        rows.append(row)
    return rows


def _score(
    predictor: TiledPredictor, reader: PatchReader, patches: Patches, values: frozenset[int]
) -> ScoreCounts:
    """Counts of the labelled pixels of a part."""
    counts = ScoreCounts.zero()
    for y0, x0 in patches.origins.tolist():
        core = Window(y0, x0, patches.core_px, patches.core_px)
        labels = reader.read(core, ("landslide", "split"))
        mine = np.isin(labels["split"], sorted(values))
        counts += ScoreCounts.from_block(
            predictor.probability(core)[mine], labels["landslide"][mine]
        )
    return counts


def _mean_and_deviation(rows: list[dict[str, float | str]], score: str) -> list[float]:
    partitions = sorted({int(row["partition"]) for row in rows})
    means = [
        np.mean([float(row[score]) for row in rows if row["partition"] == partition])
        for partition in partitions
    ]
    return [float(np.mean(means)), float(np.std(means))]


def _table(rows: list[dict[str, float | str]]) -> Table:
    table = Table(title="Held-out folds, mean ± deviation over partitions")
    table.add_column("model")
    scored = summary(rows)
    for kind in scored:
        for name in ("NLL test", "NLL train", "AUC test"):
            table.add_column(f"{kind}\n{name}", justify="right")
    for model in next(iter(scored.values())):
        cells = [
            f"{mean:.3f} ± {deviation:.3f}"
            for kind in scored
            for mean, deviation in (
                scored[kind][model][key] for key in ("test_nll", "train_nll", "test_auc")
            )
        ]
        table.add_row(model, *cells)
    return table
