"""Which pixels a screen needs: the level that fits it, the window of it, and their values."""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor, log2
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from landslide_dist.grid import Grid, Window
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.kernels.terrain import hillshade
from landslide_dist.store import cube
from landslide_dist.store.levels import Raster, decoded
from landslide_dist.store.location import codec_errors, open_group, place_of
from landslide_dist.viewer.layers import Layer

#: Pixels that are read for one picture at most, whatever the extent.
MAX_PIXELS = 2_000_000
#: Share of a view that is read beyond each of its edges, so that a short pan finds it there.
MARGIN = 0.1
#: Mean rise per metre that relief is exaggerated, or flattened, to.
MEAN_RISE = 0.35


@dataclass(frozen=True)
class View:
    """What a screen shows: bounds in metres, and its size in pixels."""

    left: float
    bottom: float
    right: float
    top: float
    width_px: int
    height_px: int

    @property
    def pixel_m(self) -> float:
        """Ground below one screen pixel, metres."""
        return max(
            (self.right - self.left) / self.width_px, (self.top - self.bottom) / self.height_px
        )


@dataclass(frozen=True)
class Extract:
    """Values of a window of one level.

    Attributes:
        level: Of the pyramid.
        window: In pixels of that level.
        grid: Of that level.
        values: One array per raster of the layer, each of the window's shape.
    """

    level: int
    window: Window
    grid: Grid
    values: tuple[NDArray[Any], ...]

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in metres."""
        return self.grid.window_bounds(self.window)


def read_view(layer: Layer, view: View, before: Extract | None = None) -> Extract:
    """What a layer shows in a view; at most :data:`MAX_PIXELS`.

    Args:
        layer: The layer.
        view: What the screen shows.
        before: Of the same layer; it is given back where it holds all that the view needs.
    """
    level, window = place(layer, view)
    grid = layer.pyramid.level_grid(level)
    if before is not None and before.level == level and _holds(before, view):
        return before
    return Extract(level, window, grid, values_of(layer, level, window))


def _holds(extract: Extract, view: View) -> bool:
    """Whether an extract has every pixel of a view; not of one beyond the raster."""
    inside, there = window_of(extract.grid, view, 0.0), extract.window
    return (
        inside.height * inside.width > 0
        and there.y0 <= inside.y0 and there.x0 <= inside.x0
        and inside.y1 <= there.y1 and inside.x1 <= there.x1
    )  # fmt: skip


def in_sight(extract: Extract, view: View) -> Extract:
    """The part of an extract that a view shows, without its margin."""
    there = extract.window
    seen = window_of(extract.grid, view, 0.0)
    y0, x0 = max(seen.y0, there.y0), max(seen.x0, there.x0)
    height, width = min(seen.y1, there.y1) - y0, min(seen.x1, there.x1) - x0
    window = Window(y0, x0, max(0, height), max(0, width))
    inside = window.relative_to(there).slices
    return replace(extract, window=window, values=tuple(v[inside] for v in extract.values))


def read_overview(layer: Layer) -> Extract:
    """The whole layer at its coarsest level."""
    level = layer.pyramid.num_levels - 1
    grid = layer.pyramid.level_grid(level)
    window = Window(0, 0, *grid.shape)
    return Extract(level, window, grid, values_of(layer, level, window))


def place(layer: Layer, view: View) -> tuple[int, Window]:
    """Level and window for a view: about one pixel of the raster to one of the screen."""
    pyramid = layer.pyramid
    coarsest = pyramid.num_levels - 1
    ratio = max(view.pixel_m, 1e-9) / pyramid.grid.pixel_m
    level = min(coarsest, max(0, round(log2(ratio))))
    window = window_of(pyramid.level_grid(level), view)
    while window.height * window.width > MAX_PIXELS and level < coarsest:
        level += 1
        window = window_of(pyramid.level_grid(level), view)
    return level, window


def window_of(grid: Grid, view: View, margin: float = MARGIN) -> Window:
    """Pixels of a grid that a view and its margin touch; of no size where there are none."""
    margin_x, margin_y = margin * (view.right - view.left), margin * (view.top - view.bottom)
    left, top = grid.transform.c, grid.transform.f
    x0 = floor((view.left - margin_x - left) / grid.pixel_m)
    x1 = ceil((view.right + margin_x - left) / grid.pixel_m)
    y0 = floor((top - view.top - margin_y) / grid.pixel_m)
    y1 = ceil((top - view.bottom + margin_y) / grid.pixel_m)
    return Window(y0, x0, y1 - y0, x1 - x0).clip(grid.shape)


def values_of(layer: Layer, level: int, window: Window) -> tuple[NDArray[Any], ...]:
    """Values of a layer in a window of a level, as :class:`Extract` has them."""
    if not (window.height and window.width):
        return tuple(np.empty((0, 0), np.float32) for _ in layer.bands or layer.pyramid.rasters)
    if layer.kind == "relief":
        return (_relief(layer, level, window),)
    if layer.pyramid.reduction == "clear" or layer.kind == "composite":
        return _clear_planes(layer, level, window)
    values = tuple(
        read_plane(layer.pyramid.raster(index, level), layer.leading, window)
        for index in range(len(layer.pyramid.rasters))
    )
    if layer.kind == "direction":
        return (directions(values[0], layer.radius_px),)
    return values


def _clear_planes(layer: Layer, level: int, window: Window) -> tuple[NDArray[np.float32], ...]:
    """Bands of an image, NaN where it is not clear."""
    pyramid, step = layer.pyramid, layer.leading[:1]
    indices = [(*step, band) for band in layer.bands] or [layer.leading]
    planes = [read_plane(pyramid.raster(0, level), index, window) for index in indices]
    hidden = ~np.isfinite(planes).all(axis=0)
    if pyramid.reduction == "clear":
        hidden |= read_plane(pyramid.raster(1, level), step, window) != 1
    for plane in planes:
        plane[hidden] = np.nan
    return tuple(planes)


def read_plane(raster: Raster, leading: tuple[int, ...], window: Window) -> NDArray[Any]:
    """One plane of a raster: floats with NaN where there is nothing; codes as they are.

    Landslide labels and digital numbers become floats at every level.
    """
    array = open_array(raster)
    read = _slice(array, leading, window) if leading else cube.read_window(array, window, 0)
    block = decoded(array, read)
    is_code = "flag_values" in array.attrs and raster.variable != "landslide"
    if block.dtype.kind == "f" or is_code or raster.variable in ("split", "uphill"):
        return block
    return np.where(block == array.attrs["nodata"], np.nan, block).astype(np.float32)


def _slice(array: zarr.Array[Any], leading: tuple[int, ...], window: Window) -> NDArray[Any]:
    index: Any = (*leading, *window.slices)
    with codec_errors(place_of(array)):
        return np.asarray(array[index])


@lru_cache(maxsize=256)
def open_array(raster: Raster) -> zarr.Array[Any]:
    """An array, opened once: its metadata need not be read for each picture."""
    return cube.array(open_group(raster.location), raster.variable)


def directions(index: NDArray[Any], radius_px: int) -> NDArray[np.float32]:
    """Direction of the highest pixel of a ring, degrees clockwise from north; NaN for none."""
    offsets = ring_offsets(radius_px)
    bearing = np.degrees(np.arctan2(offsets[:, 1], -offsets[:, 0])) % 360
    found = index < len(offsets)
    degrees = bearing[np.where(found, index, 0)]
    return np.where(found, degrees, np.nan).astype(np.float32)


def _relief(layer: Layer, level: int, window: Window) -> NDArray[np.float32]:
    grid = layer.pyramid.level_grid(level)
    raster = layer.pyramid.raster(0, level)
    wide = _with_edge(raster, window, grid)
    shade = hillshade(wide, grid.pixel_m, z_factor=_exaggeration(raster, grid))
    return shade[1:-1, 1:-1]


def _with_edge(raster: Raster, window: Window, grid: Grid) -> NDArray[np.float32]:
    """Elevation of a window and the pixels around it; the edge of the raster is repeated."""
    inside = window.expand(1).clip(grid.shape)
    block = read_plane(raster, (), inside)
    spare = [
        (inside.y0 - window.y0 + 1, window.y1 + 1 - inside.y1),
        (inside.x0 - window.x0 + 1, window.x1 + 1 - inside.x1),
    ]
    return np.asarray(np.pad(block, spare, mode="edge"), dtype=np.float32)


@lru_cache(maxsize=64)
def _exaggeration(raster: Raster, grid: Grid) -> float:
    """One for a level, from its middle, so that brightness does not change on a pan."""
    side = 512
    middle = Window((grid.height - side) // 2, (grid.width - side) // 2, side, side)
    heights = read_plane(raster, (), middle.clip(grid.shape))
    if min(heights.shape) < 2:
        return 1.0
    south, east = np.gradient(heights, grid.pixel_m)
    rise = np.hypot(east, south)
    mean = float(np.nanmean(rise)) if np.isfinite(rise).any() else 0.0
    return MEAN_RISE / mean if mean > 0 else 1.0
