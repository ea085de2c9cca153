"""How a satellite sees the ground of a made-up event: sun, haze, clouds, gain and noise.

Every image has a sun, haze, clouds and gains of its own, drawn from the seed and its number; a
later pair is another sensor's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.sources import SyntheticSource
from landslide_dist.grid import Window
from landslide_dist.sources.fractal import Octaves, noise, uniform
from landslide_dist.sources.synthetic_slides import event_of
from landslide_dist.sources.synthetic_surface import BANDS, Plane

#: Light scattered back by haze, as BANDS.
_HAZE = (0.10, 0.125, 0.165, 0.06)
_CLOUD, _SHADOW = 0.62, 0.35
_CLOUDS: Octaves = ((96, 0.75), (36, 0.5), (12, 0.35), (5, 0.2))
#: Share of the light that comes from the sky, and so lies on slopes away from the sun.
_SKYLIGHT = 0.25
#: First field of noise of the images, and how many each has.
_FIRST_FIELD, _FIELDS_PER_IMAGE = 600, 20
_DRAWS, _CLOUD_FIELD, _VEIL, _NOISE = 0, 1, 2, 3
#: The share under clouds is set on at most this many windows along each axis, of this side.
_SAMPLES, _SAMPLE_PX = 8, 128


@dataclass(frozen=True)
class Sensor:
    """One image's circumstances.

    Attributes:
        config: The region and its event.
        number: Of the image.
        dryness: Of the season, 0 to 1.
        sun: Direction to the sun: southward, eastward, up.
        haze: Strength.
        noise: Deviation of reflectance.
        gains: One a band.
        shadow_px: How far south and east a cloud's shadow lies.
        cloud_level: Noise above which there is cloud; infinite for none.
    """

    config: SyntheticSource
    number: int
    dryness: float
    sun: tuple[float, float, float]
    haze: float
    noise: float
    gains: tuple[float, ...]
    shadow_px: tuple[int, int]
    cloud_level: float

    @classmethod
    def of(cls, config: SyntheticSource, number: int) -> "Sensor":
        """Draw the circumstances of an image; even numbers are before the event, odd ones after."""
        event = event_of(config)
        draws = uniform(config.seed, _field(number, _DRAWS), Window(0, 0, 1, 12))[0]
        season = max(0.0, event.season if number % 2 else -event.season)
        dryness = min(1.0, season * (0.8 + 0.4 * draws[0]))
        height_deg = 55 - 20 * season + 10 * (draws[1] - 0.5)
        azimuth_deg = 145 + 40 * (draws[2] - 0.5)
        height, azimuth = np.deg2rad(height_deg), np.deg2rad(azimuth_deg)
        sun = -np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)
        shadow = -18 * sun[0] / sun[2], -18 * sun[1] / sun[2]
        # Pixels of later pairs are noisier, their air is another.
        grade = 1 + 0.5 * (number // 2) * draws[3]
        haze = event.haze * (0.6 + 0.8 * draws[4])
        gains = tuple(1 + 0.1 * (float(draw) - 0.5) for draw in draws[5 : 5 + len(event.bands)])
        shadow_px = int(np.rint(shadow[0])), int(np.rint(shadow[1]))
        level = _cloud_level(config, number, shadow_px, event.cloud)
        direction = float(sun[0]), float(sun[1]), float(sun[2])
        return cls(
            config, number, dryness, direction, float(haze), float(event.noise * grade), gains,
            shadow_px, level,
        )  # fmt: skip

    def see(
        self, colour: Plane, gradient: Plane, window: Window
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """The image of a window.

        Args:
            colour: Reflectance in daylight, shape (band, height, width).
            gradient: Of the ground, southward and eastward, shape (2, height, width).
            window: Where.

        Returns:
            Reflectance x 10000, shape (band, height, width), at least 1; 1 where clear, 0 under
            clouds and their shadows, shape (height, width).
        """
        seed, event = self.config.seed, event_of(self.config)
        light = self._light(gradient)
        veil = 1 + noise(seed, self._field(_VEIL), ((160, 0.3), (60, 0.2)), window)
        haze = np.clip(np.float32(0.5 * self.haze) * veil, 0, 1)
        cloud, shadow, clear = self._clouds(window)
        values = np.empty(colour.shape, np.uint16)
        for number, name in enumerate(event.bands):
            seen = colour[number] * light
            seen = seen * (1 - shadow * np.float32(1 - _SHADOW))
            seen += (np.float32(_HAZE[BANDS.index(name)]) - seen * np.float32(0.6)) * haze
            seen += (np.float32(_CLOUD) - seen) * cloud
            seen *= np.float32(self.gains[number])
            seen += np.float32(2 * self.noise) * self._grain(number, window)
            values[number] = np.clip(np.rint(seen * np.float32(10_000)), 1, 20_000)
        return values, clear.astype(np.uint8)

    def _field(self, purpose: int) -> int:
        return _field(self.number, purpose)

    def _light(self, gradient: Plane) -> Plane:
        """Light on a slope over that on level ground."""
        south, east = gradient
        up = np.float32(self.sun[2])
        # A slope that falls towards the sun faces it.
        facing = up - south * np.float32(self.sun[0]) - east * np.float32(self.sun[1])
        facing /= np.sqrt(1 + south * south + east * east)
        direct = np.maximum(facing, 0) / up
        return np.asarray(_SKYLIGHT + (1 - _SKYLIGHT) * direct, dtype=np.float32)

    def _clouds(self, window: Window) -> tuple[Plane, Plane, NDArray[np.bool_]]:
        """How opaque clouds are, how deep their shadows, and where there is neither."""
        if not np.isfinite(self.cloud_level):
            none = np.zeros(window.shape, np.float32)
            return none, none, np.ones(window.shape, np.bool_)
        over, beside = _cloud_fields(self.config, self.number, self.shadow_px, window)
        level = np.float32(self.cloud_level)
        cloud, shadow = (np.clip((field - level) / 0.25, 0, 1) for field in (over, beside))
        clear = np.maximum(over, beside) <= level
        return np.asarray(cloud, np.float32), np.asarray(shadow, np.float32), clear

    def _grain(self, band: int, window: Window) -> Plane:
        """About normal, deviation 1/2: the sum of three uniform numbers."""
        first = self._field(_NOISE + 3 * band)
        total = sum(uniform(self.config.seed, first + k, window) for k in range(3))
        return np.asarray(total - 1.5, dtype=np.float32)


def _field(number: int, purpose: int) -> int:
    return _FIRST_FIELD + number * _FIELDS_PER_IMAGE + purpose


def _cloud_fields(
    config: SyntheticSource, number: int, shadow_px: tuple[int, int], window: Window
) -> tuple[Plane, Plane]:
    """Noise whose summits are clouds, and the same where their shadows fall."""
    moved = Window(window.y0 - shadow_px[0], window.x0 - shadow_px[1], *window.shape)
    field = _field(number, _CLOUD_FIELD)
    return noise(config.seed, field, _CLOUDS, window), noise(config.seed, field, _CLOUDS, moved)


def _cloud_level(
    config: SyntheticSource, number: int, shadow_px: tuple[int, int], share: float
) -> float:
    """The level above which that share of the raster lies under cloud or shadow."""
    if share == 0:
        return float("inf")
    rows, columns = (_spread(length) for length in (config.height, config.width))
    highest = [
        np.maximum(*_cloud_fields(config, number, shadow_px, Window(y0, x0, height, width))).ravel()
        for y0, height in rows
        for x0, width in columns
    ]
    return float(np.quantile(np.concatenate(highest), 1 - share))


def _spread(length: int) -> list[tuple[int, int]]:
    """Starts and lengths of the samples along one axis; all of a short one."""
    if length <= _SAMPLES * _SAMPLE_PX:
        return [(0, length)]
    starts = np.linspace(0, length - _SAMPLE_PX, _SAMPLES)
    return [(int(start), _SAMPLE_PX) for start in starts]
