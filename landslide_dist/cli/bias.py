"""The command about what is reported of landslides."""

from landslide_dist.cli.app import Config, PrintConfig, Set, app, shown
from landslide_dist.config.load import load_chips


@app.command()
def bias(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Compare the detected landslides of two regions with the recorded ones."""
    run_config = shown(load_chips(config, set_ or ()), print_config)
    from landslide_dist.stages.bias.compare import bias as stage

    stage(run_config)
