"""An acquisition on the grid: the granules of one pass, each warped by itself, laid over another.

Granules may differ in UTM zone and resolution. A pixel is taken whole, all bands of it, from the
granule that has the best of it: clear, else complete, else anything; the first one of equals.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from itertools import groupby
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling

from landslide_dist.config.sources import RasterSource
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import Variable
from landslide_dist.sources.band import Band, GdalBand
from landslide_dist.sources.files import describe
from landslide_dist.sources.raster import RasterBlocks, open_band
from landslide_dist.sources.scene import DigitalNumbers, Scene, SceneClasses
from landslide_dist.sources.warp import Placement

#: Longest side of the grid on which clear shares are counted.
_OVERVIEW_PX = 512

_REFLECTANCE = Variable("reflectance", "uint16", 0, "1e-4", "one band of one granule")
_CLASSES = Variable("scl", "uint8", 0, "1", "scene classification of one granule")

#: Reflectance, shape (band, height, width), uint16; clear pixels, shape (height, width), bool.
Block = tuple[NDArray[np.uint16], NDArray[np.bool_]]


@dataclass(frozen=True)
class Granule:
    """A scene placed on a grid.

    Attributes:
        scene: What it is.
        bands: One source a band, in the order that is wanted.
        classes: Its scene classification.
        masked: Classes that are not clear.
    """

    scene: Scene
    bands: tuple[RasterBlocks, ...]
    classes: RasterBlocks | None
    masked: tuple[int, ...]

    @property
    def files(self) -> dict[str, Callable[[], list[dict[str, Any]]]]:
        """Path of all that was read, what describes the scene first -> what tells its version."""
        described = self.scene.metadata
        rasters = (*self.bands, *((self.classes,) if self.classes else ()))
        return {
            **({described: partial(describe, described)} if described else {}),
            **{raster.place.band.path: raster.provenance for raster in rasters},
        }

    def read(self, window: Window) -> Block:
        """Reflectance, and where all bands have data and no masked class is mapped."""
        values = np.stack([band.read(window) for band in self.bands])
        clear = (values != 0).all(axis=0)
        if self.classes is not None:
            clear &= self._is_clear(self.classes.read(window))
        return values, clear

    def overview(self, window: Window) -> NDArray[np.bool_]:
        """Clear pixels by the classification alone if there is one; reads less."""
        if self.classes is None:
            return self.read(window)[1]
        classes = self.classes.read(window)
        known: NDArray[np.bool_] = classes != 0
        return self._is_clear(classes) & known

    def _is_clear(self, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
        clear: NDArray[np.bool_] = np.isin(classes, self.masked, invert=True)
        return clear


@dataclass(frozen=True)
class Acquisition:
    """Scenes of one pass of the satellite.

    Attributes:
        day: UTC day; None: not known.
        scenes: In the order in which they are laid, the first on top.
        grid: Where they land.
        bands: Common names.
        masked: Classes that are not clear.
    """

    day: date | None
    scenes: tuple[Scene, ...]
    grid: Grid
    bands: tuple[str, ...]
    masked: tuple[int, ...]

    @cached_property
    def granules(self) -> tuple[Granule, ...]:
        """The scenes placed on the grid, without those beside it."""
        placed = (place(scene, self.grid, self.bands, self.masked) for scene in self.scenes)
        return tuple(granule for granule in placed if granule is not None)

    def read(self, window: Window) -> Block:
        """The mosaic of the granules."""
        values = np.zeros((len(self.bands), *window.shape), np.uint16)
        quality = np.zeros(window.shape, np.uint8)
        for granule in self.granules:
            found, clear = granule.read(window)
            there = found != 0
            theirs = there.any(axis=0).astype(np.uint8) + there.all(axis=0) + clear
            better = theirs > quality
            values[:, better], quality[better] = found[:, better], theirs[better]
            if (quality == _BEST).all():
                break
        return values, quality == _BEST

    def overview(self) -> NDArray[np.bool_]:
        """Clear pixels of :func:`overview_grid`."""
        grid = overview_grid(self.grid)
        whole = Window(0, 0, *grid.shape)
        clear = np.zeros(grid.shape, np.bool_)
        for scene in self.scenes:
            granule = place(scene, grid, self.bands, self.masked, only_classes=True)
            if granule is not None:
                clear |= granule.overview(whole)
        return clear


#: Any band, every band, clear.
_BEST = 3


def group(
    scenes: Iterable[Scene], grid: Grid, bands: tuple[str, ...], masked: tuple[int, ...]
) -> list[Acquisition]:
    """Scenes of one pass together; acquisitions by day, then by name."""
    ordered = sorted(scenes, key=lambda s: (s.day or date.min, s.acquisition, s.order))
    return [
        Acquisition(day, tuple(members), grid, bands, masked)
        for (day, _), members in groupby(ordered, key=lambda s: (s.day, s.acquisition))
    ]


def overview_grid(grid: Grid) -> Grid:
    """Every k-th pixel of a grid both ways, its longest side at most 512.

    Centres are those of pixels of the grid, never corners, where the nearest pixel is a tie.
    """
    every = -(-max(grid.shape) // _OVERVIEW_PX)
    shape = (max(1, grid.height // every), max(1, grid.width // every))
    shift = every // 2 + 0.5 - every / 2
    coarse = grid.transform @ Affine.translation(shift, shift) @ Affine.scale(every)
    return Grid(grid.crs, coarse, shape)


def place(
    scene: Scene,
    grid: Grid,
    bands: tuple[str, ...],
    masked: tuple[int, ...],
    only_classes: bool = False,
) -> Granule | None:
    """Open a scene's files and place them on a grid; None if it lies beside the grid.

    Args:
        scene: The scene.
        grid: Target grid.
        bands: Common names, in the order of the result.
        masked: Classes that are not clear.
        only_classes: Whether the bands stay closed where there is a classification.

    Raises:
        DataError: A file is missing, broken or not georeferenced.
    """
    classes = None
    if scene.classes is not None:
        on_grid = Placement(_open(scene.classes), grid)
        if not _overlaps(on_grid):
            return None
        meaning = SceneClasses(scene.classes.path)
        classes = RasterBlocks(_CLASSES, on_grid, meaning, Resampling.nearest)
        if only_classes:
            return Granule(scene, (), classes, masked)
    placed = []
    for band in bands:
        on_grid = Placement(_open(scene.bands[band]), grid)
        if not _overlaps(on_grid):
            return None
        numbers = DigitalNumbers(scene.bands[band].path, scene.offsets[band])
        resampling = Resampling.average if on_grid.shrinks else Resampling.bilinear
        placed.append(RasterBlocks(_REFLECTANCE, on_grid, numbers, resampling))
    return Granule(scene, tuple(placed), classes, masked)


def _open(source: RasterSource) -> Band:
    """Raw pixels: offset and scale that a file states are the scene's to apply, once."""
    band = open_band(source)
    return replace(band, unpack=False) if isinstance(band, GdalBand) else band


def _overlaps(placement: Placement) -> bool:
    common = placement.band_window(Window(0, 0, *placement.grid.shape), margin_px=0)
    return bool(common.height and common.width)
