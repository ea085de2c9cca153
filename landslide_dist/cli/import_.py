"""Commands that take in published data sets, one a format."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from landslide_dist.cli.app import Cluster, Config, Overwrite, PrintConfig, Set, app, load_config


class Formats(TyperGroup):
    """Says which formats there are to who asks for another."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of a format."""
        if args and args[0] not in self.commands:
            ctx.fail(f"{args[0]!r} is not a format; there are {', '.join(self.commands)}")
        return super().resolve_command(ctx, args)


formats = typer.Typer(help="Read a published data set: import FORMAT.", cls=Formats)
app.add_typer(formats, name="import", no_args_is_help=True)


@formats.command("veneto-hdf5")
def veneto_hdf5(
    config: Config,
    set_: Set = None,
    cluster: Cluster = None,
    print_config: PrintConfig = False,
    overwrite: Overwrite = False,
) -> None:
    """The LACNN paper's HDF5 file into the cube: ingest of a config whose source it is."""
    run_config = load_config(config, set_, cluster, print_config)
    from landslide_dist.stages.ingest import import_published

    import_published(run_config, "veneto-hdf5", overwrite)


@formats.command()
def landslide4sense(
    folder: Annotated[Path, typer.Argument(help="Images and masks, HDF5 or PNG.")],
    out: Annotated[Path, typer.Argument(help="Folder of chips that is made.")],
    chip_px: Annotated[int, typer.Option(help="Side of a chip.", min=8)] = 64,
    min_share: Annotated[
        float,
        typer.Option(help="Least share of landslide pixels of a landslide chip.", min=0, max=1),
    ] = 0.05,
) -> None:
    """Landslide4Sense patches into RGB chips with and without landslides, for classification.

    Patches have one date: event mapping, which compares two, cannot be trained on them.
    """
    from landslide_dist.stages.chips.importing import import_landslide4sense

    import_landslide4sense(folder, out, chip_px, min_share)
