"""Commands that score, show, publish and explain."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from landslide_dist.cli.app import (
    Cluster,
    Config,
    PrintConfig,
    Set,
    app,
    load_config,
    load_of_any_kind,
)
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import of_one_region
from landslide_dist.errors import ConfigError


@app.command()
def evaluate(
    config: Config, set_: Set = None, cluster: Cluster = None, print_config: PrintConfig = False
) -> None:
    """Score the maps, or the classified chips, and write metrics.json."""
    run_config = load_of_any_kind(config, set_, cluster, print_config)
    if isinstance(run_config, ChipsConfig):
        from landslide_dist.stages.chips.evaluate import evaluate_chips

        evaluate_chips(run_config)
        return
    run_config = of_one_region(run_config, config)
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
    found = [load_of_any_kind(config, set_, cluster, print_config) for config in configs]
    if len(found) == 1 and isinstance(found[0], ChipsConfig):
        from landslide_dist.stages.chips.report import report_chips

        report_chips(found[0], output=output)
        return
    run_configs = [of_one_region(run, path) for run, path in zip(found, configs, strict=True)]
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
    run_config = load_config(config, set_, None, print_config)
    from landslide_dist.stages.view import view as stage

    stage(run_config, host, port, open_)


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
    run_config = load_config(config, set_, None, print_config)
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
    side_m: Annotated[
        float | None, typer.Option(help="Side of that square; by default 2000.", min=1)
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="X,Y", help="Explain this pixel alone.")] = None,
    level: Annotated[
        list[int] | None, typer.Option(help="Level of Grad-CAM, 0 the finest; may be repeated.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Of the integrated gradients; by default 32.", min=1)
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="That importance is measured on; by default validation.")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Times that inputs are permuted; by default 5.", min=1)
    ] = None,
    patches: Annotated[
        int | None, typer.Option(help="Patches that are scored at most; by default 200.", min=1)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the permutations; by default 0.", min=0)
    ] = None,
    scene: Annotated[
        str | None, typer.Option(help="Of a run of chips: explain this scene as well.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Of a run of chips: test chips to show; by default 6.")
    ] = None,
) -> None:
    """Explain a model: integrated gradients, Grad-CAM, permutation importance."""
    run_config = load_of_any_kind(config, set_, None, print_config)
    from landslide_dist.stages.place import Place, numbers

    bounds = numbers("--window", window, 4)
    middle, pixel = numbers("--centre", centre, 2), numbers("--at", at, 2)
    if isinstance(run_config, ChipsConfig):
        of_regions = {
            "--method": method, "--centre": middle, "--side-m": side_m, "--at": pixel,
            "--level": level, "--steps": steps, "--part": part, "--repeats": repeats,
            "--patches": patches, "--seed": seed,
        }  # fmt: skip
        _refuse(of_regions, "a run of chips")
        from landslide_dist.stages.chips.explain import explain_chips

        explain_chips(run_config, [model], scene, bounds, 6 if samples is None else samples)
        return
    run_config = of_one_region(run_config, config)
    _refuse({"--scene": scene, "--samples": samples}, "the run of one region")
    from landslide_dist.inference.importance import Shuffling
    from landslide_dist.stages.explain import explain as stage

    if bounds is not None and middle is not None:
        raise ConfigError("give --window or --centre, not both")
    stage(
        run_config,
        model,
        Place(bounds, middle, side_m or 2000, pixel),
        method,
        level or (0, -1),
        steps or 32,
        "validation" if part is None else part,
        Shuffling(repeats or 5, seed or 0, max_patches=patches or 200),
    )


def _refuse(options: Mapping[str, object], kind: str) -> None:
    """Options that were given to a command though the kind of its run has no use for them.

    Raises:
        ConfigError: There is one.
    """
    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"{name} is not for {kind}: leave it out")
