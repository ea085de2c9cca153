"""Pictures of blocks and maps of a region, as PNG bytes (reporting bias paper, figures 6 and 7)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import (
    INK,
    PAGE_WIDTH_IN,
    PRINT_DPI,
    SOFT,
    SUSCEPTIBILITY,
    new_figure,
    png,
)
from landslide_dist.evaluation.events_confusion import COLOURS, MASKED, draw_image
from landslide_dist.evaluation.figures import SIZE_IN
from landslide_dist.evaluation.furniture import HALO, colour_bar, furnish, legend, scale_bar

#: Blocks of a row.
COLUMNS = 5
#: Room for a label above a block, in sides of it.
LABEL_SHARE = 0.22
#: Blocks that are masked: the colours of probabilities hold no blue.
MASKED_COLOUR = "#7fb2d9"


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks that were drawn at random.

    Attributes:
        title: Which they were drawn from.
        images: ``(block, y, x, 3)`` red, green, blue from 0 to 1; NaN: not clear.
        probabilities: Of each.
        ids: Name of each; empty: no names.
    """

    title: str
    images: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    ids: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Shown:
    """A region at picture scale.

    Attributes:
        image: Its scene, ``(y, x, 3)`` from 0 to 1; NaN: not clear. The same ground as the others.
        probability: Of each block, ``(y, x)``; NaN: not classified.
        inside: Blocks of the region.
        masked: Blocks that are not counted.
        block_m: Side of a block.
    """

    image: NDArray[np.float32]
    probability: NDArray[np.float32]
    inside: NDArray[np.bool_]
    masked: NDArray[np.bool_]
    block_m: float


@dataclass(frozen=True)
class _Scale:
    shape: tuple[int, int]
    pixel_m: float


def blocks_figure(title: str, groups: Sequence[Blocks]) -> bytes:
    """Blocks in rows, the probability above each; several groups below each other (figure 6)."""
    heights = [_height(len(group.images), COLUMNS) for group in groups]
    cell_in = SIZE_IN[0] / COLUMNS
    figure = new_figure(SIZE_IN[0], sum(heights) * cell_in + 0.3 * len(groups) + 0.3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK, fontweight="bold")
    rows = figure.subplots(len(groups), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axes, group in zip(rows, groups, strict=True):
        axes.set_title(group.title, loc="left", fontsize=8.5, color=SOFT)
        _tiles(axes, group, COLUMNS, 8)
    return png(figure)


def sheet_figure(title: str, blocks: Blocks, block_px: int) -> bytes:
    """Blocks with what lies around them, to be checked by eye; the name above each.

    Args:
        title: Of the sheet.
        blocks: Images of three blocks on a side.
        block_px: Side of the block in the middle, pixels of the images.
    """
    cell_in = PAGE_WIDTH_IN / COLUMNS
    figure = new_figure(PAGE_WIDTH_IN, _height(len(blocks.images), COLUMNS) * cell_in + 0.4)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
    margin = (blocks.images.shape[1] - block_px) / 2 - 0.5
    outlines = [
        Rectangle((x + margin, y + margin), block_px, block_px)
        for y, x in _tiles(axes, blocks, COLUMNS, 7)
    ]
    axes.add_collection(
        PatchCollection(
            outlines, facecolor="none", edgecolor=INK, linewidth=0.9, path_effects=HALO
        )
    )  # fmt: skip
    return png(figure)


def _height(count: int, columns: int) -> float:
    """Height of so many tiles with their labels, in sides of a tile."""
    return max(1, -(-count // columns)) * (1 + LABEL_SHARE)


def _tiles(axes: Axes, blocks: Blocks, columns: int, fontsize: float) -> list[tuple[int, int]]:
    """Images side by side as one, for axes cost more than pixels; upper left corner of each."""
    axes.set_axis_off()
    side = blocks.images.shape[1]
    gap, label = -(-side // 12), round(LABEL_SHARE * side)
    height = max(1, -(-len(blocks.images) // columns)) * (side + label)
    canvas = np.ones((height, columns * (side + gap) - gap, 3), dtype=np.float32)
    corners = []
    for number, (image, probability) in enumerate(
        zip(blocks.images, blocks.probabilities.tolist(), strict=True)
    ):
        row, column = divmod(number, columns)
        y, x = row * (side + label) + label, column * (side + gap)
        canvas[y : y + side, x : x + side] = np.where(
            np.isnan(image), to_rgb(COLOURS[MASKED]), image
        )
        name = f"{blocks.ids[number]}   " if blocks.ids else ""
        axes.text(
            x + side / 2 - 0.5, y - 1, name + shown_probability(probability), fontsize=fontsize,
            color=INK, ha="center", va="bottom",
        )  # fmt: skip
        corners.append((y, x))
    axes.imshow(canvas, interpolation="nearest")
    if not corners:
        axes.text(0, label + 1, "there is none", fontsize=8.5, color=SOFT, va="top")
    return corners


def map_figure(name: str, shown: Shown) -> bytes:
    """The scene beside the probability of its blocks (figure 7)."""
    height, width = shown.probability.shape
    panel_in = PAGE_WIDTH_IN / 2
    figure = new_figure(PAGE_WIDTH_IN, panel_in * min(2.0, max(0.4, height / width)) + 0.7)
    image, risk = figure.subplots(1, 2)
    for axes, title in ((image, name), (risk, "probability of a landslide")):
        axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize=8.5, color=INK, fontweight="bold")
    draw_image(image, shown.image)
    colour_bar(figure, risk, _draw_map(risk, shown))
    across = shown.image.shape[1]
    scale_bar(image, _Scale(shown.image.shape[:2], shown.block_m * width / across))
    furnish(risk, _Scale((height, width), shown.block_m))
    _outline(image, shown)
    return png(figure, PRINT_DPI)


def _draw_map(axes: Axes, shown: Shown) -> AxesImage:
    """Probability of the blocks that count, and flat colours of the others."""
    counts = shown.inside & ~shown.masked
    flat = np.ones((*shown.probability.shape, 3))
    handles = []
    for where, colour, label in (
        (shown.inside & np.isnan(shown.probability), COLOURS[MASKED], "not clear"),
        (shown.inside & shown.masked, MASKED_COLOUR, "masked, not counted"),
    ):
        if where.any():
            flat[where] = to_rgb(colour)
            handles.append(Patch(color=colour, label=label))
    axes.imshow(flat, interpolation="nearest")
    probability = np.ma.masked_invalid(np.where(counts, shown.probability, np.nan))
    image = axes.imshow(probability, cmap=SUSCEPTIBILITY, vmin=0, vmax=1, interpolation="auto")
    legend(axes, handles)
    return image


def _outline(axes: Axes, shown: Shown) -> None:
    """Border of the region, where it is not the whole scene."""
    if shown.inside.all():
        return
    (height, width), (rows, columns) = shown.image.shape[:2], shown.inside.shape
    # Block centres in pixels of the image, from the one before the first to that after the last.
    y = (np.arange(-1, rows + 1) + 0.5) * height / rows - 0.5
    x = (np.arange(-1, columns + 1) + 0.5) * width / columns - 0.5
    drawn = axes.contour(x, y, np.pad(shown.inside, 1), levels=[0.5], colors=INK, linewidths=0.9)
    drawn.set(path_effects=HALO)
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def shown_probability(probability: float) -> str:
    """Three digits, but never 1 or 0 for what is not."""
    if 0.9995 <= probability < 1:
        return "> 0.999"
    if 0 < probability < 0.0005:
        return "< 0.001"
    return f"{probability:.3f}"
