"""Commands that run all stages."""

from pathlib import Path
from typing import Annotated

import typer

from landslide_dist.cli.app import (
    Cluster,
    Config,
    Overwrite,
    PrintConfig,
    Set,
    app,
    load_config,
    load_of_any_kind,
    shown,
)
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import of_one_region


@app.command()
def run(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """All stages, skipping what is up to date."""
    run_config = load_of_any_kind(config, set_, cluster, print_config)
    if isinstance(run_config, ChipsConfig):
        from landslide_dist.stages.chips.run import run_chips

        run_chips(run_config, overwrite)
        return
    run_config = of_one_region(run_config, config)
    from landslide_dist.stages.run import run as stage

    stage(run_config, overwrite)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """The whole pipeline on a made-up region whose landslide probability is known."""
    from landslide_dist.stages.demo import demo as stage
    from landslide_dist.stages.demo import demo_config

    stage(shown(demo_config(folder, set_ or ()), print_config))


@app.command()
def map_event(
    config: Config,
    checkpoint: Annotated[
        Path, typer.Option(help="Event model, e.g. RUN_DIR/models/resunet/best.ckpt.")
    ],
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """Map a new event by a trained model: map, inventory and page; needs no labels."""
    run_config = load_config(config, set_, cluster, print_config)
    from landslide_dist.stages.events.map_event import map_event as stage

    stage(run_config, str(checkpoint), overwrite)
