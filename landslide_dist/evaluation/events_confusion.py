"""Events before, after, and what a model found in them (paper figures 3 and 5), as PNG bytes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from landslide_dist import schema
from landslide_dist.evaluation.drawing import INK, PAGE_WIDTH_IN, PRINT_DPI, new_figure, png
from landslide_dist.evaluation.events import EventMap
from landslide_dist.evaluation.furniture import HALO, furnish
from landslide_dist.grid import Window
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.scores import Confusion

#: Probability from which on a pixel is called a landslide.
THRESHOLD = 0.5
#: Longer side of a panel, pixels of the print.
PANEL_PX = 640
#: Side of the close-up of what had to be shrunk, raster pixels.
CLOSE_PX = 320
#: Classes in the order in which they win where as many pixels are of either.
TP, FN, FP, TN, MASKED = range(5)
NAMES = ("found (TP)", "missed (FN)", "false alarm (FP)", "rightly none (TN)", "masked, not tested")
#: Of the found, missed and falsely called: Tol's high-contrast scheme (2021), also without colour.
COLOURS = ("#004488", "#BB5566", "#DDAA33", "#F3F1EC", "#B4B9C0")
OUTLINE = "#ffe14d"


@dataclass(frozen=True)
class View:
    """A part of an event at the scale of a picture.

    Attributes:
        pre: ``(y, x, 3)``, NaN where masked.
        post: Likewise.
        landslide: ``(y, x)``, whether most of a pixel is inside the inventory.
        classes: ``(y, x)`` uint8, the confusion of most raster pixels.
        pixel_m: Side of a pixel of the picture, metres.
    """

    pre: NDArray[np.float32]
    post: NDArray[np.float32]
    landslide: NDArray[np.bool_]
    classes: NDArray[np.uint8]
    pixel_m: float

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.classes.shape
        return height, width

    @classmethod
    def of(cls, event: EventMap, window: Window, max_px: int) -> "View":
        """A window of an event, shrunk where it is larger than the picture."""
        step = max(1, math.ceil(max(window.height, window.width) / max_px))
        at = window.slices
        landslide = event.landslide[at]
        classes = confusion_classes(landslide, event.probability[at])
        return cls(
            shrunk(event.pre[at], step),
            shrunk(event.post[at], step),
            majority((landslide != 1).astype(np.uint8), step, 2) == 0,
            majority(classes, step, len(NAMES)),
            event.pixel_m * step,
        )


def confusion_classes(
    landslide: NDArray[np.uint8], probability: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Class of each pixel at threshold 0.5.

    Args:
        landslide: 1, 0, 255 where it was not tested.
        probability: NaN where the model says nothing.

    Returns:
        ``TP``, ``FN``, ``FP``, ``TN`` or ``MASKED``, uint8 of the same shape.
    """
    called, there = probability >= THRESHOLD, landslide == 1
    cases = [there & called, there & ~called, ~there & called]
    classes = np.select(cases, [TP, FN, FP], TN)
    classes[(landslide == schema.UNLABELLED) | np.isnan(probability)] = MASKED
    return classes.astype(np.uint8)


def majority(classes: NDArray[np.uint8], step: int, num: int) -> NDArray[np.uint8]:
    """The commonest class of each block, as the paper resamples its maps.

    Args:
        classes: ``(y, x)``, values below ``num``.
        step: Side of a block; those at the right and the bottom may be smaller.
        num: Classes.

    Returns:
        ``(ceil(y / step), ceil(x / step))``; of equally common classes the lowest.
    """
    if step == 1:
        return classes
    counts = np.stack([_block_sums(classes == one, step) for one in range(num)])
    return np.asarray(counts.argmax(axis=0), dtype=np.uint8)


def shrunk(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Mean of each block of an image, of its pixels that are not masked; NaN where all are."""
    if step == 1:
        return image
    there = np.isfinite(image)
    count = _block_sums(there, step)
    with np.errstate(invalid="ignore"):
        mean = _block_sums(np.where(there, image, 0).astype(np.float64), step) / count
    return np.asarray(mean, dtype=np.float32)


def confusion_figure(event: EventMap, model: str) -> bytes | None:
    """Image before, image after with the inventory, confusion map; None where nothing was tested.

    What is shown is the extent of what was tested. Where it had to be shrunk a second row shows
    the place with the most landslides at full resolution.

    Args:
        event: One event.
        model: Its symbol, for the title.
    """
    tested = window_tested(event)
    if tested is None:
        return None
    windows = [tested]
    if max(tested.height, tested.width) > PANEL_PX:
        windows.append(_close_up(event, tested))
    views = [View.of(event, window, PANEL_PX) for window in windows]
    width = PAGE_WIDTH_IN / 3
    heights = [width * min(2.0, max(0.4, v.shape[0] / v.shape[1])) for v in views]
    figure = new_figure(PAGE_WIDTH_IN, sum(heights) + 0.75)
    rows = figure.subplots(len(views), 3, squeeze=False, height_ratios=heights)
    titles = ("before", "after, with the inventory", f"{model}: MCC {map_mcc(event):.3f}")
    for row, (panels, view) in enumerate(zip(rows, views, strict=True)):
        _draw(panels, view)
        for axes, title in zip(panels, titles, strict=True):
            axes.set_title(
                title if row == 0 else "", loc="left", fontsize=8.5, color=INK, fontweight="bold"
            )
    _mark(rows[0], views[0], windows)
    shown = {int(value) for view in views for value in np.unique(view.classes)}
    handles: list[Any] = [Patch(facecolor=COLOURS[c], edgecolor="#9aa1aa", linewidth=0.4,
                                label=NAMES[c]) for c in sorted(shown)]  # fmt: skip
    handles.append(Line2D([], [], color=OUTLINE, linewidth=1.4, label="inventory"))
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize=7.5,
        frameon=False, labelcolor=INK, handlelength=1.2, columnspacing=1.1,
    )  # fmt: skip
    return png(figure, PRINT_DPI)


def map_mcc(event: EventMap) -> float:
    """MCC at threshold 0.5 of what the map shows."""
    classes = confusion_classes(event.landslide, event.probability)
    tp, fn, fp, tn = (int(np.count_nonzero(classes == c)) for c in (TP, FN, FP, TN))
    mcc = kernel.precision_recall_f1_mcc(Confusion(tp, fp, tn, fn))["mcc"]
    # With landslides there, none of which is called, no correlation.
    return 0.0 if math.isnan(mcc) and tp + fn and tn + fp else mcc


def window_tested(event: EventMap) -> Window | None:
    """The extent of what was tested, a margin around it; None where nothing was."""
    tested = confusion_classes(event.landslide, event.probability) != MASKED
    if not tested.any():
        return None
    (top, bottom), (left, right) = (
        np.flatnonzero(tested.any(axis=axis))[[0, -1]].tolist() for axis in (1, 0)
    )
    margin = max(2, (max(bottom - top, right - left) + 1) // 50)
    y0, x0 = max(0, top - margin), max(0, left - margin)
    y1, x1 = min(tested.shape[0], bottom + 1 + margin), min(tested.shape[1], right + 1 + margin)
    return Window(y0, x0, y1 - y0, x1 - x0)


def _close_up(event: EventMap, tested: Window) -> Window:
    """The square with the most landslides that were tested."""
    classes = confusion_classes(event.landslide[tested.slices], event.probability[tested.slices])
    there = (classes == TP) | (classes == FN)
    size = [min(CLOSE_PX, side) for side in classes.shape]
    density = ndimage.uniform_filter(there.astype(np.float32), size, mode="constant")
    row, column = np.unravel_index(int(density.argmax()), classes.shape)
    y0 = int(np.clip(row - size[0] // 2, 0, classes.shape[0] - size[0]))
    x0 = int(np.clip(column - size[1] // 2, 0, classes.shape[1] - size[1]))
    return Window(tested.y0 + y0, tested.x0 + x0, size[0], size[1])


def _draw(panels: NDArray[Any], view: View) -> None:
    before, after, confusion = panels
    for axes in panels:
        axes.set_axis_off()
    draw_image(before, view.pre)
    draw_image(after, view.post)
    if view.landslide.any() and not view.landslide.all():
        after.contour(view.landslide, levels=[0.5], colors=OUTLINE, linewidths=0.6)
    colours = ListedColormap(list(COLOURS))
    confusion.imshow(
        view.classes, cmap=colours, vmin=-0.5, vmax=len(COLOURS) - 0.5, interpolation="nearest"
    )
    # Nothing lies over the map of what was found.
    furnish(before, view)


def draw_image(axes: Axes, image: NDArray[np.float32]) -> None:
    """True colour; grey where masked."""
    there = np.isfinite(image).all(axis=-1, keepdims=True)
    grey = np.array([int(COLOURS[MASKED][at : at + 2], 16) / 255 for at in (1, 3, 5)])
    axes.imshow(np.where(there, np.clip(np.nan_to_num(image), 0, 1), grey), interpolation="auto")


def _mark(panels: NDArray[Any], view: View, windows: list[Window]) -> None:
    """Where in the whole the close-up lies."""
    if len(windows) == 1:
        return
    whole, close = windows
    step = -(-max(whole.height, whole.width) // PANEL_PX)
    x, y = (close.x0 - whole.x0) / step - 0.5, (close.y0 - whole.y0) / step - 0.5
    width, height = close.width / step, close.height / step
    for axes in panels:
        axes.plot(
            [x, x + width, x + width, x, x], [y, y, y + height, y + height, y], color=INK,
            linewidth=1, path_effects=HALO,
        )  # fmt: skip
        axes.set(xlim=(-0.5, view.shape[1] - 0.5), ylim=(view.shape[0] - 0.5, -0.5))


def _block_sums(values: NDArray[Any], step: int) -> NDArray[Any]:
    """Sums over blocks of the first two axes."""
    kind = np.float64 if values.dtype.kind == "f" else np.int64
    starts = [np.arange(0, side, step) for side in values.shape[:2]]
    rows = np.add.reduceat(values.astype(kind), starts[0], axis=0)
    sums: NDArray[Any] = np.add.reduceat(rows, starts[1], axis=1)
    return sums
