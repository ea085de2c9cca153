"""A made-up region whose landslide probability is known: terrain, maps, landslides, the truth.

Or, with an event, terrain and its landslides alone (:mod:`~landslide_dist.sources.synthetic_event`
makes them, and the images).

Terrain and maps are pure functions of seed and pixel (:mod:`~landslide_dist.sources.fractal`,
:mod:`~landslide_dist.sources.geology`), and so are the probability
(:mod:`~landslide_dist.sources.hazard`) and the draws, given the raster's edges and the constant
that sets the base rate. Regions of any size are made block by block, and a block equals the same
window of the whole, bit for bit.

The best reachable scores are exact: they are those of ``true_probability``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from landslide_dist.config.categories import synthetic
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import ELEVATION, LANDSLIDE, TRUE_PROBABILITY, Variable, categorical
from landslide_dist.sources import geology, slides
from landslide_dist.sources.fractal import elevation, uniform
from landslide_dist.sources.hazard import log_odds
from landslide_dist.sources.protocol import BlockSource
from landslide_dist.sources.synthetic_event import event_makers

CRS = "EPSG:32632"
#: Upper-left corner, metres.
ORIGIN_M = (600_000.0, 5_150_000.0)
_DRAW_FIELD = geology.NUM_FIELDS
#: The base rate is set on at most this many windows along each axis, of this side.
_SAMPLES, _SAMPLE_PX = 8, 64
_BISECTIONS = 60
_MAX_CONSTANT = 40.0


@dataclass(frozen=True)
class SyntheticField:
    """One variable of the region.

    Attributes:
        variable: What it is.
        make: Its values in a window inside the raster.
        seed: Seed of the region, for the provenance.
    """

    variable: Variable
    make: Callable[[Window], NDArray[Any]]
    seed: int

    def read(self, window: Window) -> NDArray[Any]:
        """One block, shape (height, width)."""
        return self.make(window)

    def provenance(self) -> list[dict[str, Any]]:
        """No file: the seed alone."""
        return [{"path": f"synthetic:{self.variable.name}", "seed": self.seed}]


def synthetic_grid(config: SyntheticSource) -> Grid:
    """The grid of a region, in UTM zone 32 north."""
    left, top = ORIGIN_M
    transform = Affine(config.pixel_m, 0.0, left, 0.0, -config.pixel_m, top)
    return Grid(CRS, transform, (config.height, config.width))


def synthetic_sources(config: SyntheticSource) -> dict[str, BlockSource]:
    """Every variable of the region, by its name in the cube.

    Raises:
        ConfigError: The pixel size does not tell the looking distances apart.
    """
    seed = config.seed
    if config.event is not None:
        return {
            variable.name: SyntheticField(variable, make, seed)
            for variable, make in event_makers(config)
        }
    constant = balance(config)
    makers: list[tuple[Variable, Callable[[Window], NDArray[Any]]]] = [
        (ELEVATION, partial(elevation, seed, config.pixel_m)),
        (_categorical("lithology"), partial(geology.lithology, seed)),
        (_categorical("land_cover"), partial(geology.land_cover, seed)),
        (_categorical("rock_family"), partial(geology.rock_family, seed)),
        (_categorical("rock_age"), partial(geology.rock_age, seed)),
        (TRUE_PROBABILITY, partial(true_probability, config, constant)),
        (LANDSLIDE, partial(landslides, config, constant)),
    ]
    return {variable.name: SyntheticField(variable, make, seed) for variable, make in makers}


def true_probability(
    config: SyntheticSource, constant: float, window: Window
) -> NDArray[np.float32]:
    """Probability that a pixel is a landslide, given elevation and maps.

    Args:
        config: The region.
        constant: Part of the log odds that sets the base rate, from :func:`balance`.
        window: Pixels inside the raster.

    Returns:
        Shape (height, width). ``pixels``: the logistic function of the log odds; ``polygons``: the
        probability that at least one landslide covers the pixel.
    """
    if config.inventory == "pixels":
        return _logistic(log_odds(config, window) + constant).astype(np.float32)
    outer = window.expand(slides.REACH_PX).clip((config.height, config.width))
    starts, direction = _starts(config, constant, outer)
    inner = window.relative_to(outer).slices
    return slides.coverage(starts, direction)[inner].astype(np.float32)


def landslides(config: SyntheticSource, constant: float, window: Window) -> NDArray[np.uint8]:
    """One draw of the landslides, shape (height, width): 1 or 0.

    ``pixels``: each pixel by itself; ``polygons``: each body by itself.
    """
    if config.inventory == "pixels":
        drawn = uniform(config.seed, _DRAW_FIELD, window)
        return (drawn < true_probability(config, constant, window)).astype(np.uint8)
    outer = window.expand(slides.REACH_PX).clip((config.height, config.width))
    starts, direction = _starts(config, constant, outer)
    started = uniform(config.seed, _DRAW_FIELD, outer) < -np.expm1(-starts)
    inner = window.relative_to(outer).slices
    return slides.covered(started, direction)[inner].astype(np.uint8)


def balance(config: SyntheticSource) -> float:
    """The constant of the log odds that gives about the base rate, from sample windows.

    ``polygons`` leaves out that bodies reach from their start into their surroundings.
    """
    odds = np.concatenate([log_odds(config, window).ravel() for window in _samples(config)])
    low, high = -_MAX_CONSTANT, _MAX_CONSTANT
    for _ in range(_BISECTIONS):
        constant = (low + high) / 2
        if config.inventory == "pixels":
            rate = float(_logistic(odds + constant).mean())
        else:
            rate = float(-np.expm1(-np.exp(odds + constant)).mean())
        low, high = (constant, high) if rate < config.base_rate else (low, constant)
    return (low + high) / 2


def _starts(
    config: SyntheticSource, constant: float, window: Window
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Rate of starts of each pixel, and which body starts there."""
    around = window.expand(slides.DIRECTION_PX).clip((config.height, config.width))
    ground = elevation(config.seed, config.pixel_m, around)
    direction = slides.directions(ground)[window.relative_to(around).slices]
    rate = np.exp(log_odds(config, window) + constant)
    return slides.start_rate(rate, direction), direction


def _samples(config: SyntheticSource) -> Iterator[Window]:
    """Windows spread evenly over the raster; all of it where it is small."""
    rows, columns = (_spread(length) for length in (config.height, config.width))
    for y0, height in rows:
        for x0, width in columns:
            yield Window(y0, x0, height, width)


def _spread(length: int) -> list[tuple[int, int]]:
    """Starts and lengths of the samples along one axis."""
    if length <= _SAMPLES * _SAMPLE_PX:
        return [(0, length)]
    starts = np.linspace(0, length - _SAMPLE_PX, _SAMPLES)
    return [(int(start), _SAMPLE_PX) for start in starts]


def _logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    probability: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
    return probability


def _categorical(name: str) -> Variable:
    return categorical(name, synthetic()[name].codes)
