"""Commands that hand a run to a cluster and follow it."""

from typing import Annotated

import typer

from landslide_dist.cli.app import Cluster, Config, PrintConfig, Set, app, load_of_any_kind
from landslide_dist.errors import ConfigError


@app.command()
def submit(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    experiment: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Its experiment instead, shared by N jobs."),
    ] = None,
    search: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Its search instead, likewise.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print scripts or manifests, submit nothing.")
    ] = False,
) -> None:
    """Hand the whole run to SLURM or Kubernetes: prepare, train, predict, report."""
    run_config = load_of_any_kind(config, set_, cluster, print_config)
    from landslide_dist.cluster.steps import steps_of, steps_of_experiment, steps_of_search
    from landslide_dist.cluster.submission import Invocation
    from landslide_dist.stages.submit import submit as stage

    if experiment is not None and search is not None:
        raise ConfigError("--experiment and --search are two submissions: give one of them")
    if experiment is not None:
        steps = steps_of_experiment(run_config, experiment)
    elif search is not None:
        steps = steps_of_search(run_config, search)
    else:
        steps = steps_of(run_config)
    stage(run_config, steps, Invocation(config, tuple(set_ or ()), cluster), dry_run)


@app.command()
def status(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Again whenever something changes, to the end.")
    ] = False,
) -> None:
    """Say how far the jobs of a run are; exit status 1 if one has failed."""
    run_config = load_of_any_kind(config, set_, cluster, False)
    from landslide_dist.stages.status import status as stage

    if not stage(run_config, follow):
        raise typer.Exit(1)
