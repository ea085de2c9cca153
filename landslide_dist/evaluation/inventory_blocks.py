"""Landslides of one block of a map, and how those of all blocks belong together."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes

from landslide_dist.config.inventory import InventoryConfig
from landslide_dist.grid import Grid, Window
from landslide_dist.kernels import inventory as kernel
from landslide_dist.kernels import terrain
from landslide_dist.schema import ELEVATION, PROBABILITY, SLOPE
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

#: Rasterio silences a warning of its own here, which is of the process and not of the thread.
_TRACING = threading.Lock()


class Labelled(NamedTuple):
    """Numbers of a block as its neighbours need to know them.

    Attributes:
        window: The block.
        num_bodies: Its bodies are numbered from 1 to this.
        sides: Numbers along the top, bottom, left and right.
    """

    window: Window
    num_bodies: int
    sides: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]

    @classmethod
    def of(cls, window: Window, labels: NDArray[np.int32], count: int) -> "Labelled":
        """The sides of a block's labels."""
        lines = labels[0], labels[-1], labels[:, 0], labels[:, -1]
        top, bottom, left, right = (line.copy() for line in lines)
        return cls(window, count, (top, bottom, left, right))


class Ground(NamedTuple):
    """Ground between the landslides of a block.

    Attributes:
        labelled: Its parts.
        num_pixels: Size of each part.
        is_open: Whether a part reaches the edge of the raster or pixels without data: no hole.
    """

    labelled: Labelled
    num_pixels: NDArray[np.int64]
    is_open: NDArray[np.bool_]


class Bodies(NamedTuple):
    """Landslides of a block.

    Attributes:
        labelled: Their numbers.
        totals: What their pixels add up to.
        number: Number of each outline, shape (outlines,).
        outlines: Polygons in columns and rows of the raster, rows upwards as negative numbers; none
            of landslides that are too small and end in the block.
    """

    labelled: Labelled
    totals: kernel.Totals
    number: NDArray[np.int64]
    outlines: NDArray[np.object_]


@dataclass(frozen=True)
class MapReader:
    """Reads the mask and the attributes of a block.

    Attributes:
        map_location: Zarr group with ``probability``.
        cube_location: Cube with ``elevation`` and ``slope``.
        grid: Of both.
        config: What counts as one landslide.
        threshold: Probability from which a pixel is landslide.
    """

    map_location: str
    cube_location: str
    grid: Grid
    config: InventoryConfig
    threshold: float

    def probability_and_mask(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Probability, NaN without data, and landslide pixels before holes are filled."""
        opening_px, closing_px = self.config.opening_px, self.config.closing_px
        around = window.expand(kernel.halo_px(opening_px, closing_px))
        probability = self._probability(around)
        mask = kernel.landslide_mask(probability, self.threshold, opening_px, closing_px)
        inside = window.relative_to(around).slices
        return probability[inside], mask[inside]

    def _probability(self, window: Window) -> NDArray[np.float32]:
        array = cube.array(open_group(self.map_location), PROBABILITY.name)
        nodata, scale = array.attrs.get("nodata"), array.attrs.get("scale_factor")
        if not isinstance(nodata, int) or not isinstance(scale, float):
            return cube.read_window(array, window, np.nan).astype(np.float32, copy=False)
        steps = cube.read_window(array, window, nodata)
        return np.where(steps == nodata, np.nan, steps * scale).astype(np.float32)

    def terrain(
        self, window: Window
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Slope and aspect in degrees, elevation in metres."""
        group = open_group(self.cube_location)
        slope_deg = cube.read_window(cube.array(group, SLOPE.name), window, np.nan)
        around = window.expand(terrain.HALO_PX)
        elevation = cube.read_window(cube.array(group, ELEVATION.name), around, np.nan)
        inside = window.relative_to(around).slices
        aspect_deg = terrain.aspect(elevation, self.grid.pixel_m)[inside]
        return slope_deg, aspect_deg, elevation[inside]

    def ground(self, window: Window) -> Ground:
        """Ground between the landslides of a block, where holes may be."""
        probability, mask = self.probability_and_mask(window)
        labels, count = kernel.connected(~mask, kernel.around(self.config.connectivity))
        is_open = np.zeros(count + 1, dtype=np.bool_)
        is_open[labels[np.isnan(probability)]] = True
        labelled = Labelled.of(window, labels, count)
        height, width = self.grid.shape
        at_edge = window.y0 == 0, window.y1 == height, window.x0 == 0, window.x1 == width
        for side, is_edge in zip(labelled.sides, at_edge, strict=True):
            if is_edge:
                is_open[side] = True
        num_pixels = np.bincount(labels.ravel(), minlength=count + 1)
        return Ground(labelled, num_pixels[1:], is_open[1:])

    def bodies(self, window: Window, filled: NDArray[np.bool_] | None) -> Bodies:
        """Landslides of a block.

        Args:
            window: The block.
            filled: Whether each part of its :meth:`ground` is filled; None: nothing is.
        """
        probability, mask = self.probability_and_mask(window)
        if filled is not None:
            ground, _ = kernel.connected(~mask, kernel.around(self.config.connectivity))
            mask = np.concatenate([[True], filled])[ground]
        labels, count = kernel.connected(mask, self.config.connectivity)
        labelled = Labelled.of(window, labels, count)
        corner, width = (window.y0, window.x0), self.grid.width
        totals = kernel.Totals.of_block(labels, corner, width, probability, *self.terrain(window))
        wanted = np.zeros(count + 1, dtype=np.bool_)
        wanted[1:] = totals.sums["num"] * self.grid.pixel_m**2 >= self.config.min_area_m2
        for side in labelled.sides:
            wanted[side] = True
        wanted[0] = False
        return Bodies(labelled, totals, *_outlines(labels, wanted, corner))


def _outlines(
    labels: NDArray[np.int32], wanted: NDArray[np.bool_], corner: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Number and polygon of each part whose pixels are joined by sides."""
    transform = Affine(1, 0, corner[1], 0, -1, -corner[0])
    found: list[tuple[dict[str, Any], float]]
    with _TRACING:
        # Parts that touch at corners alone are polygons of their own, which keeps them valid.
        found = list(shapes(labels, mask=wanted[labels], connectivity=4, transform=transform))
    number = np.array([value for _, value in found], dtype=np.int64)
    outlines = np.empty(len(found), dtype=object)
    for position, (shape, _) in enumerate(found):
        exterior, *interiors = shape["coordinates"]
        outlines[position] = shapely.Polygon(exterior, interiors)
    return number, outlines


def joined_groups(
    blocks: Sequence[Labelled], shape: tuple[int, int], connectivity: int
) -> list[NDArray[np.int64]]:
    """Which bodies of all blocks are one, whole body.

    Args:
        blocks: Blocks that cover the raster.
        shape: Rows and columns of the raster.
        connectivity: Neighbours of a pixel, 4 or 8.

    Returns:
        Group of each body, from 0, by block.
    """
    counts = [block.num_bodies for block in blocks]
    starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    # Both sides of every seam as one line through the raster: it holds the corners as well.
    seams: dict[tuple[str, int], NDArray[np.int64]] = {}
    height, width = shape
    for block, start in zip(blocks, starts, strict=False):
        window = block.window
        places = (
            ("row", window.y0, 1, window.x0, width),
            ("row", window.y1, 0, window.x0, width),
            ("column", window.x0, 1, window.y0, height),
            ("column", window.x1, 0, window.y0, height),
        )
        for (axis, at, side, first, length), local in zip(places, block.sides, strict=True):
            line = seams.setdefault((axis, at), np.zeros((2, length), dtype=np.int64))
            line[side, first : first + len(local)] = np.where(local, local + start, 0)
    pairs = [kernel.seam_pairs(before, after, connectivity) for before, after in seams.values()]
    groups = kernel.joined(int(starts[-1]), np.concatenate(pairs))
    return np.split(groups, starts[1:-1])
