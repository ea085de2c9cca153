"""The relief that maps are drawn on, and how probabilities are coloured over it."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from landslide_dist.evaluation.drawing import INK, SUSCEPTIBILITY
from landslide_dist.evaluation.overview import Overview
from landslide_dist.kernels.terrain import hillshade

#: Share of the pixels below the darkest colour.
TOP_QUANTILE = 0.995
#: Labels are drawn as dots where fewer of a picture's pixels than this share hold one.
POINTS_SHARE = 0.02
#: Mean rise per metre that relief is exaggerated, or flattened, to.
MEAN_RISE = 0.35


@dataclass(frozen=True)
class Ground:
    """Hillshade of an overview, and where on the ground it lies."""

    overview: Overview
    shade: NDArray[np.float32]
    missing: NDArray[np.bool_]

    @classmethod
    def of(cls, overview: Overview) -> "Ground":
        """The ground of an overview, from its elevation."""
        elevation = overview.mean("elevation")
        shade = relief(elevation, overview.pixel_m)
        return cls(overview, np.nan_to_num(shade, nan=0.7), np.isnan(elevation))

    def draw(self, axes: Axes, title: str) -> None:
        """Relief in light grey, no axes."""
        light = 0.55 + 0.45 * self.shade
        light[self.missing] = 1.0
        axes.imshow(light, cmap="gray", vmin=0, vmax=1, interpolation="auto")
        axes.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold")
        axes.set_axis_off()

    def shaded(self, colours: NDArray[np.float64]) -> NDArray[np.float64]:
        """RGBA colours darkened by the relief, transparent where there is no ground."""
        out = colours.copy()
        out[..., :3] *= (0.6 + 0.4 * self.shade)[..., None]
        out[self.missing, 3] = 0.0
        return out

    def fill(self, axes: Axes, where: NDArray[np.bool_], colour: str, alpha: float) -> None:
        """One colour where a mask is set."""
        rgba = np.empty((*where.shape, 4))
        rgba[..., :3] = to_rgb(colour)
        rgba[..., 3] = np.where(where, alpha, 0.0)
        axes.imshow(self.shaded(rgba), interpolation="auto")


def probability_norm(maps: list[NDArray[np.float32]]) -> LogNorm:
    """Logarithmic colours: probabilities of one map differ by orders of magnitude."""
    values = np.concatenate([m[np.isfinite(m)] for m in maps])
    if not values.size:
        return LogNorm(1e-3, 1)
    top = float(np.quantile(values, TOP_QUANTILE))
    bottom = max(float(np.quantile(values, 0.05)), top / 300, 1e-6)
    return LogNorm(bottom, max(top, 1.5 * bottom))


def draw_probability(
    axes: Axes, ground: Ground, probability: NDArray[np.float32], norm: LogNorm
) -> AxesImage:
    """Probability over the relief; returns what a colour bar needs."""
    missing = np.isnan(probability)
    colours = SUSCEPTIBILITY(norm(np.clip(np.where(missing, 1.0, probability), norm.vmin, None)))
    colours[missing, 3] = 0
    axes.imshow(ground.shaded(colours), interpolation="auto")
    return AxesImage(axes, cmap=SUSCEPTIBILITY, norm=norm)


def labels_are_points(overview: Overview) -> bool:
    """Whether so few pixels are labelled that they are to be drawn as dots."""
    return bool(overview.holds("landslide", {0, 1}).mean() < POINTS_SHARE)


def draw_points(axes: Axes, where: NDArray[np.bool_], colour: str, label: str) -> list[Line2D]:
    """A dot on each pixel of a mask; returns what a legend needs."""
    rows, columns = np.nonzero(where)
    return axes.plot(
        columns, rows, "o", color=colour, markersize=4, markeredgecolor="white",
        markeredgewidth=0.3, label=label,
    )  # fmt: skip


def aspect_of(overview: Overview) -> float:
    """Height over width of a picture, within what a page can hold."""
    return float(np.clip(overview.shape[0] / overview.shape[1], 0.3, 2.5))


def relief(elevation: NDArray[np.float32], pixel_m: float) -> NDArray[np.float32]:
    """Hillshade, exaggerated so that relief keeps its contrast however far it is shrunk."""
    padded = np.pad(elevation, 1, mode="edge")
    south, east = np.gradient(padded, pixel_m)
    rise = np.hypot(east, south)
    mean = float(np.nanmean(rise)) if np.isfinite(rise).any() else 0.0
    z_factor = MEAN_RISE / mean if mean > 0 else 1.0
    return hillshade(padded, pixel_m, z_factor=z_factor)[1:-1, 1:-1]
