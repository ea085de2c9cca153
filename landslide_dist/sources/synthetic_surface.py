"""The ground of a made-up event in colour, before and after: what grows, lies bare, is tilled.

Forest and grass with the season, fields that are harvested or ploughed between the images, rock,
rivers with gravel, slides of earlier years; and, after the event, the new ones. Only products, sums
and roots: they round alike wherever a window begins.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from landslide_dist.config.sources import SyntheticSource
from landslide_dist.config.synthetic import SyntheticEvent
from landslide_dist.grid import Window
from landslide_dist.sources.fractal import Octaves, noise, terrain_px, uniform
from landslide_dist.sources.synthetic_slides import Cover, event_of

Plane = NDArray[np.float32]
_Numbers = NDArray[Any] | np.floating[Any] | float
#: Reflectance in these bands; an event takes those it is told to.
BANDS = ("red", "green", "blue", "nir")
Colour = tuple[float, float, float, float]
#: Climate -> forest, grass, dry grass, forest in the dry season.
GREENS: Mapping[str, tuple[Colour, Colour, Colour, Colour]] = {
    "tropical": (
        (0.030, 0.060, 0.028, 0.34), (0.070, 0.115, 0.045, 0.40),
        (0.150, 0.150, 0.070, 0.32), (0.045, 0.065, 0.030, 0.30),
    ),
    "temperate": (
        (0.034, 0.052, 0.030, 0.28), (0.085, 0.112, 0.058, 0.34),
        (0.185, 0.160, 0.095, 0.28), (0.095, 0.072, 0.042, 0.23),
    ),
    "boreal": (
        (0.026, 0.036, 0.027, 0.20), (0.080, 0.085, 0.055, 0.26),
        (0.160, 0.125, 0.080, 0.24), (0.060, 0.055, 0.038, 0.19),
    ),
    "dry": (
        (0.060, 0.068, 0.042, 0.22), (0.130, 0.120, 0.075, 0.27),
        (0.240, 0.195, 0.120, 0.30), (0.085, 0.075, 0.048, 0.20),
    ),
}  # fmt: skip
ROCK: Colour = (0.21, 0.20, 0.19, 0.24)
GRAVEL: Colour = (0.29, 0.285, 0.265, 0.32)
WATER: Colour = (0.035, 0.055, 0.060, 0.02)
CROP: Colour = (0.060, 0.100, 0.050, 0.42)
RIPE: Colour = (0.260, 0.210, 0.125, 0.35)

_COVER, _FOREST, _CANOPY, _ROCK, _RIVER, _FARM, _TINT, _GRAIN = range(500, 508)
_STATE, _TURN, _SHADE = range(510, 513)
_PATCHES: Octaves = ((72, 0.7), (24, 0.55), (8, 0.35), (3, 0.25))
#: Sides of a field, pixels, and the share that is tilled between the images.
_FIELD_PX, _TILLED = (17.0, 9.0), 0.4
#: Half the width of the broadest rivers.
_RIVER_PX = 4.0
#: A river lies lower than the ground at this distance.
_VALLEY_PX = 14


class Ground(NamedTuple):
    """A window of the ground.

    Attributes:
        before: Reflectance in daylight before the event, shape (band, height, width).
        after: And after.
        gradient: Rise in pixels per pixel southward and eastward, shape (2, height, width).
    """

    before: Plane
    after: Plane
    gradient: Plane


def ground(
    config: SyntheticSource, window: Window, seasons: tuple[float, float], new: Cover, old: Cover
) -> Ground:
    """Colours of one pair of images.

    Args:
        config: The region and its event.
        window: Any pixels.
        seasons: How dry the season is before and after, 0 to 1.
        new: What the event's slides cover.
        old: What earlier slides cover.
    """
    gradient = _gradient(config, window)
    tilt = np.sqrt(gradient[0] ** 2 + gradient[1] ** 2)
    covers = _covers(config, window, tilt)
    fields = _fields(config, window, tilt)
    river = _river(config, window)
    before, after = (
        _paint(config, window, dryness, covers, fields[when], river, old, new if when else None)
        for when, dryness in enumerate(seasons)
    )
    return Ground(before, after, gradient)


def soil(event: SyntheticEvent) -> Colour:
    """Bare soil in all bands."""
    red, green, blue = event.soil_colour
    return red, green, blue, min(1.0, 1.2 * red + 0.02)


class _Covers(NamedTuple):
    green: Plane  # share that is green
    forest: Plane  # share of that which is forest
    rock: Plane
    canopy: Plane  # brightness, about 1
    tint: Plane  # of bare ground, about 1
    grain: Plane  # how dry a place is in the dry season, about 1


def _covers(config: SyntheticSource, window: Window, tilt: Plane) -> _Covers:
    event, seed = event_of(config), config.seed
    level = np.float32(ndtri(min(max(event.vegetation, 1e-3), 1 - 1e-3)))
    steep = tilt - np.float32(0.45)
    bare = noise(seed, _COVER, _PATCHES, window) + np.float32(0.25) * steep
    green = _step(level - bare, 0.35)
    forest = _step(noise(seed, _FOREST, _PATCHES, window) + np.float32(1.5) * steep + 0.3, 0.3)
    rock = _step(noise(seed, _ROCK, ((20, 0.7), (7, 0.5)), window) + 6 * (tilt - 1.45), 0.5)
    grain = uniform(seed, _SHADE, window).astype(np.float32)
    canopy = 1 + noise(seed, _CANOPY, ((9, 0.12), (4, 0.10)), window) + 0.25 * (grain - 0.5)
    tint = 1 + noise(seed, _TINT, ((40, 0.08), (10, 0.07), (4, 0.06)), window)
    dry = 1 + noise(seed, _GRAIN, ((48, 0.35), (12, 0.2)), window)
    return _Covers(green, forest, rock, *(_f32(plane) for plane in (canopy, tint, dry)))


def _paint(
    config: SyntheticSource,
    window: Window,
    dryness: float,
    covers: _Covers,
    fields: tuple[Plane, Plane],
    river: tuple[Plane, Plane],
    old: Cover,
    new: Cover | None,
) -> Plane:
    """Layer over layer, shape (band, height, width)."""
    event = event_of(config)
    forest, grass, dry_grass, dry_forest = GREENS[event.climate]
    bare = soil(event)
    dry = np.clip(np.float32(dryness) * covers.grain, 0, 1)
    tilled, state = fields
    crop, ripe = _f32(state < 1), _f32((state >= 1) & (state < 2))
    ploughed = 1 - crop - ripe
    gravel, water = river
    aged = _f32(_step(old.depth, 0.25) * old.exposure * np.float32(0.85))
    fresh = None if new is None else _f32(_step(new.depth, 0.22) * new.exposure)
    image = np.empty((len(event.bands), *window.shape), np.float32)
    for number, name in enumerate(event.bands):
        b = BANDS.index(name)
        trees = _mix(forest[b], dry_forest[b], np.float32(0.6) * dry)
        meadow = _mix(grass[b], dry_grass[b], dry)
        ground_ = _f32(_mix(meadow, trees, covers.forest) * covers.canopy)
        earth = np.float32(bare[b]) * covers.tint
        # Old bare ground is weathered and thinly grown, duller than fresh soil.
        worn = _mix(earth * np.float32(0.7), dry_grass[b] * covers.canopy, np.float32(0.45))
        ground_ = _mix(worn, ground_, covers.green)
        farm = CROP[b] * crop + RIPE[b] * ripe + np.float32(0.75 * bare[b]) * ploughed
        ground_ = _mix(ground_, _f32(farm * covers.tint), tilled)
        stone = np.float32(0.75 * ROCK[b] + 0.25 * bare[b]) * covers.tint * covers.canopy
        ground_ = _mix(ground_, stone, covers.rock)
        faded = _mix(earth * np.float32(0.85), ground_, np.float32(0.25))
        ground_ = _mix(ground_, faded, aged)
        if new is not None and fresh is not None:
            # The scar is clean, the toe holds wood and turned topsoil.
            debris = earth * (np.float32(1.12) - np.float32(0.3) * new.along)
            ground_ = _mix(ground_, _f32(debris), fresh)
        ground_ = _mix(ground_, np.float32(GRAVEL[b]) * covers.tint, gravel)
        image[number] = _mix(ground_, np.float32(WATER[b]), water)
    return image


def _fields(
    config: SyntheticSource, window: Window, tilt: Plane
) -> tuple[tuple[Plane, Plane], tuple[Plane, Plane]]:
    """Share that is a field, and its state (0 crop, 1 ripe, 2 ploughed), before and after."""
    seed, event = config.seed, event_of(config)
    level = np.float32(ndtri(min(max(event.farmland, 1e-3), 1 - 1e-3)))
    farm = noise(seed, _FARM, ((64, 0.9), (16, 0.4)), window)
    share = _f32(_step(level - farm, 0.1) * _step(np.float32(0.26) - tilt, 0.05))
    if event.farmland == 0:
        share = np.zeros_like(share)
    # Rows of fields lie askew, each region's its own way.
    slant = float(uniform(seed, _FARM, Window(-1, -1, 1, 1))[0, 0]) - 0.5
    y = np.arange(window.y0, window.y1, dtype=np.float64)[:, None]
    x = np.arange(window.x0, window.x1, dtype=np.float64)[None]
    row = np.floor((y + slant * x) / _FIELD_PX[0]).astype(np.int64)
    shift = np.float64(0.37) * row
    column = np.floor((x - slant * y) / _FIELD_PX[1] + shift).astype(np.int64)
    lattice = Window(
        int(row.min()), int(column.min()), int(np.ptp(row)) + 1, int(np.ptp(column)) + 1
    )
    place = row - lattice.y0, column - lattice.x0
    turn = uniform(seed, _TURN, lattice)[place]
    before = np.floor(3 * uniform(seed, _STATE, lattice)[place])
    after = np.where(turn < _TILLED, (before + 1 + np.floor(2 * turn / _TILLED)) % 3, before)
    # Crop ripens before it is ploughed: what is tilled goes one or two states on.
    return (share, before.astype(np.float32)), (share, after.astype(np.float32))


def _river(config: SyntheticSource, window: Window) -> tuple[Plane, Plane]:
    """Gravel and water along the lines of valleys; see Steger (1998), IEEE TPAMI 20(2).

    Across a valley's line the broad ground has its minimum: the gradient over the curvature is the
    distance to it.
    """
    outer = window.expand(_VALLEY_PX)
    broad = terrain_px(config.seed, outer, 1)
    inner = window.relative_to(outer)
    step = 4  # over less, derivatives of the broad ground would be those of its rounding

    def at(dy: int, dx: int) -> Plane:
        rows = slice(inner.y0 + dy, inner.y1 + dy)
        return broad[rows, inner.x0 + dx : inner.x1 + dx]

    h = at(0, 0)
    gy, gx = (at(step, 0) - at(-step, 0)) / (2 * step), (at(0, step) - at(0, -step)) / (2 * step)
    hyy = (at(step, 0) + at(-step, 0) - 2 * h) / step**2
    hxx = (at(0, step) + at(0, -step) - 2 * h) / step**2
    corners = at(step, step) + at(-step, -step) - at(step, -step) - at(-step, step)
    hxy = corners / (4 * step**2)
    half = (hyy - hxx) / 2
    root = np.sqrt(half * half + hxy * hxy) + np.float32(1e-9)
    bend = (hyy + hxx) / 2 + root  # the largest curvature; its direction follows
    uy, ux = half + root, hxy
    length = np.sqrt(uy * uy + ux * ux) + np.float32(1e-9)
    across = np.abs((gy * uy + gx * ux) / length) / np.maximum(bend, np.float32(1e-6))
    width = np.float32(_RIVER_PX) * noise(config.seed, _RIVER, ((160, 0.45), (40, 0.25)), window)
    width += np.float32(0.35 * _RIVER_PX)
    far = _VALLEY_PX
    low = (at(far, 0) + at(-far, 0) + at(0, far) + at(0, -far)) / 4 - h
    # Along a crest the gradient vanishes, too.
    width = np.where((bend > np.float32(0.012)) & (low > np.float32(0.5)), width, np.float32(-1))
    gravel = _step(_f32(width - across), 0.8)
    water = _step(_f32(np.float32(0.35) * width - across), 0.5)
    return gravel, water


def _gradient(config: SyntheticSource, window: Window) -> Plane:
    """Central differences of the whole ground, in pixels per pixel, shape (2, height, width)."""
    outer = window.expand(1)
    height = terrain_px(config.seed, outer) * np.float32(event_of(config).relief)
    south = (height[2:, 1:-1] - height[:-2, 1:-1]) / 2
    east = (height[1:-1, 2:] - height[1:-1, :-2]) / 2
    return np.stack([south, east])


def _step(x: NDArray[Any], softness: float) -> Plane:
    """0 below -softness, 1 above it, smooth between."""
    t = np.clip((x + np.float32(softness)) / np.float32(2 * softness), 0, 1)
    return _f32(t * t * (3 - 2 * t))


def _mix(under: _Numbers, over: _Numbers, share: _Numbers) -> Plane:
    return _f32(under + (over - under) * share)


def _f32(plane: _Numbers) -> Plane:
    return np.asarray(plane, dtype=np.float32)
