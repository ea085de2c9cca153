"""``demo``: the whole pipeline on a region that needs no data and whose truth is known."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from landslide_dist.config import RunConfig, load
from landslide_dist.stages.run import run


def demo_config(folder: Path, overrides: Sequence[str]) -> RunConfig:
    """The shipped demo, with everything it makes below ``folder``."""
    shipped = resources.files("landslide_dist.stages").joinpath("demo.yaml")
    with resources.as_file(shipped) as path:
        places = [f"run_dir={folder}", f"cube.location={folder / 'cube.zarr'}"]
        return load(path, [*places, *overrides])


def demo(config: RunConfig) -> None:
    """Run everything; the table at the end sets the models beside the best reachable scores."""
    run(config)
