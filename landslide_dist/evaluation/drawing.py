"""What all pictures share: colours that colour-blind readers can tell apart, type, PNG bytes."""

import io
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from landslide_dist import colours
from landslide_dist.evaluation.score import BASELINES, BEST_REACHABLE

DPI = 160
#: Of pictures that journals print.
PRINT_DPI = 300
#: Pixels of a picture for print on a side of one on a screen.
SCREEN_STEP = 2
#: Pictures of more bytes as PNG are maps; lines and words take less.
MAP_BYTES = 150_000
#: WebP quality of maps.
MAP_QUALITY = 84
#: Width of a page.
PAGE_WIDTH_IN = 7.5
INK, SOFT, FAINT = colours.INK, colours.SOFT, colours.FAINT
PALETTE = colours.PALETTE
SUSCEPTIBILITY = LinearSegmentedColormap.from_list("susceptibility", colours.SUSCEPTIBILITY)
TERRAIN = LinearSegmentedColormap.from_list("terrain", colours.TERRAIN)
LANDSLIDE_COLOUR, PART_COLOURS = colours.LANDSLIDE, colours.PARTS
CLASS_COLOURS, OTHER_COLOUR = colours.CLASSES, colours.OTHER


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


def for_page(picture: bytes) -> bytes:
    """A picture as a page shows it, WebP bytes: maps at a loss that no eye sees, lines at none."""
    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    is_map = len(picture) > MAP_BYTES
    image.save(buffer, "webp", lossless=not is_map, quality=MAP_QUALITY if is_map else 60)
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
