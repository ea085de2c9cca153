"""``evaluate``: scores of every map on every part of the split, to metrics.json and tables."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from rich.console import Console
from rich.table import Table

from landslide_dist.cluster import open_cluster
from landslide_dist.config import RunConfig
from landslide_dist.config.cluster import check_memory
from landslide_dist.errors import StoreError
from landslide_dist.evaluation.comparison import Comparison, compare_models
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.score import (
    BEST_REACHABLE,
    ModelScores,
    count_task,
    score_predictions,
)
from landslide_dist.kernels import scores as kernel
from landslide_dist.progress import stage
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.predict import check_map
from landslide_dist.stages.split import check_split
from landslide_dist.store.layout import shard_px
from landslide_dist.store.location import open_group
from landslide_dist.whole_file import write_whole


@stage
def evaluate(config: RunConfig) -> dict[str, ModelScores]:
    """Score the run's maps; writes ``metrics.json`` and prints the tables.

    Returns:
        Scores by model, the best reachable ones of a synthetic region last.

    Raises:
        StoreError: There is no split, or a map is missing, not whole or of other settings.
        DataError: A map does not fit the cube or has gaps at labelled pixels.
    """
    context = RunContext(config)
    scores = score(context)
    made_of = {"run": {"name": config.name, "made_of": provenance(context)}}
    write_whole(context.paths.metrics, json.dumps(made_of | to_metrics(scores), indent=1))
    Console().print(_table(config.name, scores))
    comparison = compare_models(scores)
    if comparison is not None:
        Console().print(_comparison_table(comparison))
    return scores


def score(context: RunContext) -> dict[str, ModelScores]:
    """Scores of all maps of a run."""
    config = context.config
    check_split(context)
    predictions = found_maps(context)
    places = (config.cube.location, context.split_location, predictions, config.split.parts())
    cluster = config.cluster if config.evaluate.on_cluster else None
    side_px = shard_px(config.cube.storage, context.grid.shape)
    check_memory(cluster, count_task(*places, config.evaluate).thread_bytes(side_px), side_px)
    with open_cluster(cluster) as client:
        return score_predictions(*places, config.evaluate, client)


def found_maps(context: RunContext) -> dict[str, str]:
    """Map -> its Zarr group, once all are there, whole and of these settings.

    Raises:
        ConfigError: The file of an ensemble's member cannot be read or has no temperature.
        StoreError: One is not.
    """
    for name in context.config.maps:
        check_map(context, name)
    return {name: context.paths.prediction(name) for name in context.config.maps}


def provenance(context: RunContext) -> dict[str, Any]:
    """What the scores of a run hang on: its maps, its split, how they are taken."""
    return {
        "maps": {
            name: open_group(context.paths.prediction(name)).attrs.get("fingerprint")
            or context.map_hash(name)
            for name in context.config.maps
        },
        "cube": context.derive_hash,
        "split": PurePath(context.split_location).stem,
        "parts": {name: sorted(values) for name, values in context.config.split.parts().items()},
        "evaluate": context.config.evaluate.model_dump(mode="json", exclude={"on_cluster"}),
    }


def found_scores(context: RunContext) -> dict[str, Any]:
    """What ``metrics.json`` holds, once it is of the maps and settings that there are.

    Raises:
        StoreError: It is not, or is not there.
    """
    path = context.paths.metrics
    try:
        metrics: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"there are no scores at {path!r} yet: run evaluate") from error
    made_of = json.loads(json.dumps(provenance(context)))
    if metrics.get("run", {}).get("made_of") != made_of:
        raise StoreError(f"scores {path!r} are of other maps or settings: run evaluate again")
    return metrics


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


def _comparison_table(comparison: Comparison) -> Table:
    title = f"less {comparison.reference} on the test part; 95 % interval; share of draws better"
    table = Table(title=title)
    table.add_column("model")
    for heading in ("NLL", "AUC", "AP", "Brier"):
        table.add_column(heading, justify="right")
    for name, by_score in comparison.models.items():
        cells = [
            f"{one.difference:+.4f}\n[{one.interval[0]:+.4f}, {one.interval[1]:+.4f}] "
            f"{one.share_better:.0%}"
            for one in by_score.values()
        ]
        table.add_row(name, *(cell.replace("[", r"\[") for cell in cells))
    return table
