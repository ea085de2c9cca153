"""The command that looks at an installation, and at what a run needs of it."""

from pathlib import Path
from typing import Annotated

import typer

from landslide_dist.cli.app import Cluster, Set, app
from landslide_dist.config.load import load_any
from landslide_dist.errors import ConfigError


@app.command()
def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="YAML file of a run; without it only the machine.")
    ] = None,
    set_: Set = None,
    cluster: Cluster = None,
    json_: Annotated[
        str | None,
        typer.Option("--json", metavar="PATH", help="Write the result as JSON; - is stdout."),
    ] = None,
) -> None:
    """Check installation, machine, stores, inputs, cluster; exit status 1 if a run would fail."""
    if config is None and (set_ or cluster):
        raise ConfigError("--set and --cluster change a run: give its CONFIG as well")
    run_config = None if config is None else load_any(config, set_ or (), cluster)
    from landslide_dist.stages.doctor.examine import doctor as stage

    if not stage(run_config, json_):
        raise typer.Exit(1)
