"""All models and the landslides on one window (LACNN paper, figures 5c to 5h), as PNG bytes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy import ndimage

from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.drawing import (
    DPI,
    INK,
    LANDSLIDE_COLOUR,
    PAGE_WIDTH_IN,
    SOFT,
    new_figure,
    png,
)
from landslide_dist.evaluation.furniture import legend, scale_bar, style_bar
from landslide_dist.evaluation.ground import (
    Ground,
    aspect_of,
    draw_points,
    draw_probability,
    labels_are_points,
    probability_norm,
)
from landslide_dist.evaluation.overview import Overview, Part
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import TRUE_PROBABILITY
from landslide_dist.store.cube import open_cube, read_grid

#: Panels beside each other.
COLUMNS = 3
#: Name of the map of the probability that labels were drawn from.
TRUTH = "true probability"


def telling_window(cube_location: str, size_px: int, part: Part | None = None) -> Window:
    """The square with the most landslides; the middle of the region without any.

    Args:
        cube_location: The cube.
        size_px: Side of the square; smaller where the region is.
        part: Only landslides of this part count; None for all.
    """
    overview = Overview.of(cube_location)
    height, width = overview.grid.shape
    size = min(size_px, height, width)
    density = overview.holds("landslide", {1}, part=part).astype(np.float64)
    if density.any():
        density = ndimage.uniform_filter(density, max(1, size // overview.step), mode="constant")
    # The filter is flat around a best place: its middle lies well inside. Of several that are
    # equally good only the first counts; between them there may be no landslide.
    plateaus, _ = ndimage.label(density >= density.max() * (1 - 1e-9))
    best = np.argwhere(plateaus == 1).mean(axis=0)
    row, column = (int(place * overview.step) for place in best)
    return _around(row, column, size, overview.grid)


def window_at(cube_location: str, size_px: int, centre: tuple[float, float]) -> Window:
    """The square around map coordinates, moved into the region where it reaches beyond it.

    Raises:
        ConfigError: The centre is not in the region.
    """
    grid = read_grid(cube_location)
    x, y = (np.array([value]) for value in centre)
    (row,), (column,) = (found.tolist() for found in grid.rows_columns(x, y))
    if not (0 <= row < grid.height and 0 <= column < grid.width):
        raise ConfigError(
            f"experiment.window_centre {centre} is outside the region, whose left, bottom, right, "
            f"top are {tuple(round(b) for b in grid.bounds)} in {grid.crs.partition('[')[0]}"
        )
    return _around(row, column, min(size_px, *grid.shape), grid)


def true_probability(overview: Overview) -> dict[str, NDArray[np.float32]]:
    """The map of the probability that labels were drawn from, if it is known."""
    if TRUE_PROBABILITY.name not in open_cube(overview.location):
        return {}
    return {TRUTH: overview.mean(TRUE_PROBABILITY.name)}


def model_panel(
    overview: Overview,
    maps: Mapping[str, NDArray[np.float32]],
    part: Part | None = None,
    dpi: int = DPI,
) -> bytes:
    """Maps on one colour scale, and the landslides.

    Args:
        overview: The window at picture scale.
        maps: Name -> probability of the shape of the overview.
        part: Test part, which is outlined or, of single labels, stands out; None for neither.
        dpi: Of the picture.
    """
    ground = Ground.of(overview)
    outline = _inside(overview, part)
    # The Random baseline is 0.001 or 0.999 and would stretch everybody's colours.
    norm = probability_norm([m for name, m in maps.items() if name != "random"])
    columns = min(COLUMNS, len(maps) + 1)
    rows = -(-(len(maps) + 1) // columns)
    # Beyond the maps: a title each, and the legend and the colour bar below.
    height = rows * (PAGE_WIDTH_IN / columns * aspect_of(overview) + 0.25) + 0.9
    figure = new_figure(PAGE_WIDTH_IN, height)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, (name, probability) in zip(panels.flat, maps.items(), strict=False):
        ground.draw(axes, name)
        image = draw_probability(axes, ground, probability, norm)
        _outline(axes, outline)
    truth = panels.flat[len(maps)]
    ground.draw(truth, "landslides")
    legend(truth, [*_draw_truth(truth, ground, part), *_outline(truth, outline)])
    scale_bar(truth, overview)
    bar = figure.colorbar(image, ax=list(panels.flat), shrink=0.6, aspect=40, location="bottom")
    bar.set_label("landslide probability", fontsize=8, color=INK)
    style_bar(bar)
    return png(figure, dpi)


def _draw_truth(axes: Axes, ground: Ground, part: Part | None) -> list[Line2D]:
    """Landslides; of single labels those of the part stand out."""
    landslides = ground.overview.holds("landslide", {1})
    if not labels_are_points(ground.overview):
        ground.fill(axes, landslides, LANDSLIDE_COLOUR, 1.0)
        return []
    if part is None:
        return draw_points(axes, landslides, LANDSLIDE_COLOUR, "landslide")
    held_out = ground.overview.holds("landslide", {1}, part=part)
    return [
        *draw_points(axes, landslides & ~held_out, SOFT, "of other parts"),
        *draw_points(axes, held_out, LANDSLIDE_COLOUR, "of the test part"),
    ]


def _inside(overview: Overview, part: Part | None) -> NDArray[np.bool_] | None:
    """Where a part is, if it has a border to show: single points have none."""
    if part is None or labels_are_points(overview):
        return None
    inside = overview.holds("split", part.values, part.location)
    return inside if inside.any() and not inside.all() else None


def _outline(axes: Axes, inside: NDArray[np.bool_] | None) -> list[Line2D]:
    if inside is None:
        return []
    axes.contour(inside, levels=[0.5], colors=INK, linewidths=0.7)
    return [Line2D([], [], color=INK, linewidth=0.7, label="test part")]


def _around(row: int, column: int, size: int, grid: Grid) -> Window:
    y0 = int(np.clip(row - size // 2, 0, grid.height - size))
    x0 = int(np.clip(column - size // 2, 0, grid.width - size))
    return Window(y0, x0, size, size)
