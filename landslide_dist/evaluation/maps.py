"""Maps of a region at picture scale, as PNG bytes: parts, susceptibility, models, terrain."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from landslide_dist.evaluation.drawing import (
    CLASS_COLOURS,
    INK,
    LANDSLIDE_COLOUR,
    OTHER_COLOUR,
    PART_COLOURS,
    SUSCEPTIBILITY,
    TERRAIN,
    new_figure,
    png,
)
from landslide_dist.evaluation.furniture import colour_bar, furnish, legend, scale_bar, style_bar
from landslide_dist.evaluation.overview import Overview
from landslide_dist.grid import Window
from landslide_dist.kernels.rings import ring_offsets, ring_radii
from landslide_dist.kernels.terrain import hillshade
from landslide_dist.schema import TRUE_PROBABILITY, UNKNOWN_CODE, UNLABELLED
from landslide_dist.store.cube import open_cube

#: Longer side of the window that shows all models, raster pixels; a map's is larger.
PANEL_PX = 512
MAP_WIDTH_IN = 7.5
#: Share of the pixels below the darkest colour.
TOP_QUANTILE = 0.995
#: Landslides are outlined where they take less of a map than this,
SPARSE_SHARE = 0.05
#: or where more than this of their pixels lie inside them, so that they are areas.
AREA_INNER_SHARE = 0.25
#: Mean rise per metre that relief is exaggerated, or flattened, to.
MEAN_RISE = 0.35


@dataclass(frozen=True)
class _Ground:
    """Hillshade of an overview, and where on the ground it lies."""

    overview: Overview
    shade: NDArray[np.float32]
    missing: NDArray[np.bool_]

    @classmethod
    def of(cls, overview: Overview) -> "_Ground":
        elevation = overview.mean("elevation")
        shade = _relief(elevation, overview.pixel_m)
        return cls(overview, np.nan_to_num(shade, nan=0.7), np.isnan(elevation))

    def draw(self, axes: Axes, title: str) -> None:
        """Relief in light grey, no axes."""
        light = 0.55 + 0.45 * self.shade
        light[self.missing] = 1.0
        axes.imshow(light, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
        axes.set_axis_off()

    def shaded(self, colours: NDArray[np.float64]) -> NDArray[np.float64]:
        """RGBA colours darkened by the relief, transparent where there is no ground."""
        out = colours.copy()
        out[..., :3] *= (0.6 + 0.4 * self.shade)[..., None]
        out[self.missing, 3] = 0.0
        return out


def partition_map(
    cube_location: str, split_location: str, parts: Mapping[str, frozenset[int]]
) -> bytes:
    """Which labelled pixels belong to which part; what is labelled but masked is the buffer."""
    overview = Overview.of(cube_location)
    ground = _Ground.of(overview)
    figure, axes = _map_figure(overview)
    ground.draw(axes, "Partition")
    split = overview.middle("split", split_location)
    labelled = overview.middle("landslide") != UNLABELLED
    handles = []
    for part, values in parts.items():
        mine = np.isin(split, sorted(values))
        if values:
            _fill(axes, ground, mine, PART_COLOURS[part], 0.75)
            handles.append(Patch(color=PART_COLOURS[part], label=part))
    buffer = labelled & (split == UNLABELLED)
    if buffer.any():
        _fill(axes, ground, buffer, OTHER_COLOUR, 0.8)
        handles.append(Patch(color=OTHER_COLOUR, label="buffer"))
    legend(axes, handles)
    furnish(axes, overview)
    return png(figure)


def susceptibility_map(cube_location: str, prediction_location: str, name: str) -> bytes:
    """Predicted probability over the relief; landslides are outlined unless scattered all over."""
    overview = Overview.of(cube_location)
    ground = _Ground.of(overview)
    probability = overview.mean("probability", prediction_location)
    figure, axes = _map_figure(overview)
    ground.draw(axes, f"Landslide probability, {name}")
    image = _draw_probability(axes, ground, probability, _norm([probability]))
    _draw_landslides(axes, overview)
    colour_bar(figure, axes, image)
    furnish(axes, overview)
    return png(figure)


def model_panel(cube_location: str, predictions: Mapping[str, str]) -> bytes:
    """All models, the landslides and the true probability, if known, on one window."""
    overview = Overview.of(cube_location, PANEL_PX, _telling_window(cube_location))
    ground = _Ground.of(overview)
    maps = {name: overview.mean("probability", place) for name, place in predictions.items()}
    if TRUE_PROBABILITY.name in open_cube(cube_location):
        maps["true probability"] = overview.mean(TRUE_PROBABILITY.name)
    # The Random baseline is 0.001 or 0.999 and would stretch everybody's colours.
    norm = _norm([m for name, m in maps.items() if name != "random"])
    columns = min(3, len(maps) + 1)
    rows = -(-(len(maps) + 1) // columns)
    figure = new_figure(MAP_WIDTH_IN, MAP_WIDTH_IN / columns * rows * _aspect(overview) + 0.4)
    grid = np.atleast_2d(figure.subplots(rows, columns, squeeze=False))
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, probability) in zip(grid.flat, maps.items(), strict=False):
        ground.draw(axes, name)
        image = _draw_probability(axes, ground, probability, norm)
    truth = grid.flat[len(maps)]
    ground.draw(truth, "landslides")
    _fill(truth, ground, overview.holds("landslide", 1), LANDSLIDE_COLOUR, 1.0)
    scale_bar(truth, overview)
    bar = figure.colorbar(image, ax=list(grid.flat), shrink=0.6, aspect=40, location="bottom")
    style_bar(bar)
    return png(figure)


def terrain_overview(cube_location: str) -> bytes:
    """Elevation, slope, uphill direction and each categorical map of a cube."""
    overview = Overview.of(cube_location, 800)
    ds = open_cube(cube_location)
    ground = _Ground.of(overview)
    names = [str(name) for name, array in ds.data_vars.items() if "flag_values" in array.attrs]
    categorical = [name for name in names if name not in ("landslide", "split")]
    panels = ["elevation", *(n for n in ("slope", "uphill") if n in ds), *categorical]
    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    height = MAP_WIDTH_IN / columns * rows * (0.85 * _aspect(overview) + 0.2)
    figure = new_figure(MAP_WIDTH_IN, height)
    for axes, name in zip(figure.subplots(rows, columns, squeeze=False).flat, panels, strict=False):
        if name == "uphill":
            _draw_direction(figure, axes, ground)
        elif name in categorical:
            _draw_classes(axes, ground, name, ds[name].attrs)
        else:
            cmap = TERRAIN if name == "elevation" else "magma_r"
            values = overview.mean(name)
            ground.draw(axes, f"{name}, {ds[name].attrs['units']}")
            image = axes.imshow(values, cmap=cmap, interpolation="nearest", alpha=0.75)
            style_bar(figure.colorbar(image, ax=axes, shrink=0.7))
    for axes in figure.axes[len(panels) :]:
        if not axes.has_data():
            axes.set_axis_off()
    furnish(figure.axes[0], overview)
    return png(figure)


def _map_figure(overview: Overview) -> tuple[Figure, Axes]:
    figure = new_figure(MAP_WIDTH_IN, MAP_WIDTH_IN * _aspect(overview) + 0.4)
    return figure, figure.add_subplot()


def _aspect(overview: Overview) -> float:
    return float(np.clip(overview.shape[0] / overview.shape[1], 0.3, 2.5))


def _relief(elevation: NDArray[np.float32], pixel_m: float) -> NDArray[np.float32]:
    """Hillshade, exaggerated so that relief keeps its contrast however far it is shrunk."""
    padded = np.pad(elevation, 1, mode="edge")
    south, east = np.gradient(padded, pixel_m)
    rise = np.hypot(east, south)
    mean = float(np.nanmean(rise)) if np.isfinite(rise).any() else 0.0
    z_factor = MEAN_RISE / mean if mean > 0 else 1.0
    return hillshade(padded, pixel_m, z_factor=z_factor)[1:-1, 1:-1]


def _telling_window(cube_location: str) -> Window:
    """The square of at most ``PANEL_PX`` with the most landslides; the middle without any."""
    overview = Overview.of(cube_location)
    height, width = overview.grid.shape
    size = min(PANEL_PX, height, width)
    density = overview.holds("landslide", 1).astype(np.float64)
    if density.any():
        density = ndimage.uniform_filter(density, max(1, size // overview.step), mode="constant")
    # The filter is flat around a best place: its middle lies well inside. Of several that are
    # equally good only the first counts; between them there may be no landslide.
    plateaus, _ = ndimage.label(density >= density.max() * (1 - 1e-9))
    best = np.argwhere(plateaus == 1).mean(axis=0)
    y0, x0 = (int(place * overview.step) - size // 2 for place in best)
    inside = int(np.clip(y0, 0, height - size)), int(np.clip(x0, 0, width - size))
    return Window(*inside, size, size)


def _norm(maps: list[NDArray[np.float32]]) -> LogNorm:
    """Logarithmic colours: probabilities of one map differ by orders of magnitude."""
    values = np.concatenate([m[np.isfinite(m)] for m in maps])
    if not values.size:
        return LogNorm(1e-3, 1)
    top = float(np.quantile(values, TOP_QUANTILE))
    bottom = max(float(np.quantile(values, 0.05)), top / 300, 1e-6)
    return LogNorm(bottom, max(top, 1.5 * bottom))


def _draw_probability(
    axes: Axes, ground: _Ground, probability: NDArray[np.float32], norm: LogNorm
) -> AxesImage:
    missing = np.isnan(probability)
    colours = SUSCEPTIBILITY(norm(np.clip(np.where(missing, 1.0, probability), norm.vmin, None)))
    colours[missing, 3] = 0
    axes.imshow(ground.shaded(colours), interpolation="nearest")
    return AxesImage(axes, cmap=SUSCEPTIBILITY, norm=norm)


def _draw_landslides(axes: Axes, overview: Overview) -> None:
    landslides = overview.holds("landslide", 1)
    if not landslides.any():
        return
    inner = ndimage.binary_erosion(landslides).sum() / landslides.sum()
    # Outlines of very many single pixels would hide the map that they lie on.
    if landslides.mean() < SPARSE_SHARE or inner > AREA_INNER_SHARE:
        axes.contour(landslides, levels=[0.5], colors=LANDSLIDE_COLOUR, linewidths=0.8)
        legend(axes, [Patch(fill=False, edgecolor=LANDSLIDE_COLOUR, label="landslide")])


def _draw_direction(figure: Figure, axes: Axes, ground: _Ground) -> None:
    overview = ground.overview
    distances = open_cube(overview.location)["distance"].to_numpy()
    last = len(distances) - 1
    index = overview.middle("uphill", leading=last).astype(np.int64)
    offsets = ring_offsets(ring_radii(distances.tolist(), overview.grid.pixel_m)[last])
    found = index < len(offsets)
    offset = offsets[np.where(found, index, 0)]
    degrees = np.degrees(np.arctan2(offset[..., 1], -offset[..., 0])) % 360
    ground.draw(axes, f"direction of uphill, {distances[last]:g} m")
    image = axes.imshow(
        np.where(found, degrees, np.nan), cmap="twilight", vmin=0, vmax=360,
        interpolation="nearest", alpha=0.85,
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, shrink=0.7, ticks=[0, 90, 180, 270, 360])
    bar.ax.set_yticklabels(["N", "E", "S", "W", "N"])
    style_bar(bar)


def _draw_classes(axes: Axes, ground: _Ground, name: str, attributes: Mapping[str, Any]) -> None:
    codes = ground.overview.middle(name)
    meanings = str(attributes["flag_meanings"]).split()
    names = dict(zip(np.asarray(attributes["flag_values"]).tolist(), meanings, strict=True))
    present, count = np.unique(codes[~ground.missing], return_counts=True)
    largest = [c for c in present[np.argsort(-count)] if c != UNKNOWN_CODE][: len(CLASS_COLOURS)]
    ground.draw(axes, name.replace("_", " "))
    handles = []
    for code, colour in zip(largest, CLASS_COLOURS, strict=False):
        _fill(axes, ground, codes == code, colour, 0.9)
        handles.append(Patch(color=colour, label=str(names[code]).replace("_", " ")[:26]))
    others = ~np.isin(codes, [*largest, UNKNOWN_CODE])
    if others.any():
        _fill(axes, ground, others, OTHER_COLOUR, 0.9)
        handles.append(Patch(color=OTHER_COLOUR, label="others"))
    legend(axes, handles)


def _fill(axes: Axes, ground: _Ground, where: NDArray[np.bool_], colour: str, alpha: float) -> None:
    rgba = ListedColormap([colour])(np.zeros(where.shape))
    rgba[..., 3] = np.where(where, alpha, 0.0)
    shaded = ground.shaded(rgba)
    axes.imshow(shaded, interpolation="nearest")
