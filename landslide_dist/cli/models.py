"""Commands that train models and draw their maps."""

from landslide_dist.cli.app import Cluster, Config, Models, PrintConfig, Set, app, load_config


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
    """Cross-validate every model over folds of several kinds of split, side by side."""
    run_config = load_config(config, set_, None, print_config)
    from landslide_dist.stages.experiment import experiment as stage

    stage(run_config)
