"""Commands that train models and draw their maps."""

import typer

from landslide_dist.cli.app import (
    Cluster,
    Config,
    Models,
    PrintConfig,
    Set,
    app,
    load_config,
    shown,
)
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import load_experiment, to_yaml


@app.command()
def search(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Choose learning rates, optimisers and looking distances by cross-validation."""
    run_config = load_config(config, set_, None, print_config)
    from landslide_dist.stages.search import search as stage

    stage(run_config)


@app.command()
def train(
    config: Config, set_: Set = None, print_config: PrintConfig = False, model: Models = None
) -> None:
    """Train the models."""
    run_config = load_config(config, set_, None, print_config)
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
    """Map the whole region with each model, to Zarr and GeoTIFF."""
    run_config = load_config(config, set_, cluster, print_config)
    from landslide_dist.stages.predict import predict as stage

    stage(run_config, model)


@app.command()
def experiment(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Cross-validate every model over kinds of split, or over several events."""
    loaded = load_experiment(config, set_ or ())
    if isinstance(loaded, EventsConfig):
        if print_config:
            typer.echo(to_yaml(loaded), nl=False)
            raise typer.Exit
        from landslide_dist.stages.events import experiment_on_events

        experiment_on_events(loaded)
        return
    from landslide_dist.stages.experiment import experiment as stage

    stage(shown(loaded, print_config))
