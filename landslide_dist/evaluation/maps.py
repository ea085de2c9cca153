"""Maps of a region at picture scale, as PNG bytes: parts, susceptibility, terrain."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from landslide_dist.evaluation.drawing import (
    CLASS_COLOURS,
    DPI,
    LANDSLIDE_COLOUR,
    OTHER_COLOUR,
    PAGE_WIDTH_IN,
    PART_COLOURS,
    TERRAIN,
    new_figure,
    png,
)
from landslide_dist.evaluation.furniture import colour_bar, furnish, legend, style_bar
from landslide_dist.evaluation.ground import (
    Ground,
    aspect_of,
    draw_points,
    draw_probability,
    labels_are_points,
    probability_norm,
)
from landslide_dist.evaluation.overview import Overview
from landslide_dist.kernels.rings import ring_offsets, ring_radii
from landslide_dist.schema import UNKNOWN_CODE, UNLABELLED
from landslide_dist.store.cube import open_cube
from landslide_dist.store.levels import flags_of

#: Landslides are outlined where they take less of a map than this,
SPARSE_SHARE = 0.05
#: or where more than this of their pixels lie inside them, so that they are areas.
AREA_INNER_SHARE = 0.25


def partition_map(
    cube_location: str,
    split_location: str,
    parts: Mapping[str, frozenset[int]],
    title: str = "Partition",
    dpi: int = DPI,
) -> bytes:
    """Which labelled pixels belong to which part; what is labelled but masked is the buffer."""
    overview = Overview.of(cube_location)
    ground = Ground.of(overview)
    figure, axes = _map_figure(overview)
    ground.draw(axes, title)
    points = labels_are_points(overview)
    handles: list[Patch | Line2D] = []
    for part, values in parts.items():
        if not values:
            continue
        if points:
            mine = overview.holds("split", values, split_location)
            handles += draw_points(axes, mine, PART_COLOURS[part], part)
        else:
            mine = np.isin(overview.middle("split", split_location), sorted(values))
            ground.fill(axes, mine, PART_COLOURS[part], 0.75)
            handles.append(Patch(color=PART_COLOURS[part], label=part))
    labelled = overview.middle("landslide") != UNLABELLED
    buffer = labelled & (overview.middle("split", split_location) == UNLABELLED)
    if buffer.any():
        ground.fill(axes, buffer, OTHER_COLOUR, 0.8)
        handles.append(Patch(color=OTHER_COLOUR, label="buffer"))
    legend(axes, handles)
    furnish(axes, overview)
    return png(figure, dpi)


def susceptibility_map(
    cube_location: str,
    prediction_location: str,
    name: str,
    norm: LogNorm | None = None,
    probability: NDArray[np.float32] | None = None,
    width_in: float = PAGE_WIDTH_IN,
) -> bytes:
    """Predicted probability over the relief; landslides are outlined unless scattered all over.

    Args:
        cube_location: The cube.
        prediction_location: Group of the map.
        name: Of the model.
        norm: Colours that several maps share; None for those of this map.
        probability: The map at picture scale, where it is known already.
        width_in: Of the picture.
    """
    overview = Overview.of(cube_location)
    ground = Ground.of(overview)
    if probability is None:
        probability = overview.mean("probability", prediction_location)
    figure, axes = _map_figure(overview, width_in)
    ground.draw(axes, f"Landslide probability, {name}")
    image = draw_probability(axes, ground, probability, norm or probability_norm([probability]))
    _draw_landslides(axes, overview)
    colour_bar(figure, axes, image)
    furnish(axes, overview)
    return png(figure)


def terrain_overview(cube_location: str) -> bytes:
    """Elevation, slope, uphill direction and each categorical map of a cube."""
    overview = Overview.of(cube_location, 800)
    ds = open_cube(cube_location)
    ground = Ground.of(overview)
    # Masks of images have flags as well, and a time.
    classes = [name for name, a in ds.data_vars.items() if "flag_values" in a.attrs and a.ndim == 2]
    names = [str(name) for name in classes]
    categorical = [name for name in names if name not in ("landslide", "split")]
    panels = ["elevation", *(n for n in ("slope", "uphill") if n in ds), *categorical]
    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    height = PAGE_WIDTH_IN / columns * rows * (0.85 * aspect_of(overview) + 0.2)
    figure = new_figure(PAGE_WIDTH_IN, height)
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


def _map_figure(overview: Overview, width_in: float = PAGE_WIDTH_IN) -> tuple[Figure, Axes]:
    figure = new_figure(width_in, width_in * aspect_of(overview) + 0.4)
    return figure, figure.add_subplot()


def _draw_landslides(axes: Axes, overview: Overview) -> None:
    landslides = overview.holds("landslide", {1})
    if not landslides.any():
        return
    inner = ndimage.binary_erosion(landslides).sum() / landslides.sum()
    # Outlines of very many single pixels would hide the map that they lie on.
    if landslides.mean() < SPARSE_SHARE or inner > AREA_INNER_SHARE:
        axes.contour(landslides, levels=[0.5], colors=LANDSLIDE_COLOUR, linewidths=0.8)
        legend(axes, [Patch(fill=False, edgecolor=LANDSLIDE_COLOUR, label="landslide")])


def _draw_direction(figure: Figure, axes: Axes, ground: Ground) -> None:
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


def _draw_classes(axes: Axes, ground: Ground, name: str, attributes: Mapping[str, Any]) -> None:
    codes = ground.overview.middle(name)
    names = flags_of(attributes)
    present, count = np.unique(codes[~ground.missing], return_counts=True)
    largest = [c for c in present[np.argsort(-count)] if c != UNKNOWN_CODE][: len(CLASS_COLOURS)]
    ground.draw(axes, name.replace("_", " "))
    handles = []
    for code, colour in zip(largest, CLASS_COLOURS, strict=False):
        ground.fill(axes, codes == code, colour, 0.9)
        handles.append(Patch(color=colour, label=names[code][:26]))
    others = ~np.isin(codes, [*largest, UNKNOWN_CODE])
    if others.any():
        ground.fill(axes, others, OTHER_COLOUR, 0.9)
        handles.append(Patch(color=OTHER_COLOUR, label="others"))
    legend(axes, handles)
