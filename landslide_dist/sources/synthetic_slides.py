"""Bodies of a made-up landslide event: where slides start, where they run, what they cover.

Slides fall into classes of area, each twice the last, and start in the cells of a lattice that is
coarser for larger ones: one draw a cell. Their number falls with area as in inventories of events.
A slide runs downhill from its start; its body is a chain of discs along that path, with an edge of
noise. All is a pure function of seed and pixel: a block reads the ground as far around as slides
reach, and holds what the whole holds, bit for bit.

Source: power law of areas with exponent 2.3, Malamud et al. (2004), Earth Surface Processes and
Landforms 29; upper slopes of earthquakes and hollows of rain, Meunier et al. (2008), Geophysical
Research Letters 35.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from landslide_dist.config.sources import SyntheticSource
from landslide_dist.config.synthetic import SyntheticEvent
from landslide_dist.grid import Window
from landslide_dist.sources.fractal import noise, terrain_px, uniform
from landslide_dist.sources.synthetic_path import LOOK_PX, profile, suitability, trace

#: Octaves of crests that slides feel; finer ones would stop them in every pit.
NUM_RIDGES = 4
#: Number of slides per area falls with area to this power, so their share of all with it plus 2.
_EXPONENT = -2.3
#: Length over width of earthquake and of rainfall slides, smallest and largest.
_ASPECTS = {"earthquake": (1.4, 2.6), "rainfall": (3.0, 6.5)}
_SINGLE_ASPECT = 11.0
#: Area of a body over that of the rectangle around it, and area of a cell over that of a body.
_FILL, _CELL = {"earthquake": 1.0, "rainfall": 0.8}, 4.0
#: What is drawn for each cell: whether, where (2), area, aspect, exposure.
_NUM_DRAWS = 6
#: Fields of noise of the new and of the old slides.
NEW_FIELD, OLD_FIELD = 100, 300
_INTENSITY, _EDGE, _DRAWS = 0, 1, 2
#: Side of the part of a raster where a single slide may lie, and between the starts tried.
_SINGLE_PX, _SINGLE_STEP_PX = 1024, 16
#: Windows along each axis, their side, and the step of pixels at which starts are counted.
_SAMPLES, _SAMPLE_PX, _SAMPLE_STEP = 6, 64, 4


class Cover(NamedTuple):
    """What slides cover in a window, each of shape (height, width).

    Attributes:
        depth: How far within a body, 0 outside, about 1 along its middle.
        along: Where along its path, 0 at the head, 1 at the toe.
        exposure: Share of the ground that it laid bare, 0 to 1.
    """

    depth: NDArray[np.float32]
    along: NDArray[np.float32]
    exposure: NDArray[np.float32]


@dataclass(frozen=True)
class Slides:
    """An inventory of slides.

    Attributes:
        config: The region and its event.
        field: First of its fields of noise.
        rate: Share of the ground that bodies cover.
        mean: Mean suitability of the ground.
        path: Of a single slide, shape (points, 2), row and column; None for many.
    """

    config: SyntheticSource
    field: int
    rate: float
    mean: float
    path: NDArray[np.float64] | None

    @classmethod
    def of(cls, config: SyntheticSource, field: int, rate: float, single: bool) -> "Slides":
        """Weigh the ground, or choose where a single slide runs."""
        if single:
            return cls(config, field, rate, 1.0, _longest_path(config, rate))
        return cls(config, field, rate, _mean_suitability(config, field), None)

    def cover(self, window: Window) -> Cover:
        """What they cover in a window."""
        edge = noise(self.config.seed, self.field + _EDGE, ((12, 0.16), (5, 0.12)), window)
        out = np.zeros((3, *window.shape), np.float32)
        if self.path is not None:
            width_px = _single_width_px(self.config, self.rate)
            place = window.y0, window.x0
            profile(self.path, len(self.path), width_px / 2, True, 0.95, edge, *place, out)
        else:
            self._add_many(window, edge, out)
        return Cover(*out)

    def _add_many(
        self, window: Window, edge: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        event = event_of(self.config)
        outer = window.expand(_reach_px(event) + LOOK_PX)
        ground = guiding_ground(self.config, outer)
        intensity = noise(self.config.seed, self.field + _INTENSITY, ((128, 1.0),), outer)
        for number, (area_px, share) in enumerate(_classes(event)):
            cell_px = _cell_px(area_px)
            reach_px = _length_px(event, 2 * area_px)
            lattice = _cells(window.expand(reach_px), cell_px)
            first = self.field + _DRAWS + number * _NUM_DRAWS
            draws = np.stack(
                [uniform(self.config.seed, first + k, lattice) for k in range(_NUM_DRAWS)]
            )
            # Areas of a class are uniform between its smallest and twice that.
            chance = self.rate * share * cell_px**2 / (1.5 * area_px * self.mean)
            _draw(
                draws, (lattice.y0, lattice.x0), cell_px, chance, area_px,
                _ASPECTS[event.trigger], _FILL[event.trigger], event.trigger == "rainfall",
                ground, intensity, (outer.y0, outer.x0), edge, (window.y0, window.x0), out,
            )  # fmt: skip


def event_of(config: SyntheticSource) -> SyntheticEvent:
    """The event of a region that has one."""
    assert config.event is not None  # whoever asks has looked
    return config.event


def guiding_ground(config: SyntheticSource, window: Window) -> NDArray[np.float32]:
    """Height in pixels, without the finest crests, shape (height, width)."""
    relief = np.float32(event_of(config).relief)
    return terrain_px(config.seed, window, NUM_RIDGES) * relief


def _classes(event: SyntheticEvent) -> Iterator[tuple[float, float]]:
    """Smallest area of each class, pixels, and its share of the area of all."""
    smallest, largest = event.area_px
    number = _num_classes(event)
    areas = smallest * (largest / smallest) ** (np.arange(number) / number)
    shares = areas ** (_EXPONENT + 2)
    yield from zip(areas.tolist(), (shares / shares.sum()).tolist(), strict=True)


def _num_classes(event: SyntheticEvent) -> int:
    return max(1, int(np.ceil(np.log2(event.area_px[1] / event.area_px[0]))))


def _cell_px(area_px: float) -> int:
    return round(float(np.sqrt(_CELL * area_px)))


def _length_px(event: SyntheticEvent, area_px: float) -> int:
    """The farthest that a body of an area reaches from its start."""
    (low, high), fill = _ASPECTS[event.trigger], _FILL[event.trigger]
    length_px, width_px = np.sqrt(area_px * high / fill), np.sqrt(area_px / (fill * low))
    return int(length_px + 1.5 * width_px) + 4


def _reach_px(event: SyntheticEvent) -> int:
    return max(_length_px(event, 2 * area_px) for area_px, _ in _classes(event))


def _cells(window: Window, cell_px: int) -> Window:
    """The cells that a window touches, as a window of the lattice."""
    y0, x0 = window.y0 // cell_px, window.x0 // cell_px
    return Window(y0, x0, (window.y1 - 1) // cell_px - y0 + 1, (window.x1 - 1) // cell_px - x0 + 1)


def _mean_suitability(config: SyntheticSource, field: int) -> float:
    """Over windows spread evenly over the raster."""
    rows, columns = (
        np.unique(np.linspace(0, max(0, length - _SAMPLE_PX), _SAMPLES).astype(int))
        for length in (config.height, config.width)
    )
    rain = event_of(config).trigger == "rainfall"
    means = []
    for y0 in rows:
        for x0 in columns:
            outer = Window(int(y0), int(x0), _SAMPLE_PX, _SAMPLE_PX).expand(LOOK_PX)
            ground = guiding_ground(config, outer)
            intensity = noise(config.seed, field + _INTENSITY, ((128, 1.0),), outer)
            means.append(_mean(ground, intensity, rain))
    return max(float(np.mean(means)), 1e-6)


def _single_width_px(config: SyntheticSource, rate: float) -> float:
    height, width = (min(length, _SINGLE_PX) for length in (config.height, config.width))
    return float(np.sqrt(rate * height * width / (_FILL["rainfall"] * _SINGLE_ASPECT)))


def _longest_path(config: SyntheticSource, rate: float) -> NDArray[np.float64]:
    """Of those that start on a lattice in the middle of the raster, the one that runs farthest."""
    height, width = (min(length, _SINGLE_PX) for length in (config.height, config.width))
    middle = Window((config.height - height) // 2, (config.width - width) // 2, height, width)
    width_px = _single_width_px(config, rate)
    length = int(width_px * _SINGLE_ASPECT)
    relief = np.float32(event_of(config).relief)
    ground = terrain_px(config.seed, middle, 2) * relief
    margin = min(int(width_px) + LOOK_PX, min(height, width) // 3)
    best = np.zeros((0, 2))
    best_drop = -1.0
    path = np.empty((length + 1, 2))
    for y in range(margin, height - margin, _SINGLE_STEP_PX):
        for x in range(margin, width - margin, _SINGLE_STEP_PX):
            start = float(middle.y0 + y), float(middle.x0 + x)
            count = trace(ground, (middle.y0, middle.x0), start, length, True, margin, path)
            last = path[count - 1].astype(int) - (middle.y0, middle.x0)
            drop = float(ground[y, x] - ground[last[0], last[1]]) * count
            if drop > best_drop:
                best, best_drop = path[:count].copy(), drop
    return best


@njit(nogil=True, cache=True)
def _mean(ground: NDArray[np.float32], intensity: NDArray[np.float32], rain: bool) -> float:
    total, count = 0.0, 0
    for i in range(LOOK_PX, ground.shape[0] - LOOK_PX, _SAMPLE_STEP):
        for j in range(LOOK_PX, ground.shape[1] - LOOK_PX, _SAMPLE_STEP):
            total += suitability(ground, intensity[i, j], i, j, rain)
            count += 1
    return total / count


@njit(nogil=True, cache=True)
def _draw(
    draws: NDArray[np.float64],
    first_cell: tuple[int, int],
    cell_px: int,
    chance: float,
    area_px: float,
    aspects: tuple[float, float],
    fill: float,
    rain: bool,
    ground: NDArray[np.float32],
    intensity: NDArray[np.float32],
    outer: tuple[int, int],
    edge: NDArray[np.float32],
    place: tuple[int, int],
    out: NDArray[np.float32],
) -> None:
    """Add the bodies of one class; positions are those of the raster, whatever the window."""
    path = np.empty((400, 2))
    for row in range(draws.shape[1]):
        for column in range(draws.shape[2]):
            y = (first_cell[0] + row + draws[1, row, column]) * cell_px
            x = (first_cell[1] + column + draws[2, row, column]) * cell_px
            i, j = int(np.floor(y)) - outer[0], int(np.floor(x)) - outer[1]
            # Cells at the rim reach beyond the ground; their slides do not reach the window.
            if min(i, j) < LOOK_PX or (
                i >= ground.shape[0] - LOOK_PX or j >= ground.shape[1] - LOOK_PX
            ):
                continue
            fit = suitability(ground, intensity[i, j], i, j, rain)
            if draws[0, row, column] >= chance * fit:
                continue
            aspect = aspects[0] + (aspects[1] - aspects[0]) * draws[4, row, column]
            area = area_px * (1 + draws[3, row, column])
            width = np.sqrt(area / (fill * aspect))
            count = trace(ground, outer, (y, x), int(width * aspect), rain, LOOK_PX, path)
            # Every third is thin: trees and grass show through.
            exposed = draws[5, row, column]
            exposure = 0.3 + 0.6 * exposed if exposed < 0.35 else 0.6 + 0.4 * exposed
            profile(path, count, width / 2, rain, exposure, edge, place[0], place[1], out)
