"""The application: options that commands share, and how a mistake ends."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from landslide_dist.config import RunConfig, load
from landslide_dist.config.load import AnyConfig, load_any, to_yaml
from landslide_dist.errors import LandslideDistError, ProcessError, StoreError
from landslide_dist.progress import console
from landslide_dist.telemetry import serve

_Kind = TypeVar("_Kind", bound=AnyConfig)


class LogFormat(StrEnum):
    """How messages are written."""

    TEXT = "text"
    JSON = "json"


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
    log: Annotated[
        LogFormat, typer.Option(help="Messages for people, or a JSON object a line.")
    ] = LogFormat.TEXT,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Answer Prometheus on this port while it runs."),
    ] = None,
    metrics_address: Annotated[
        str, typer.Option(help="0.0.0.0 lets other machines ask.")
    ] = "127.0.0.1",
) -> None:
    """Options before the command; ``main`` reads the first."""
    if log is LogFormat.JSON:
        # By the environment, so that processes of a training and Dask workers do alike.
        os.environ["LANDSLIDE_LOG"] = "json"
    if metrics_port is not None:
        serve(metrics_port, metrics_address)


def main() -> None:
    """Entry point: a user's mistake is one line on stderr and exit status 2.

    A lost process, or a store that did not answer, is 75 instead (``EX_TEMPFAIL``): the same
    command may go on later, and what runs it may simply call it again.
    """
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
        sys.exit(os.EX_TEMPFAIL if _may_pass(error) else 2)


def _may_pass(error: LandslideDistError) -> bool:
    if isinstance(error, StoreError):
        # Libraries of object stores, which most commands that fail have not loaded.
        from landslide_dist.store.retry import may_pass

        return may_pass(error)
    return isinstance(error, ProcessError)


def load_config(
    path: Path, overrides: list[str] | None, cluster: Path | None, print_config: bool
) -> RunConfig:
    """The configuration of a command; with ``--print-config`` it is printed, and that is all."""
    return shown(load(path, overrides or (), cluster), print_config)


def load_of_any_kind(
    path: Path, overrides: list[str] | None, cluster: Path | None, print_config: bool
) -> AnyConfig:
    """The configuration of a command that takes several kinds of run."""
    return shown(load_any(path, overrides or (), cluster), print_config)


def shown(config: _Kind, print_config: bool) -> _Kind:
    """The configuration itself, unless it was to be printed."""
    if print_config:
        typer.echo(to_yaml(config), nl=False)
        raise typer.Exit
    return config
