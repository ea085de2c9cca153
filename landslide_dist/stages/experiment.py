"""``experiment``: the paper's experiment, every model on every division of several kinds of split.

The difference between the kinds is the leak: a random split scores a model on pixels next to those
it was trained on, a spatial one on ground it has not seen.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable

from landslide_dist.config import RunConfig
from landslide_dist.config.experiment import ExperimentConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.config.paths import RunPaths
from landslide_dist.config.share import Share
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.curves import Histories, read_history
from landslide_dist.evaluation.experiment import Outcome, differences, summarise
from landslide_dist.evaluation.experiment_page import (
    ExperimentResult,
    Shown,
    experiment_pictures,
    render_experiment,
)
from landslide_dist.evaluation.metrics import null_for_nan
from landslide_dist.evaluation.overview import Part
from landslide_dist.evaluation.panel import telling_window, window_at
from landslide_dist.evaluation.score import BEST_REACHABLE
from landslide_dist.evaluation.table import Table
from landslide_dist.grid import Window
from landslide_dist.progress import console, stage, track
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.division import Division, Fold
from landslide_dist.stages.split import audit_of
from landslide_dist.training.ranks import check_starts_alone, is_first_rank
from landslide_dist.whole_file import write_whole


@stage
def experiment(config: RunConfig, share: Share | None = None) -> None:
    """Train and score the run's models on all divisions.

    Writes ``experiment.json``, ``table2.md``, ``table2.csv``, ``experiment.html`` and its figures,
    and prints the table. A killed experiment goes on where it was: neither models nor scores that
    are up to date are made again.

    Args:
        config: The run.
        share: Only train and score this share of the divisions, and write neither table nor page.

    Raises:
        ConfigError: The run has no ``experiment``, a part is left without labels, or the window is
            outside the region.
        StoreError: ``derive`` has not run.
    """
    check_starts_alone("experiment")
    settings, folds = _settings(config), list(_folds(config))
    if settings.window_centre is not None:
        _window(RunContext(config))  # Better refused now than after hours of training.
    if share is not None:
        for fold in track(iter(share.of(folds)), "experiment", total=len(share.of(folds))):
            Division.of(fold, config).outcomes()
        return
    outcomes: list[Outcome] = []
    shown: dict[str, Shown] = {}
    for fold in track(iter(folds), "experiment", total=len(folds)):
        division = Division.of(fold, config)
        outcomes += division.outcomes()
        if fold.kind not in shown:
            shown[fold.kind] = _shown(division)
    if not is_first_rank():
        return
    summary = summarise(outcomes, [*config.models, BEST_REACHABLE])
    table = Table.of(summary, settings.partitions)
    histories = {kind: _histories(config, folds, kind) for kind in shown}
    result = ExperimentResult(outcomes, summary, table, shown, histories, config.cube.location)
    _write(config, result)
    Console(width=_width(table)).print(_printed(table))


def divide(config: RunConfig) -> None:
    """Write the divisions that shares of an experiment have in common; training needs them.

    Raises:
        ConfigError: The run has no ``experiment``, or a part is left without labels.
        StoreError: ``derive`` has not run.
    """
    for fold in _folds(config):
        Division.of(fold, config)


def _settings(config: RunConfig) -> ExperimentConfig:
    if config.experiment is None:
        raise ConfigError(
            "the run has no experiment: give experiment.splits, or {} for the paper's division"
        )
    return config.experiment


def _folds(config: RunConfig) -> Iterator[Fold]:
    settings = _settings(config)
    for kind in settings.splits:
        for partition in range(settings.partitions):
            for fold in range(settings.folds or 1):
                yield Fold(kind, partition, fold)


def _shown(division: Division) -> Shown:
    context = division.context
    window = _window(context)
    return Shown(
        context.split_location,
        context.config.split.parts(),
        audit_of(context),
        window,
        division.window_maps(window),
    )


def _histories(config: RunConfig, folds: Sequence[Fold], kind: str) -> Histories:
    """Losses of every training on a kind of split, of the models that are trained."""
    paths = [RunPaths.of(fold.config(config)) for fold in folds if fold.kind == kind]
    found = {name: [read_history(p.history(name)) for p in paths] for name in config.models}
    return {name: runs for name, runs in found.items() if any(runs)}


def _window(context: RunContext) -> Window:
    settings = _settings(context.config)
    location = context.config.cube.location
    if settings.window_centre is not None:
        return window_at(location, settings.window_px, settings.window_centre)
    test = Part(context.split_location, context.config.split.parts()["test"])
    return telling_window(location, settings.window_px, test)


def _write(config: RunConfig, result: ExperimentResult) -> None:
    paths = RunPaths.of(config)
    Path(paths.experiment_dir).mkdir(parents=True, exist_ok=True)
    content = {
        "rows": [outcome.plain() for outcome in result.outcomes],
        "summary": result.summary,
        "difference": differences(result.summary),
    }
    write_whole(paths.experiment, json.dumps(null_for_nan(content), indent=1))
    write_whole(paths.experiment_table("md"), result.table.markdown())
    write_whole(paths.experiment_table("csv"), result.table.csv())
    pictures = experiment_pictures(result)
    for name, picture in pictures.items():
        Path(paths.experiment_figure(name)).write_bytes(picture.png)
    page = render_experiment(
        config.name, result, pictures, config.patches.oversample, to_yaml(config)
    )
    write_whole(paths.experiment_page, page)
    console.print(f"experiment: {paths.experiment_page}, experiment.json, table2.md, table2.csv")


def _printed(table: Table) -> RichTable:
    printed = RichTable(title="Test and training error (NLL), AUC of the test part")
    printed.add_column("method")
    for heading in _headings(table):
        printed.add_column(heading, justify="right")
    for model, cells in table.rows:
        texts = [f"[bold]{cell.text}[/bold]" if cell.best else cell.text for cell in cells]
        printed.add_row(model, *texts)
    return printed


def _headings(table: Table) -> list[str]:
    """Narrow ones: a word of the group a line."""
    return ["\n".join([*group.split(), name]) for group, name in table.headings]


def _width(table: Table) -> int:
    """A narrower terminal would cut the headings."""
    columns = (
        max(*map(len, heading.split("\n")), *(len(cells[i].text) for _, cells in table.rows))
        for i, heading in enumerate(_headings(table))
    )
    return sum(width + 3 for width in columns) + 20
