"""``evaluate``: scores of every map on every part of the split, to metrics.json and a table."""

import json
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from landslide_dist.config import RunConfig
from landslide_dist.errors import StoreError
from landslide_dist.evaluation.score import (
    BEST_REACHABLE,
    ModelScores,
    score_predictions,
    to_metrics,
)
from landslide_dist.kernels import scores as kernel
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.split import check_split
from landslide_dist.store.location import exists, open_group
from landslide_dist.whole_file import write_whole


def evaluate(config: RunConfig) -> dict[str, ModelScores]:
    """Score the run's maps; writes ``metrics.json`` and prints the table.

    Returns:
        Scores by model, the best reachable ones of a synthetic region last.

    Raises:
        StoreError: There is no split, or a map is missing or of other settings.
        DataError: A map does not fit the cube or has gaps at labelled pixels.
    """
    context = RunContext(config)
    scores = score(context)
    write_whole(context.paths.metrics, json.dumps(to_metrics(scores), indent=1))
    Console().print(_table(config.name, scores))
    return scores


def score(context: RunContext) -> dict[str, ModelScores]:
    """Scores of all models of a run."""
    config = context.config
    check_split(context)
    predictions = {name: context.paths.prediction(name) for name in config.models}
    for name, location in predictions.items():
        if not exists(location):
            raise StoreError(f"there is no map of {name!r} at {location!r} yet: run predict")
        made_by = open_group(location).attrs.get("checkpoint")
        if made_by != context.model_hash(name):
            raise StoreError(
                f"map {location!r} was made by a model of other settings: run train and predict"
            )
    return score_predictions(
        config.cube.location,
        context.split_location,
        predictions,
        config.split.parts(),
        config.evaluate,
    )


def _table(title: str, scores: Mapping[str, ModelScores]) -> Table:
    table = Table(title=f"{title}: scores of the labelled pixels of each part")
    table.add_column("model")
    for heading in ("NLL test", "NLL train", "AUC test", "AP test", "Brier test", "MCC test"):
        table.add_column(heading, justify="right")
    for name, model in scores.items():
        test = model.counts.get("test", kernel.ScoreCounts.zero())
        train = model.counts.get("train", kernel.ScoreCounts.zero())
        called = kernel.confusion_at(test, model.threshold)
        row = (
            kernel.nll(test),
            kernel.nll(train),
            kernel.auc(test),
            kernel.average_precision(test),
            kernel.brier(test),
            kernel.precision_recall_f1_mcc(called)["mcc"],
        )
        style = "bold" if name == BEST_REACHABLE else None
        table.add_row(name, *(f"{value:.4f}" for value in row), style=style)
    return table
