"""Commands that train models and draw their maps."""

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
from landslide_dist.config.events import EventsConfig
from landslide_dist.config.load import of_one_region


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
    run_config = load_of_any_kind(config, set_, None, print_config)
    if isinstance(run_config, ChipsConfig):
        from landslide_dist.stages.chips import train_chips

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
        from landslide_dist.stages.scenes import predict_scenes

        predict_scenes(run_config, model)
        return
    run_config = of_one_region(run_config, config)
    from landslide_dist.stages.predict import predict as stage

    stage(run_config, model)


@app.command()
def experiment(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Cross-validate every model over kinds of split, several events, or kinds of chips."""
    run_config = load_of_any_kind(config, set_, None, print_config)
    if isinstance(run_config, EventsConfig):
        from landslide_dist.stages.events import experiment_on_events

        experiment_on_events(run_config)
    elif isinstance(run_config, ChipsConfig):
        from landslide_dist.stages.chips_experiment import experiment_on_chips

        experiment_on_chips(run_config)
    else:
        from landslide_dist.stages.experiment import experiment as stage

        stage(run_config)
