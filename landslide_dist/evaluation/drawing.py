"""What all pictures share: colours that colour-blind readers can tell apart, type, PNG bytes."""

import io
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from landslide_dist.evaluation.score import BEST_REACHABLE

DPI = 160
#: Of pictures that journals print.
PRINT_DPI = 300
#: Pixels of a picture for print on a side of one on a screen.
SCREEN_STEP = 2
#: Width of a page.
PAGE_WIDTH_IN = 7.5
INK, SOFT, FAINT = "#22262b", "#6b7280", "#e3e6ea"
#: Okabe and Ito (2008), without the yellow that vanishes on white.
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a6d3b", "#3b3b98")
#: Models that use no information on a pixel; drawn in grey.
BASELINES = frozenset({"naive", "random"})
#: Light to dark, so that relief shows through where little is expected.
SUSCEPTIBILITY = LinearSegmentedColormap.from_list(
    "susceptibility", ["#f8f4e6", "#f6dc9f", "#eeab5c", "#d5683f", "#9c2f4c", "#4a0f4f"]
)
#: Low to high ground, rising in lightness.
TERRAIN = LinearSegmentedColormap.from_list(
    "terrain", ["#37594a", "#6f8f63", "#b5b07a", "#d9c7a0", "#f5f1ea"]
)
#: Landslides over the susceptibility colours, which hold no blue.
LANDSLIDE_COLOUR = "#0a7fd0"
PART_COLOURS = {"train": "#56B4E9", "validation": "#E69F00", "test": "#D55E00"}
#: Tol's light scheme (2021) for classes of maps.
CLASS_COLOURS = (
    "#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#44BB99", "#BBCC33", "#99DDFF", "#AAAA00",
)  # fmt: skip
OTHER_COLOUR = "#d4d4d4"


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty white figure that no global state knows of."""
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """The figure as PNG; without time or version, so runs are alike.

    Cut to what is drawn: axes of fixed aspect leave room on some sides and lack it on others.
    """
    buffer = io.BytesIO()
    figure.savefig(
        buffer,
        format="png",
        dpi=dpi,
        bbox_inches="tight",
        pad_inches=0.08,
        metadata={"Software": None},
    )
    return buffer.getvalue()


def smaller(picture: bytes) -> bytes:
    """A picture for print at the size that a screen shows, PNG bytes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").reduce(SCREEN_STEP).save(buffer, "png")
    return buffer.getvalue()


def style(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Quiet axes: a hairline grid, no box, words in grey."""
    axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
    axes.set_xlabel(x, fontsize=9, color=SOFT)
    axes.set_ylabel(y, fontsize=9, color=SOFT)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelsize=8, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FAINT)


def line_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Line of each model: colours for models, grey for baselines, black dashes for the best."""
    styles: dict[str, dict[str, Any]] = {}
    colours = iter(PALETTE * 8)
    baselines = iter((":", "-.") * 8)
    for name in names:
        if name == BEST_REACHABLE:
            styles[name] = {"color": INK, "linestyle": (0, (5, 2)), "linewidth": 1.2, "zorder": 4}
        elif name in BASELINES:
            styles[name] = {"color": "#9aa1aa", "linestyle": next(baselines), "linewidth": 1.3}
        else:
            styles[name] = {"color": next(colours), "linewidth": 1.7, "zorder": 3}
    return styles
