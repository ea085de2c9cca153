"""What surrounds a map: scale bar, north arrow, legend, colour bar."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from landslide_dist.evaluation.drawing import INK, SOFT

#: Keeps dark words and arrows readable on dark maps.
HALO = [withStroke(linewidth=2.5, foreground="white")]


class Scaled(Protocol):
    """A map at picture scale, an :class:`~.overview.Overview` say."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, pixels of the picture."""

    @property
    def pixel_m(self) -> float:
        """Side of one of them, metres."""


def legend(axes: Axes, handles: Sequence[Patch | Line2D]) -> None:
    """Names of colours, below the map."""
    if handles:
        axes.legend(
            handles=list(handles), loc="upper left", bbox_to_anchor=(0, 0), ncols=2, fontsize=7,
            frameon=False, handlelength=1.1, labelcolor=INK, borderaxespad=0.3,
        )  # fmt: skip


def colour_bar(figure: Figure, axes: Axes, image: AxesImage) -> None:
    """The scale of a map, beside it."""
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, pad=0.02)
    style_bar(bar)


def style_bar(bar: Colorbar) -> None:
    """Quiet, and with plain numbers on a logarithmic scale."""
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, colors=SOFT, length=2)
    if isinstance(bar.norm, LogNorm):
        bar.locator = LogLocator(subs=(1, 2, 5))
        bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
        bar.ax.xaxis.set_minor_formatter(NullFormatter())
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        bar.update_ticks()


def furnish(axes: Axes, overview: Scaled) -> None:
    """A scale bar and a north arrow: rasters here are north-up."""
    scale_bar(axes, overview)
    axes.annotate(
        "N", (0.965, 0.985), (0.965, 0.90), xycoords="axes fraction", ha="center", va="top",
        fontsize=9, color=INK, fontweight="bold",
        arrowprops={
            "arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0, "path_effects": HALO,
        },
        path_effects=HALO,
    )  # fmt: skip


def scale_bar(axes: Axes, overview: Scaled) -> None:
    """A bar of a round length, about a quarter of the map, lower left."""
    quarter_m = overview.shape[1] * overview.pixel_m / 4
    power = 10 ** np.floor(np.log10(quarter_m))
    length_m = max(step * power for step in (1, 2, 5) if step * power <= quarter_m)
    label = f"{length_m / 1000:g} km" if length_m >= 1000 else f"{length_m:g} m"
    bar = AnchoredSizeBar(
        axes.transData, length_m / overview.pixel_m, label, "lower left", pad=0.4, sep=3,
        color=INK, size_vertical=overview.shape[0] / 150, fontproperties=FontProperties(size=7),
    )  # fmt: skip
    bar.patch.set(alpha=0.8, edgecolor="none")
    axes.add_artist(bar)
