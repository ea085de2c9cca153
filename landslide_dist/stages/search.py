"""``search``: hyper-parameters by cross-validation within the labels that are not for testing.

As in the LACNN paper, section 4.4: every setting is trained for a short time on all folds but one
and judged on that one; the lowest loss over all folds wins. The run's test part is masked before
the folds are drawn, so that no choice has seen it.
"""

import json
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from landslide_dist.config import RunConfig
from landslide_dist.config.load import to_yaml
from landslide_dist.config.model import LLRConfig
from landslide_dist.config.search import SearchConfig
from landslide_dist.config.share import Share
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console, stage, track
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.search_folds import SearchFolds
from landslide_dist.stages.split import check_split
from landslide_dist.training.ranks import check_starts_alone, is_first_rank
from landslide_dist.training.search import GridPoint, best_point, record
from landslide_dist.whole_file import write_whole

Points = Mapping[str, Sequence[GridPoint]]


@stage
def search(config: RunConfig) -> RunConfig:
    """Find the best settings of a run; writes ``search.json`` and ``tuned.yaml``.

    A killed search goes on where it was: a fit that is trained and judged is not made again.

    Returns:
        The run with the best settings filled in, as ``tuned.yaml`` holds it.

    Raises:
        ConfigError: The run has no ``search``, or a fold lacks labels of one class.
        StoreError: ``derive`` or ``split`` has not run.
        DataError: All settings of a model diverged.
    """
    folds = _folds(config)
    context, settings = folds.context, folds.search
    folds.write_split()
    searched = settings.searched(config.models)
    points: dict[str, Sequence[GridPoint]] = {}
    tuned = config
    # An aligned model is searched with the features of the best LLR, which is therefore known.
    for name in (name for name in config.training_order() if name in searched):
        grid = settings.grid(name, searched[name])
        total = settings.folds * len(grid)
        for so_far in track(folds.fits(tuned, name, grid), f"search {name}", total):
            points[name] = so_far
            content = {
                "folds": settings.folds,
                "epochs": settings.epochs,
                "models": record(points, settings.folds),
            }
            if is_first_rank():
                write_whole(context.paths.search, json.dumps(content, indent=1))
        best = best_point(name, points[name]).model
        tuned = tuned.model_copy(update={"models": {**tuned.models, name: best}})
    tuned = _with_the_same_test_part(context, tuned)
    if is_first_rank():
        write_whole(context.paths.tuned, to_yaml(tuned))
        console.print(f"search: {context.paths.search}, {context.paths.tuned}")
        Console().print(_table(points, settings))
    return tuned


def search_share(config: RunConfig, share: Share) -> None:
    """Train and judge a share of the fits, for others to put together.

    A model that looks uphill builds on the best LLR. As long as other shares have not finished the
    LLR's fits, those of such a model are left for another call.

    Raises:
        ConfigError: As :func:`search`.
    """
    folds, tuned = _folds(config), config
    folds.write_split()
    searched = folds.search.searched(config.models)
    open_ones: set[str] = set()
    for name in (name for name in config.training_order() if name in searched):
        if config.llr_of(name) is not None and open_ones:
            console.print(f"search: {name} waits for other shares' LLR: call again")
            continue
        grid = folds.search.grid(name, searched[name])
        total = sum(share.takes(i) for i in range(folds.search.folds * len(grid)))
        for _ in track(folds.fits(tuned, name, grid, share), f"search {name}", total):
            pass
        if folds.are_done(tuned, name, grid):
            *_, points = folds.fits(tuned, name, grid)
            best = best_point(name, points).model
            tuned = tuned.model_copy(update={"models": {**tuned.models, name: best}})
        elif isinstance(config.models[name], LLRConfig):
            open_ones.add(name)


def prepare_search(config: RunConfig) -> None:
    """Divide the labels, which all shares of a search have in common."""
    _folds(config).write_split()


def _folds(config: RunConfig) -> SearchFolds:
    if config.search is None:
        raise ConfigError("the run has no search: give search.learning_rates, folds, epochs")
    check_starts_alone("search")
    context = RunContext(config)
    check_split(context)
    return SearchFolds(context, config.search)


def _with_the_same_test_part(context: RunContext, tuned: RunConfig) -> RunConfig:
    """Keep the run's buffer where shorter looks would make it narrower.

    The run's split then stays as it is, and is the one whose test part was not seen.
    """
    if RunContext(tuned).buffer_px >= context.buffer_px:
        return tuned
    split = tuned.split.model_copy(update={"buffer_px": context.buffer_px})
    return tuned.model_copy(update={"split": split})


def _table(points: Points, search: SearchConfig) -> Table:
    table = Table(title=f"Held-out loss over {search.folds} folds, fits of {search.epochs} epochs")
    table.add_column("model")
    for heading in ("looks at, m", "optimizer", "learning rate", "NLL"):
        table.add_column(heading, justify="right")
    for name, tried in points.items():
        best = best_point(name, tried)
        for point in tried:
            distances = point.settings.get("looking_distances_m")
            table.add_row(
                name,
                ", ".join(f"{d:g}" for d in distances) if distances else "",
                point.model.optimizer,
                f"{point.model.learning_rate:g}",
                f"{point.nll:.5f}" if point.nll < float("inf") else "diverged",
                style="bold" if point is best else None,
            )
    return table
