"""``explain``: which inputs a model's probabilities come from, on a window and over a part."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from landslide_dist.config import RunConfig
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation import explain_figures as figures
from landslide_dist.evaluation.overview import Overview
from landslide_dist.grid import Window
from landslide_dist.inference.cog import write_bands
from landslide_dist.inference.importance import (
    Importance,
    Labels,
    Shuffling,
    permutation_importance,
)
from landslide_dist.inference.inputs import input_groups
from landslide_dist.kernels import scores
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.models import EncodedModel
from landslide_dist.progress import console, stage
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.export import check_known, temperature_of, trained_model
from landslide_dist.stages.model_trainer import ModelTrainer
from landslide_dist.stages.place import Place
from landslide_dist.whole_file import whole_file, write_whole

METHODS = ("gradients", "grad-cam", "importance")
AS_SHIPPED = Shuffling()
WHERE_LANDSLIDES_ARE = Place()


@stage
def explain(
    config: RunConfig,
    name: str,
    place: Place = WHERE_LANDSLIDES_ARE,
    methods: Sequence[str] | None = None,
    levels: Sequence[int] = (0, -1),
    num_steps: int = 32,
    part: str = "validation",
    shuffling: Shuffling = AS_SHIPPED,
) -> Path:
    """Write maps, figures and numbers that explain one model.

    Args:
        config: The run.
        name: The model.
        place: The window of ``gradients`` and ``grad-cam``.
        methods: ``gradients``: integrated gradients; ``grad-cam``; ``importance``: permutation
            importance. None for all that the model has.
        levels: Levels of the U-Net that Grad-CAM shows, 0 the finest, -1 the coarsest.
        num_steps: Steps of the integrated gradients.
        part: Part of the split whose labels importance is measured by.
        shuffling: How importance shuffles inputs.

    Returns:
        The folder of the files.

    Raises:
        ConfigError: There is no such model, window, part or level; Grad-CAM of a model without
            convolutions; or a package is missing.
        StoreError: The model has not been trained, or not with these settings.
    """
    explaining = Explaining.of(config, name, methods)
    if explaining.of_window:
        explaining.explain_window(place, levels, num_steps)
    if "importance" in explaining.methods:
        explaining.weigh_inputs(part, shuffling)
    console.print(f"explain: {explaining.folder}", markup=False)
    return explaining.folder


@dataclass(frozen=True)
class Explaining:
    """One model, and what is asked of it.

    Attributes:
        context: The run.
        name: The model's name.
        model: In eval mode.
        temperature: What its logits are divided by in maps.
        methods: What to do.
    """

    context: RunContext
    name: str
    model: EncodedModel
    temperature: float
    methods: tuple[str, ...]

    @classmethod
    def of(cls, config: RunConfig, name: str, methods: Sequence[str] | None) -> "Explaining":
        """Load the model; methods that it does not have are refused if they are asked for."""
        check_known("--method", methods or (), METHODS)
        context = RunContext(config)
        model, metadata = trained_model(context, name)
        if not isinstance(model, EncodedModel):
            raise ConfigError(
                f"explain is for models of susceptibility; {name!r} is of event mapping"
            )
        if methods is None:
            methods = [m for m in METHODS if m != "grad-cam" or model.halo_px]
        return cls(context, name, model, temperature_of(config, metadata), tuple(methods))

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return Path(self.context.paths.explain(self.name))

    @property
    def of_window(self) -> bool:
        """Whether a window is explained."""
        return bool({"gradients", "grad-cam"} & set(self.methods))

    @cached_property
    def trainer(self) -> ModelTrainer:
        """Gives inputs, labels and patches."""
        return ModelTrainer(self.context)

    @cached_property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """Channels of each group of inputs."""
        return input_groups(self.model, self.context.config.cube.looking_distances_m)

    @property
    def device(self) -> torch.device:
        """The GPU, if there is one."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def explain_window(self, place: Place, levels: Sequence[int], num_steps: int) -> None:
        """Integrated gradients and Grad-CAM of a window, each as a GeoTIFF and a figure."""
        try:
            from landslide_dist.inference import explain as method
        except ImportError as error:
            raise ConfigError(
                f"gradients need {error.name}: pip install 'landslide-dist[explain]'"
            ) from error
        location, grid = self.context.config.cube.location, self.context.grid
        if "grad-cam" in self.methods:
            method.network_of_levels(self.model)
        window = place.window(location, grid)
        pixel = place.pixel(grid, window)
        seen = method.SeenWindow.read(self.model, self.trainer.reader, window, self.device, pixel)
        left, bottom, right, top = (round(value) for value in grid.window_bounds(window))
        folder = self.folder / f"{left}_{bottom}_{right}_{top}"
        tags = {"model": self.name, "checkpoint": self.context.model_hash(self.name)}
        overview = Overview.of(location, window=window)
        if "gradients" in self.methods:
            found = method.integrated_gradients(seen, self.groups, num_steps)
            write_bands(str(folder / "gradients.tif"), grid, window, found.maps, tags)
            _write_picture(
                folder / "gradients.png", figures.attribution_maps(overview, found.maps, pixel)
            )
            numbers = _numbers_of(found, window, pixel, num_steps)
            write_whole(folder / "gradients.json", json.dumps(numbers, indent=1))
        if "grad-cam" in self.methods:
            num_levels = len(method.network_of_levels(self.model).down)
            maps = {}
            for level in dict.fromkeys(levels):
                cell_m = 2 ** (level % num_levels) * grid.pixel_m
                maps[f"level {level % num_levels}, cells of {cell_m:g} m"] = method.grad_cam(
                    seen, level
                )
            write_bands(str(folder / "grad_cam.tif"), grid, window, maps, tags)
            _write_picture(folder / "grad_cam.png", figures.grad_cam_maps(overview, maps, pixel))

    def weigh_inputs(self, part: str, shuffling: Shuffling) -> None:
        """Permutation importance as JSON, a figure and a table."""
        parts = self.context.config.split.parts()
        if part not in parts:
            raise ConfigError(f"--part {part!r} is not a part of the split ({', '.join(parts)})")
        trainer = self.trainer
        labels = Labels(trainer.reader, trainer.index.select(parts[part]), parts[part])
        shuffling = replace(shuffling, temperature=self.temperature)
        whole, found = permutation_importance(
            self.model, labels, self.groups, shuffling, self.device, f"explain {self.name}"
        )
        content = {
            "model": self.name,
            "part": part,
            "patches": len(labels.chosen(shuffling.max_patches, shuffling.seed)),
            "settings": vars(shuffling),
            "nll": scores.nll(whole),
            "auc": scores.auc(whole),
            "groups": {name: importance.to_dict() for name, importance in found.items()},
        }
        write_whole(self.folder / f"importance_{part}.json", json.dumps(content, indent=1))
        _write_picture(
            self.folder / f"importance_{part}.png",
            figures.importance_bars({name: i.to_dict() for name, i in found.items()}),
        )
        Console().print(_table(f"{self.name}: {part}", whole, found))


def _numbers_of(found: Any, window: Window, pixel: Any, num_steps: int) -> dict[str, Any]:
    return {
        "explained": "pixel" if pixel else "window",
        "pixels": found.num_pixels,
        "window": {"y0": window.y0, "x0": window.x0, "shape": list(window.shape)},
        "steps": num_steps,
        "log_odds": found.log_odds,
        "baseline": found.baseline,
        "gap": found.gap,
        "sums": dict(found.sums),
    }


def _write_picture(path: Path, picture: bytes) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_bytes(picture)


def _table(title: str, whole: ScoreCounts, found: dict[str, Importance]) -> Table:
    table = Table(
        title=f"{title}: what permuting a group of inputs costs "
        f"(NLL {scores.nll(whole):.4f}, AUC {scores.auc(whole):.4f})"
    )
    table.add_column("inputs")
    for heading in ("NLL rise", "95 % interval", "AUC drop", "95 % interval"):
        table.add_column(heading, justify="right")
    plain = {name: importance.to_dict() for name, importance in found.items()}
    for name in sorted(plain, key=lambda n: -plain[n]["nll_rise"]["mean"]):
        row = []
        for score in ("nll_rise", "auc_drop"):
            low, high = plain[name][score]["interval"]
            row += [f"{plain[name][score]['mean']:.4f}", f"{low:.4f} to {high:.4f}"]
        table.add_row(name, *row)
    return table
