"""``report`` of several runs: one self-contained page that sets them side by side."""

from collections.abc import Sequence
from pathlib import Path

from landslide_dist.config import RunConfig
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.runs_page import Run, render_runs
from landslide_dist.progress import console
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.evaluate import found_maps, found_scores
from landslide_dist.stages.split import check_split
from landslide_dist.whole_file import write_whole


def compare(configs: Sequence[RunConfig], output: Path | None = None) -> None:
    """Write ``comparison.html``, from the ``metrics.json`` of every run.

    Args:
        configs: The runs, two or more.
        output: Where the page goes; None for the first run's folder.

    Raises:
        ConfigError: A run is given twice.
        StoreError: A run has no scores of its present maps: run evaluate.
    """
    folders = [config.run_dir.rstrip("/") for config in configs]
    twice = sorted({folder for folder in folders if folders.count(folder) > 1})
    if twice:
        raise ConfigError(f"run_dir {', '.join(twice)} is given twice; compare different runs")
    runs = [_run(config) for config in configs]
    place = output or RunContext(configs[0]).paths.comparison
    write_whole(place, render_runs(_named(runs)))
    console.print(f"report: {place}")


def _run(config: RunConfig) -> Run:
    context = RunContext(config)
    check_split(context)
    predictions = found_maps(context)
    metrics = found_scores(context)
    return Run(
        config.name,
        metrics,
        config.cube.location,
        predictions,
        config.model_dump(mode="json"),
    )


def _named(runs: Sequence[Run]) -> list[Run]:
    """Runs of one name are told apart by a number."""
    names = [run.name for run in runs]
    return [
        run if names.count(run.name) == 1 else run.renamed(f"{run.name} ({number})")
        for number, run in enumerate(runs, start=1)
    ]
