"""Commands that train models and draw their maps."""

from typing import Annotated

import typer

from landslide_dist.cli.app import (
    Cluster,
    Config,
    Models,
    PrintConfig,
    Set,
    app,
    load_config,
    load_of_any_kind,
)
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import of_one_region
from landslide_dist.config.share import Share

Prepare = Annotated[bool, typer.Option("--prepare", help="Only make what parts have in common.")]
Part = Annotated[
    str | None,
    typer.Option(metavar="K/N", help="Only this part of the trainings, K from 0; no table."),
]


@app.command()
def search(
    config: Config,
    set_: Set = None,
    print_config: PrintConfig = False,
    prepare: Prepare = False,
    part: Part = None,
) -> None:
    """Choose learning rates, optimisers and looking distances by cross-validation.

    Parts may run at the same time; models that look uphill build on the LLR, whose parts must all
    be there first. Without --part what they have trained is put together.
    """
    run_config = load_config(config, set_, None, print_config)
    share = None if part is None else Share.parse(part)
    from landslide_dist.stages import search as stage

    if prepare:
        stage.prepare_search(run_config)
    elif share is not None:
        stage.search_share(run_config, share)
    else:
        stage.search(run_config)


@app.command()
def train(
    config: Config, set_: Set = None, print_config: PrintConfig = False, model: Models = None
) -> None:
    """Train the models."""
    run_config = load_of_any_kind(config, set_, None, print_config)
    if isinstance(run_config, ChipsConfig):
        from landslide_dist.stages.chips.train import train_chips

        train_chips(run_config, model)
        return
    run_config = of_one_region(run_config, config)
    from landslide_dist.stages.train import train as stage

    stage(run_config, model)


@app.command()
def predict(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    model: Models = None,
) -> None:
    """Map the whole region, or the scenes, with each model, to Zarr and GeoTIFF."""
    run_config = load_of_any_kind(config, set_, cluster, print_config)
    if isinstance(run_config, ChipsConfig):
        from landslide_dist.stages.chips.scenes import predict_scenes

        predict_scenes(run_config, model)
        return
    run_config = of_one_region(run_config, config)
    from landslide_dist.stages.predict import predict as stage

    stage(run_config, model)


@app.command()
def experiment(
    config: Config,
    set_: Set = None,
    print_config: PrintConfig = False,
    prepare: Prepare = False,
    part: Part = None,
) -> None:
    """Cross-validate every model over kinds of split, several events, or kinds of chips.

    Parts may run at the same time; without --part what they have trained is put together.
    """
    run_config = load_of_any_kind(config, set_, None, print_config)
    share = None if part is None else Share.parse(part)
    from landslide_dist.stages.run_experiment import prepare_experiment, run_experiment

    if prepare:
        prepare_experiment(run_config)
    else:
        run_experiment(run_config, share)
