"""The command line: one thin command a stage; a stage is imported only when it is asked for."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from landslide_dist.config import RunConfig, load
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import ConfigError, LandslideDistError
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
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    model: Models = None,
) -> None:
    """Map the whole region with each model, to Zarr and GeoTIFF."""
    run_config = _load(config, set_, cluster, print_config)
    from landslide_dist.stages.predict import predict as stage

    stage(run_config, model)


@app.command()
def evaluate(
    config: Config, set_: Set = None, cluster: Cluster = None, print_config: PrintConfig = False
) -> None:
    """Score the maps and write metrics.json."""
    run_config = _load(config, set_, cluster, print_config)
    from landslide_dist.stages.evaluate import evaluate as stage

    stage(run_config)


@app.command()
def report(
    configs: Annotated[
        list[Path],
        typer.Argument(metavar="CONFIG...", help="YAML file of the run, or of runs to compare."),
    ],
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    output: Annotated[
        Path | None, typer.Option(help="Where the page goes, instead of the first run's folder.")
    ] = None,
) -> None:
    """Write the self-contained report.html; of several runs, comparison.html."""
    run_configs = [_load(config, set_, cluster, print_config) for config in configs]
    if len(run_configs) == 1:
        from landslide_dist.stages.report import report as stage

        stage(run_configs[0], output=output)
    else:
        from landslide_dist.stages.compare import compare

        compare(run_configs, output)


@app.command()
def view(
    config: Config,
    set_: Set = None,
    print_config: PrintConfig = False,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port; 0: any free.")] = 5006,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in your browser.")
    ] = False,
) -> None:
    """Look at the map of the run in a browser."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.view import view as stage

    stage(run_config, host, port, open_)


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
def export(
    config: Config,
    model: Annotated[str, typer.Option("--model", help="Which model.", show_default=False)],
    set_: Set = None,
    print_config: PrintConfig = False,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", help="Only torch, onnx or stac; may be repeated."),
    ] = None,
) -> None:
    """Publish a model: torch.export, ONNX, and STAC items of the model and its map."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.stages.export import FORMATS
    from landslide_dist.stages.export import export as stage

    stage(run_config, model, format_ or FORMATS)


@app.command()
def explain(
    config: Config,
    model: Annotated[str, typer.Option("--model", help="Which model.", show_default=False)],
    set_: Set = None,
    print_config: PrintConfig = False,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="Only gradients, grad-cam or importance; may be repeated."),
    ] = None,
    window: Annotated[
        str | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="Explain this window, in the cube's CRS."),
    ] = None,
    centre: Annotated[
        str | None,
        typer.Option(metavar="X,Y", help="Or a square around; by default the most landslides."),
    ] = None,
    side_m: Annotated[float, typer.Option(help="Side of that square.", min=1)] = 2000,
    at: Annotated[str | None, typer.Option(metavar="X,Y", help="Explain this pixel alone.")] = None,
    level: Annotated[
        list[int] | None, typer.Option(help="Level of Grad-CAM, 0 the finest; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of the integrated gradients.", min=1)] = 32,
    part: Annotated[str, typer.Option(help="Part that importance is measured on.")] = "validation",
    repeats: Annotated[int, typer.Option(help="Times that inputs are permuted.", min=1)] = 5,
    patches: Annotated[int, typer.Option(help="Patches that are scored at most.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Of the permutations.", min=0)] = 0,
) -> None:
    """Explain a model: integrated gradients, Grad-CAM, permutation importance."""
    run_config = _load(config, set_, None, print_config)
    from landslide_dist.inference.importance import Shuffling
    from landslide_dist.stages.explain import explain as stage
    from landslide_dist.stages.place import Place, numbers

    bounds = numbers("--window", window, 4)
    if bounds is not None and centre is not None:
        raise ConfigError("give --window or --centre, not both")
    stage(
        run_config,
        model,
        Place(bounds, numbers("--centre", centre, 2), side_m, numbers("--at", at, 2)),
        method,
        level or (0, -1),
        steps,
        part,
        Shuffling(repeats, seed, max_patches=patches),
    )


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
