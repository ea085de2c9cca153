"""Commands from files to a cube, and its division."""

from pathlib import Path
from typing import Annotated

import typer

from landslide_dist.cli.app import Cluster, Config, Overwrite, PrintConfig, Set, app, load_config


@app.command()
def ingest(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """Read rasters, maps and labels into the cube."""
    run_config = load_config(config, set_, cluster, print_config)
    from landslide_dist.stages.ingest import ingest as stage

    stage(run_config, overwrite)


@app.command()
def derive(
    config: Config, set_: Set = None, cluster: Cluster = None, print_config: PrintConfig = False
) -> None:
    """Compute slope and the uphill index."""
    run_config = load_config(config, set_, cluster, print_config)
    from landslide_dist.stages.derive import derive as stage

    stage(run_config)


@app.command()
def plan(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the plan to this file as well.")
    ] = None,
) -> None:
    """Say what ingest and derive will take, from a calibration on a few blocks."""
    run_config = load_config(config, set_, cluster, print_config)
    from landslide_dist.stages.plan import plan as stage

    stage(run_config, json_)


@app.command()
def split(
    config: Config,
    set_: Set = None,
    print_config: PrintConfig = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Count what a part can see of another.")
    ] = False,
) -> None:
    """Divide the labels into training, validation and test, or folds."""
    run_config = load_config(config, set_, None, print_config)
    from landslide_dist.stages.split import split as stage

    stage(run_config, audit)
