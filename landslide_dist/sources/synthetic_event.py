"""A made-up landslide event: its terrain, its slides, and satellite images before and after.

In order of the path: ``synthetic_path`` (where ground fails, and runs to), ``synthetic_slides``
(bodies), ``synthetic_surface`` (colours before and after), ``synthetic_sensor`` (what is seen of
them); then here as sources of a cube. Regions of any size are made block by block, and a block
equals the same window of the whole, bit for bit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist import schema
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.grid import Window
from landslide_dist.schema import Variable
from landslide_dist.sources.fractal import elevation
from landslide_dist.sources.synthetic_sensor import Sensor
from landslide_dist.sources.synthetic_slides import NEW_FIELD, OLD_FIELD, Slides, event_of
from landslide_dist.sources.synthetic_surface import ground

#: Slides of earlier years cover this share of what the event's do.
_OLD_SHARE, _MAX_OLD = 0.35, 0.03
_ROLES = ("pre", "post")
_EVENT_DAY = date(2018, 6, 15)
#: Days between the two images of a pair: at least, and more by how far their seasons lie apart.
_MIN_DAYS, _SEASON_DAYS = 12, 150


def event_elevation(config: SyntheticSource, window: Window) -> NDArray[np.float32]:
    """Elevation in metres, shape (height, width)."""
    relief = np.float32(event_of(config).relief)
    return elevation(config.seed, config.pixel_m, window) * relief


def event_landslides(slides: Slides, window: Window) -> NDArray[np.uint8]:
    """1 under the event's slides, else 0, shape (height, width)."""
    return (slides.cover(window).depth > 0).astype(np.uint8)


def event_slides(config: SyntheticSource) -> Slides:
    """The event's slides."""
    return Slides.of(config, NEW_FIELD, config.base_rate, event_of(config).single)


@dataclass(frozen=True)
class SyntheticImagery:
    """All images of an event, readable block by block; as :class:`~.imagery.Imagery` is.

    Attributes:
        config: The region and its event.
        new: Slides of the event.
        old: Slides of earlier years.
        sensors: One an image, before and after of each pair.
    """

    config: SyntheticSource
    new: Slides
    old: Slides
    sensors: tuple[Sensor, ...]

    @property
    def bands(self) -> tuple[str, ...]:
        """Common names, in channel order."""
        return event_of(self.config).bands

    @property
    def variables(self) -> tuple[Variable, Variable]:
        """``reflectance`` and ``valid``."""
        times = len(self.sensors)
        return schema.reflectance(times, len(self.bands)), schema.valid(times)

    @property
    def coords(self) -> Mapping[str, tuple[str, ...] | tuple[int, ...]]:
        """``time`` (ISO dates), ``role`` and ``pair`` along time; ``band``."""
        return {
            "time": tuple(self._day(sensor.number) for sensor in self.sensors),
            "role": tuple(_ROLES[sensor.number % 2] for sensor in self.sensors),
            "pair": tuple(sensor.number // 2 for sensor in self.sensors),
            "band": self.bands,
        }

    def read(self, window: Window) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """One block; it never depends on the window it is read in.

        Args:
            window: Lies inside the grid.

        Returns:
            Reflectance x 10000, at least 1, shape (time, band, height, width); 1 where it is clear,
            shape (time, height, width). Clouds and shadows keep their reflectance.
        """
        new, old = self.new.cover(window), self.old.cover(window)
        images = []
        for before, after in zip(self.sensors[::2], self.sensors[1::2], strict=True):
            seasons = before.dryness, after.dryness
            colours = ground(self.config, window, seasons, new, old)
            images.append(before.see(colours.before, colours.gradient, window))
            images.append(after.see(colours.after, colours.gradient, window))
        values, clear = zip(*images, strict=True)
        return np.stack(values), np.stack(clear)

    def provenance(self) -> list[dict[str, Any]]:
        """No file: the seed alone, for every image."""
        return [
            {
                "path": "synthetic:reflectance",
                "seed": self.config.seed,
                "role": _ROLES[sensor.number % 2],
                "pair": sensor.number // 2,
                "date": self._day(sensor.number),
            }
            for sensor in self.sensors
        ]

    def _day(self, number: int) -> str:
        """The nearest to the event are those of the first pair."""
        season = event_of(self.config).season
        days = round(_MIN_DAYS * (1 + number // 2) + _SEASON_DAYS * abs(season))
        return (_EVENT_DAY + timedelta(days if number % 2 else -days)).isoformat()


def synthetic_imagery(config: SyntheticSource) -> SyntheticImagery:
    """The images of a region that has an event."""
    event = event_of(config)
    old_rate = min(_MAX_OLD, _OLD_SHARE * config.base_rate)
    sensors = tuple(Sensor.of(config, number) for number in range(2 * event.num_pairs))
    old = Slides.of(config, OLD_FIELD, old_rate, single=False)
    return SyntheticImagery(config, event_slides(config), old, sensors)


def event_makers(
    config: SyntheticSource,
) -> list[tuple[Variable, Callable[[Window], NDArray[Any]]]]:
    """Elevation and landslides, and what makes their blocks."""
    return [
        (schema.ELEVATION, partial(event_elevation, config)),
        (schema.LANDSLIDE, partial(event_landslides, event_slides(config))),
    ]
