"""Classifies scenes of any size: each block of pixels as large as a training chip is one chip.

The blocks are a grid of their own, e.g. 180 m cells of 18 x 18 Sentinel-2 pixels; what is left of
the scene at its right and lower edge, less than a block, is not classified (reporting bias paper,
section 3.1).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.inference.predictor import own_device
from landslide_dist.inference.source import use_threads_of_worker
from landslide_dist.models import checkpoint
from landslide_dist.models.chip import ChipModel
from landslide_dist.schema import PROBABILITY, Variable
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

#: Reflectance x 10000 that is white where a scene is not matched, as in ESA's true colour images.
WHITE = 3558
#: The classifier that this process loaded last, by path and fingerprint.
_loaded: dict[tuple[str, str], ChipModel] = {}
_running = Lock()


def cell_grid(grid: Grid, block_px: int) -> Grid:
    """The grid of whole blocks of a scene.

    Raises:
        ConfigError: The scene is smaller than a block.
    """
    shape = (grid.shape[0] // block_px, grid.shape[1] // block_px)
    if min(shape) < 1:
        raise ConfigError(
            f"the scene of {grid.shape[0]} x {grid.shape[1]} px is smaller than one block of "
            f"{block_px} px; give a larger cube.grid"
        )
    return Grid(grid.crs, grid.transform @ Affine.scale(block_px), shape)


@dataclass(frozen=True)
class ClassifyBlock:
    """Reads the pixels of a block of cells, classifies them, and writes the cells.

    Attributes:
        checkpoint: File of the classifier, on a file system that all workers see.
        fingerprint: ``model_hash`` that it must have.
        scene: Cube of the scene.
        variable: ``matched``, or ``reflectance`` to be scaled to colours.
        block_px: Side of a cell in pixels of the scene.
        batch_size: Cells of one forward pass.
        min_valid: Clear share of a cell that is classified.
        location: Zarr group of the result.
    """

    checkpoint: str
    fingerprint: str
    scene: str
    variable: str
    block_px: int
    batch_size: int
    min_valid: float
    location: str

    @property
    def variables(self) -> tuple[Variable, ...]:
        """What is written."""
        return (PROBABILITY,)

    def read(self, cells: Window) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Colours ``(band, y, x)`` of the pixels, and where they are clear ``(y, x)``."""
        side = self.block_px
        window = Window(
            cells.y0 * side, cells.x0 * side, cells.height * side, cells.width * side
        )  # fmt: skip
        group = open_group(self.scene)
        colours = cube.read_window(cube.array(group, self.variable), window, 0)
        return colours[0], cube.read_window(cube.array(group, "valid"), window, 0)[0]

    def compute(
        self, cells: Window, pixels: tuple[NDArray[Any], NDArray[np.uint8]]
    ) -> dict[str, NDArray[np.float32]]:
        """Probability of each cell ``(y, x)``, NaN where too little is clear."""
        chips, clear = self.chips(*pixels)
        out = np.full(len(chips), np.nan, dtype=np.float32)
        chosen = np.flatnonzero(clear)
        # Threads of one process take turns: each batch already has all cores of the device.
        with _running, torch.inference_mode():
            model = self._model()
            device = next(model.parameters()).device
            for start in range(0, len(chosen), self.batch_size):
                part = chosen[start : start + self.batch_size]
                batch = torch.from_numpy(chips[part]).to(device)
                out[part] = model.probability(batch).cpu().numpy()
        return {PROBABILITY.name: out.reshape(cells.shape)}

    def chips(
        self, colours: NDArray[Any], valid: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Cells as chips ``(cell, 3, y, x)`` from 0 to 255, and which of them are clear enough.

        Args:
            colours: ``(3, y, x)`` of whole cells.
            valid: ``(y, x)``, 1 where clear.
        """
        values = colours.astype(np.float32)
        if self.variable == "reflectance":
            values = np.minimum(values * (255 / WHITE), 255)
        cut = _cells(values, self.block_px)
        known = _cells(valid[None] == 1, self.block_px)
        share = known.mean(axis=(1, 2, 3))
        # At least one clear pixel, or there is no mean to fill with.
        clear = (share >= self.min_valid) & (share > 0)
        partly = clear & (share < 1)
        if partly.any():
            mean = (cut[partly] * known[partly]).sum((2, 3)) / known[partly].sum((2, 3))
            cut[partly] = np.where(known[partly], cut[partly], mean[:, :, None, None])
        return cut, clear

    def write(self, cells: Window, outputs: Mapping[str, NDArray[np.float32]]) -> None:
        """A shard of cells."""
        group = open_group(self.location, "r+")
        for name, values in outputs.items():
            cube.write_block(cube.array(group, name), cells, values)

    def _model(self) -> ChipModel:
        key = (self.checkpoint, self.fingerprint)
        if key not in _loaded:
            use_threads_of_worker()
            model, metadata = checkpoint.load_chip_model(self.checkpoint)
            if metadata["model_hash"] != self.fingerprint:
                raise DataError(
                    f"checkpoint {self.checkpoint!r} was replaced during predict; run it again"
                )
            _loaded.clear()
            _loaded[key] = model.to(own_device())
        return _loaded[key]


def _cells(raster: NDArray[Any], side: int) -> NDArray[Any]:
    """``(band, y, x)`` of whole cells -> ``(cell, band, side, side)``, row by row."""
    bands, height, width = raster.shape
    parted = raster.reshape(bands, height // side, side, width // side, side)
    return np.ascontiguousarray(
        parted.transpose(1, 3, 0, 2, 4).reshape(-1, bands, side, side)
    )  # fmt: skip
