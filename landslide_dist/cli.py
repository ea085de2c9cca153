"""The command line: one thin command a stage; a stage is imported only when it is asked for."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from landslide_dist.config import RunConfig, load
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import LandslideDistError
from landslide_dist.progress import console

app = typer.Typer(
    name="landslide-dist",
    help="Landslide maps from rasters and inventories. One YAML file is one whole run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path, typer.Argument(help="YAML file of the run.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Override a setting; may be repeated."),
]
Cluster = Annotated[
    Path | None, typer.Option(help="YAML file of the Dask cluster, instead of the run's own.")
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print the whole configuration and stop.")
]
Overwrite = Annotated[
    bool, typer.Option(help="Replace a cube that was ingested with other settings.")
]
Models = Annotated[
    list[str] | None, typer.Option("--model", help="Only this model; may be repeated.")
]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command; ``main`` reads them."""


@app.command()
def ingest(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """Read rasters, maps and labels into the cube."""
    run_config = _load(config, set_, cluster, print_config)
    from landslide_dist.stages.ingest import ingest as stage

    stage(run_config, overwrite)


@app.command(name="import")
def import_(
    format_: Annotated[
        Literal["veneto-hdf5"], typer.Argument(metavar="FORMAT", help="Published data set.")
    ],
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """Read a published data set into the cube: ingest of a config whose source it is."""
    run_config = _load(config, set_, cluster, print_config)
    from landslide_dist.stages.ingest import import_published

    import_published(run_config, format_, overwrite)


@app.command()
def derive(
    config: Config, set_: Set = None, cluster: Cluster = None, print_config: PrintConfig = False
) -> None:
    """Compute slope and the uphill index."""
    run_config = _load(config, set_, cluster, print_config)
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
    run_config = _load(config, set_, cluster, print_config)
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
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.split import split as stage

    stage(run_config, audit)


@app.command()
def train(
    config: Config, set_: Set = None, print_config: PrintConfig = False, model: Models = None
) -> None:
    """Train the models."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.train import train as stage

    stage(run_config, model)


@app.command()
def predict(
    config: Config, set_: Set = None, print_config: PrintConfig = False, model: Models = None
) -> None:
    """Map the whole region with each model, to Zarr and GeoTIFF."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.predict import predict as stage

    stage(run_config, model)


@app.command()
def evaluate(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Score the maps and write metrics.json."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.evaluate import evaluate as stage

    stage(run_config)


@app.command()
def report(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Write the self-contained report.html."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.report import report as stage

    stage(run_config)


@app.command()
def run(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """All stages, skipping what is up to date."""
    run_config = _load(config, set_, cluster, print_config)
    from landslide_dist.stages.run import run as stage

    stage(run_config, overwrite)


@app.command()
def experiment(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Cross-validate every model over folds of several kinds of split, side by side."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.experiment import experiment as stage

    stage(run_config)


@app.command()
def search(config: Config, set_: Set = None, print_config: PrintConfig = False) -> None:
    """Choose learning rates, optimisers and looking distances by cross-validation."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.search import search as stage

    stage(run_config)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything goes.")] = Path("runs/demo"),
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """The whole pipeline on a made-up region whose landslide probability is known."""
    from landslide_dist.stages.demo import demo as stage
    from landslide_dist.stages.demo import demo_config

    stage(_shown(demo_config(folder, set_ or ()), print_config))


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit status 2."""
    # Torch's threads otherwise spin while they wait; where cores are shared with anything else,
    # that slows training several times. It is read when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except LandslideDistError as error:
        if debug:
            raise
        console.print(f"landslide-dist: {' '.join(str(error).split())}", markup=False)
        sys.exit(2)


def _load(
    path: Path, overrides: list[str] | None, cluster: Path | None, print_config: bool
) -> RunConfig:
    return _shown(load(path, overrides or (), cluster), print_config)


def _shown(config: RunConfig, print_config: bool) -> RunConfig:
    if print_config:
        typer.echo(to_yaml(config), nl=False)
        raise typer.Exit
    return config
