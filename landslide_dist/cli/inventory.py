"""Commands about landslides as polygons."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from landslide_dist.cli.app import Config, PrintConfig, Set, app, load_config

inventory = typer.Typer(help="Landslides as polygons: of a map, and compared.")
app.add_typer(inventory, name="inventory", no_args_is_help=True)


@inventory.command()
def make(
    config: Config,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Only these maps.", show_default=False),
    ] = None,
    set_: Set = None,
    print_config: PrintConfig = False,
) -> None:
    """Turn maps into inventories, GeoPackage and GeoJSON."""
    run_config = load_config(config, set_, None, print_config)
    from landslide_dist.stages.inventory import make_inventories

    make_inventories(run_config, models)


@inventory.command()
def compare(
    reference: Annotated[Path, typer.Argument(metavar="A", help="Inventory that is true.")],
    mapped: Annotated[Path, typer.Argument(metavar="B", help="Inventory to be judged.")],
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file of all numbers; the picture goes beside it as PNG."),
    ] = None,
    match: Annotated[
        Literal["iou", "overlap"],
        typer.Option(help="Agreement of two landslides: overlap is the share of the smaller one."),
    ] = "iou",
    threshold: Annotated[
        float, typer.Option(min=0.01, max=1, help="Least agreement of a match.")
    ] = 0.5,
    layer_a: Annotated[
        str | None, typer.Option(help="Layer of A, if there are several.", show_default=False)
    ] = None,
    layer_b: Annotated[
        str | None, typer.Option(help="Layer of B, if there are several.", show_default=False)
    ] = None,
) -> None:
    """Compare two inventories: landslides found, missed, false; areas and their frequencies."""
    from landslide_dist.stages.inventory_compare import compare_inventories

    compare_inventories(str(reference), str(mapped), out, match, threshold, (layer_a, layer_b))
