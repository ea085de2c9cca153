"""Pictures of Grad-CAM of chips and scenes; PNG bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import INK, PAGE_WIDTH_IN, SOFT, new_figure, png
from landslide_dist.evaluation.furniture import furnish, style_bar
from landslide_dist.evaluation.ground import aspect_of
from landslide_dist.evaluation.overview import Overview

#: Rises in lightness, over a picture in grey: told apart with every kind of colour vision.
HEAT = colormaps["inferno"]
#: Of a colour; the rest is the picture.
HEAT_SHARE = 0.6
CLASS_TITLES = ("speaks for no landslide", "speaks for a landslide")
OUTLINE = "#56B4E9"


@dataclass(frozen=True)
class ExplainedChip:
    """A chip and what its classes were seen in.

    Attributes:
        chip: ``(3, y, x)`` uint8 as it is.
        seen: ``(3, y, x)`` from 0 to 1 as the model sees it.
        maps: ``(2, y, x)`` Grad-CAM of both classes, of the size of ``seen``.
        label: 1 with a landslide.
        probability: Of a landslide.
        mask: ``(y, x)`` bool of ``chip``'s size; None where it is not known.
    """

    chip: NDArray[np.uint8]
    seen: NDArray[np.float32]
    maps: NDArray[np.float32]
    label: int
    probability: float
    mask: NDArray[np.bool_] | None


def chip_rows(chips: Sequence[ExplainedChip], seen_title: str) -> bytes:
    """The paper's figure 4: a row a chip; as it is, as it is seen, and both classes' maps.

    Args:
        chips: What is shown.
        seen_title: Says how the model sees a chip.
    """
    figure = new_figure(PAGE_WIDTH_IN, 1.82 * len(chips) + 0.9)
    grid = figure.subplots(len(chips), 4, squeeze=False)
    titles = ("chip", seen_title, *CLASS_TITLES)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, loc="left", fontsize=8, color=INK, fontweight="bold")
    for number, (row, chip) in enumerate(zip(grid, chips, strict=True)):
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        seen = np.moveaxis(chip.seen, 0, -1)
        row[0].imshow(np.moveaxis(chip.chip, 0, -1))
        row[1].imshow(seen.clip(0, 1))
        for axes, values in zip(row[2:], chip.maps, strict=True):
            axes.imshow(over_grey(seen, relative(values)))
            _say_largest(axes, values)
        if chip.mask is not None and chip.mask.any() and not chip.mask.all():
            row[0].contour(chip.mask, levels=[0.5], colors=OUTLINE, linewidths=1.0)
        name = "landslide" if chip.label else "no landslide"
        row[0].set_ylabel(f"{chr(65 + number % 26)}   {name}", fontsize=8, color=INK)
        row[1].set_xlabel(
            f"P(landslide) = {chip.probability:.3f}", fontsize=7, color=SOFT, labelpad=2
        )
    _bar(figure, grid[:, 2:].ravel().tolist(), "relative to the largest of each map")
    return png(figure)


def scene_panels(
    overview: Overview, colours: NDArray[np.uint8], maps: NDArray[np.float32]
) -> bytes:
    """A part of a scene, and both classes' maps over it.

    Args:
        overview: The part at picture scale.
        colours: ``(3, y, x)`` of all its pixels, as the model is given them.
        maps: ``(2, y, x)``, NaN where nothing was classified.
    """
    bands = [overview.shrunk(band.astype(np.float32)) for band in colours]
    seen = np.stack(bands, axis=-1) / np.float32(255)
    panel_in = PAGE_WIDTH_IN / 3
    figure = new_figure(PAGE_WIDTH_IN, panel_in * aspect_of(overview) + 0.9)
    panels = figure.subplots(1, 3)
    for axes, title in zip(panels, ("as the model is given it", *CLASS_TITLES), strict=True):
        axes.set_title(title, loc="left", fontsize=8, color=INK, fontweight="bold")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    panels[0].imshow(seen, interpolation="auto")
    for axes, values in zip(panels[1:], maps, strict=True):
        axes.imshow(over_grey(seen, relative(overview.shrunk(values))), interpolation="auto")
        _say_largest(axes, values)
    furnish(panels[0], overview)
    _bar(figure, panels.tolist(), "relative to the largest of each map")
    return png(figure)


def relative(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map from 0 to 1, the largest; one without a value above 0 stays as it is."""
    largest = np.float32(np.nanmax(values, initial=0.0))
    return values / largest if largest > 0 else values


def over_grey(seen: NDArray[np.float32], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Colours of a map from 0 to 1 over a picture ``(y, x, 3)`` in grey; where it is NaN, white.

    The grey is stretched: many chips are dark, and would be black under a map that is low.
    """
    grey = seen.mean(axis=-1, keepdims=True)
    dark, light = np.quantile(grey, (0.02, 0.98))
    grey = ((grey - dark) / max(light - dark, 0.05)).clip(0, 1)
    heat = HEAT(np.nan_to_num(values))[..., :3]
    mixed: NDArray[np.float64] = (1 - HEAT_SHARE) * (0.2 + 0.8 * grey) + HEAT_SHARE * heat
    mixed[np.isnan(values)] = 1.0
    return mixed


def _say_largest(axes: Axes, values: NDArray[np.float32]) -> None:
    """What is white-hot: maps are shown relative to it."""
    largest = float(np.nanmax(values, initial=0.0))
    axes.set_xlabel(f"largest {largest:.3g}", fontsize=7, color=SOFT, labelpad=2)


def _bar(figure: Figure, panels: list[Axes], label: str) -> None:
    image = AxesImage(panels[0], cmap=HEAT, norm=Normalize(0, 1))
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.6, aspect=40, pad=0.02)
    bar.set_label(label, fontsize=8, color=INK)
    style_bar(bar)
