"""``explain`` of a run of chips: where in a chip, and in a scene, a classifier sees landslides."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from landslide_dist.config.chips import ChipsConfig
from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.grad_cam_figures import ExplainedChip, chip_rows, scene_panels
from landslide_dist.evaluation.overview import Overview
from landslide_dist.evaluation.pointing import Pointing, pointing_game
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.chips import classify
from landslide_dist.inference.cog import write_bands
from landslide_dist.inference.grad_cam import class_maps, grad_cam, resized, scene_maps
from landslide_dist.inference.predictor import own_device
from landslide_dist.models.chip import NUM_CLASSES, NUM_COLOURS, ChipModel
from landslide_dist.progress import console, stage, track
from landslide_dist.schema import PART_NAMES
from landslide_dist.stages.chips.scenes import SceneMap, prepare, scene_run
from landslide_dist.stages.chips.train import ChipTrainer
from landslide_dist.stages.train import chosen_models
from landslide_dist.store import cube
from landslide_dist.whole_file import whole_file, write_whole

#: Cells on a side of a scene that is explained whole without being asked to.
WHOLE_SCENE_CELLS = 100
#: Bands of a scene's raster, in the order of the classes.
BAND_NAMES = ("Grad-CAM of no landslide", "Grad-CAM of a landslide")
LANDSLIDE = 1
#: Probability from which a chip counts as one with a landslide.
DETECTED = 0.5


@stage
def explain_chips(
    config: ChipsConfig,
    only: Sequence[str] | None,
    scene: str | None,
    bounds: Sequence[float] | None,
    samples: int = 6,
) -> None:
    """Write Grad-CAM of test chips and of a scene: figures, a raster and numbers.

    Args:
        config: The run; its models are trained.
        only: Names of models; None for all.
        scene: Scene to explain as well; None for none.
        bounds: Left, bottom, right, top of the scene's part, in its CRS; the whole cells that it
            touches are explained. None for all of a scene that is not large.
        samples: Test chips of the figure, half of them with a landslide.

    Raises:
        ConfigError: There is no such model or scene, a model has not been trained, the window holds
            no cell, or the scene is too large to be explained whole.
        DataError: The scene's files are broken.
        StoreError: A store fails.
    """
    names = chosen_models(config.models, only)
    if samples < 2:
        raise ConfigError(f"{samples} chips cannot show both classes: give 2 or more")
    if scene is not None and scene not in config.scenes:
        raise ConfigError(
            f"scene {scene!r} is not in the run ({', '.join(config.scenes) or 'it has none'})"
        )
    if scene is None and bounds is not None:
        raise ConfigError("a window is of a scene: name the scene too")
    trainer = ChipTrainer(config)
    for name in names:
        explaining = ExplainingChips.of(trainer, name)
        explaining.explain_test_chips(samples)
        if scene is not None:
            explaining.explain_scene(scene, bounds)
        console.print(f"explain: {explaining.folder}", markup=False)


@dataclass(frozen=True)
class ExplainingChips:
    """One model of a run of chips.

    Attributes:
        trainer: The run.
        name: The model's name.
        model: In eval mode, on the device that this process has.
        fingerprint: ``model_hash`` of its checkpoint.
    """

    trainer: ChipTrainer
    name: str
    model: ChipModel
    fingerprint: str

    @classmethod
    def of(cls, trainer: ChipTrainer, name: str) -> "ExplainingChips":
        """Load a trained model."""
        model, metadata = trainer.trained(name)
        return cls(trainer, name, model.to(own_device()).eval(), metadata["model_hash"])

    @property
    def folder(self) -> Path:
        """Where everything goes."""
        return Path(self.trainer.paths.explain(self.name))

    @cached_property
    def test(self) -> NDArray[np.intp]:
        """Numbers of the test chips."""
        return np.flatnonzero(self.trainer.parts == PART_NAMES.index("test"))

    def explain_test_chips(self, samples: int) -> None:
        """The figure of some test chips, and how often the maps point at the landslides."""
        shown, chips = self._chosen(samples), self.trainer.chips
        explained = self._explained(shown)
        _write_picture(self.folder / "chips.png", chip_rows(explained, self._seen_title()))
        pointing = self._pointing()
        content = {
            "model": self.name,
            "checkpoint": self.fingerprint,
            "shown": [
                {"name": chips.names[i], "label": chip.label, "probability": chip.probability}
                for i, chip in zip(shown, explained, strict=True)
            ],
            "pointing": {name: asdict(game) | game.shares() for name, game in pointing.items()},
        }
        write_whole(self.folder / "explain.json", json.dumps(content, indent=1))
        for name, game in pointing.items():
            console.print(
                f"explain: {self.name} points into the landslide in {game.hits} of {game.chips} "
                f"test chips, {name}; their centres lie in it in {game.centre_hits}"
            )

    def _chosen(self, samples: int) -> list[int]:
        """Test chips without and with a landslide, the same for all models of a run."""
        rng = np.random.default_rng(self.trainer.config.split.seed)
        chosen: list[int] = []
        for label, wanted in ((0, samples // 2), (LANDSLIDE, samples - samples // 2)):
            found = self.test[self.trainer.chips.labels[self.test] == label]
            chosen += rng.permutation(found)[:wanted].tolist()
        return chosen

    def _explained(self, shown: list[int]) -> list[ExplainedChip]:
        chips = self.trainer.chips
        images = self._images(shown)
        with torch.no_grad():
            seen = self.model.seen(images)
        probability = classify(self.model, chips.images[shown]).tolist()
        maps = class_maps(self.model, images)
        own_size = resized(maps, seen.shape[-1])
        return [
            ExplainedChip(
                chips.images[i],
                seen[place].cpu().numpy(),
                own_size[place].cpu().numpy(),
                int(chips.labels[i]),
                probability[place],
                None if chips.masks is None else chips.masks[i],
            )
            for place, i in enumerate(shown)
        ]

    def _pointing(self) -> dict[str, Pointing]:
        """The pointing game of test chips with a landslide: ``all``, and those ``detected``.

        A map of a class that the model does not see shows what little speaks for it.
        """
        chips, masks = self.trainer.chips, self.trainer.chips.masks
        if masks is None:
            return {}
        landslides = self.test[chips.labels[self.test] == LANDSLIDE]
        landslides = landslides[masks[landslides].any(axis=(1, 2))]
        size = self.trainer.config.classify.batch_size
        maps = [
            grad_cam(self.model, self._images(landslides[start : start + size]), LANDSLIDE).cpu()
            for start in range(0, len(landslides), size)
        ]
        detected = classify(self.model, chips.images[landslides], size) >= DETECTED
        groups = {"all": np.ones_like(detected), "detected": detected}
        return {
            name: pointing_game(torch.cat(maps).numpy()[chosen], masks[landslides[chosen]])
            for name, chosen in groups.items()
            if chosen.any()
        }

    def _images(self, numbers: Sequence[int] | NDArray[np.intp]) -> torch.Tensor:
        """``(chip, 3, y, x)`` on the model's device."""
        images = torch.from_numpy(self.trainer.chips.images[np.asarray(numbers)])
        return images.to(next(self.model.parameters()).device)

    def _seen_title(self) -> str:
        recipe = self.model.recipe
        if recipe.reduced_px is None:
            return f"seen, {recipe.config.input_px} px"
        return f"seen, reduced to {recipe.reduced_px} px"

    def explain_scene(self, scene: str, bounds: Sequence[float] | None) -> None:
        """Both classes' maps over a part of a scene, as a GeoTIFF and a figure."""
        run = scene_run(self.trainer, scene)
        prepare(run)
        drawn = SceneMap.of(self.trainer, run, self.name)
        grid, side = cube.read_grid(run.cube.location), drawn.block_px
        cells = chosen_cells(drawn.grid, bounds)
        window = Window(*(number * side for number in (cells.y0, cells.x0, *cells.shape)))
        colours = np.empty((NUM_COLOURS, *window.shape), np.uint8)
        maps = np.empty((NUM_CLASSES, *window.shape), np.float32)
        parts = list(_parts(cells, self.trainer.config.classify.shard_cells))
        for part in track(parts, f"explain {scene}, {self.name}", total=len(parts)):
            found = scene_maps(self.model, drawn.task, part)
            inner = part.relative_to(cells)
            rows, columns = (slice(at.start * side, at.stop * side) for at in inner.slices)
            colours[:, rows, columns], maps[:, rows, columns] = found.colours, found.maps
        bands = dict(zip(BAND_NAMES, maps, strict=True))
        write_bands(str(self.folder / f"{scene}.tif"), grid, window, bands, drawn.provenance())
        overview = Overview.of(run.cube.location, window=window)
        _write_picture(self.folder / f"{scene}.png", scene_panels(overview, colours, maps))


def chosen_cells(cells: Grid, bounds: Sequence[float] | None) -> Window:
    """Cells that a part of the scene touches, by default all.

    Args:
        cells: The scene's cells.
        bounds: Left, bottom, right, top in their CRS.

    Raises:
        ConfigError: There are none, or there are no bounds and the scene is large.
    """
    rows, columns = cells.shape
    if bounds is None:
        if max(cells.shape) > WHOLE_SCENE_CELLS:
            raise ConfigError(
                f"the scene of {rows} x {columns} cells is too large to be explained whole: give "
                "--window LEFT,BOTTOM,RIGHT,TOP in its CRS"
            )
        return Window(0, 0, rows, columns)
    left, bottom, right, top = bounds
    x0, y0 = (math.floor(place) for place in ~cells.transform @ (left, top))
    x1, y1 = (math.ceil(place) for place in ~cells.transform @ (right, bottom))
    window = Window(y0, x0, y1 - y0, x1 - x0).clip(cells.shape)
    if not (left < right and bottom < top and window.height and window.width):
        raise ConfigError(
            f"the window {','.join(f'{edge:g}' for edge in bounds)} (left, bottom, right, top) "
            f"holds no cell of the scene, which reaches from "
            f"{','.join(f'{edge:g}' for edge in cells.bounds)}"
        )
    return window


def _parts(cells: Window, side: int) -> Iterator[Window]:
    """Pieces of a window that are explained at once."""
    for y0 in range(cells.y0, cells.y1, side):
        for x0 in range(cells.x0, cells.x1, side):
            yield Window(y0, x0, side, side).intersect(cells)


def _write_picture(path: Path, picture: bytes) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_bytes(picture)
