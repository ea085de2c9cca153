"""Where pixels are: the target :class:`Grid` of a cube and integer :class:`Window` arithmetic.

A grid is north-up with square pixels in a projected CRS in metres; row 0 is the northern edge.
Windows are half-open boxes in pixel coordinates and may reach beyond the raster: readers fill what
lies outside.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Proj
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info
from pyproj.exceptions import CRSError, ProjError

from landslide_dist.errors import ConfigError

#: Relative difference below which two pixel sizes or origins are the same number.
TOLERANCE = 1e-6
#: Share by which lengths on a map may differ from those on the ground.
MAX_DISTORTION = 0.05


@dataclass(frozen=True, order=True)
class Window:
    """A half-open box of pixels: rows ``y0 .. y0 + height``, columns ``x0 .. x0 + width``."""

    y0: int
    x0: int
    height: int
    width: int

    @property
    def y1(self) -> int:
        """First row below the window."""
        return self.y0 + self.height

    @property
    def x1(self) -> int:
        """First column right of the window."""
        return self.x0 + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in an array of the whole raster; the window must lie inside it."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def expand(self, halo_px: int) -> "Window":
        """The window with ``halo_px`` more pixels on each side; negative values shrink it."""
        return Window(
            self.y0 - halo_px,
            self.x0 - halo_px,
            self.height + 2 * halo_px,
            self.width + 2 * halo_px,
        )

    def intersect(self, other: "Window") -> "Window":
        """The common part; of height or width 0 where there is none."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        return Window(
            y0, x0, max(0, min(self.y1, other.y1) - y0), max(0, min(self.x1, other.x1) - x0)
        )

    def clip(self, shape: tuple[int, int]) -> "Window":
        """The part inside a raster of ``shape``."""
        return self.intersect(Window(0, 0, *shape))

    def relative_to(self, outer: "Window") -> "Window":
        """The same pixels, counted from the corner of ``outer``."""
        return Window(self.y0 - outer.y0, self.x0 - outer.x0, self.height, self.width)


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid of square pixels.

    Args:
        crs: Anything that pyproj understands; kept as ``EPSG:n`` where it has a code, else as WKT.
        transform: Affine of the upper-left corner of the upper-left pixel.
        shape: Rows and columns.

    Raises:
        ConfigError: The CRS is unknown or not projected in metres, pixels are not square, the
            raster is not north-up or is empty.
    """

    crs: str
    transform: Affine
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", normalise_crs(self.crs))
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        if b or d or a <= 0 or e >= 0:
            raise ConfigError(
                f"transform {tuple(self.transform)[:6]} is rotated or not north-up; "
                "reproject the raster first"
            )
        if abs(a + e) > TOLERANCE * a:
            raise ConfigError(
                f"pixel size is {a:g} m in x but {-e:g} m in y; square pixels are needed: "
                "give cube.grid.pixel_m"
            )
        if min(self.shape) < 1:
            raise ConfigError(f"the grid has no pixels (shape {self.shape}); check its bounds")

    @classmethod
    def from_bounds(
        cls, crs: str, pixel_m: float, bounds: tuple[float, float, float, float]
    ) -> "Grid":
        """The grid whose upper-left corner is that of ``bounds`` and which covers them.

        Args:
            crs: Projected CRS in metres.
            pixel_m: Pixel size in metres.
            bounds: left, bottom, right, top in metres.
        """
        left, bottom, right, top = bounds
        if not (left < right and bottom < top and pixel_m > 0):
            raise ConfigError(
                f"bounds {bounds} with pixel size {pixel_m:g} m hold no pixel; "
                "give left, bottom, right, top in metres"
            )
        # A remainder of a millionth of a pixel is rounding, not one more row.
        shape = (
            int(np.ceil((top - bottom) / pixel_m - TOLERANCE)),
            int(np.ceil((right - left) / pixel_m - TOLERANCE)),
        )
        return cls(crs, Affine(pixel_m, 0.0, left, 0.0, -pixel_m, top), shape)

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    @property
    def pixel_m(self) -> float:
        """Side of a pixel in metres."""
        return float(self.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in metres."""
        left, top = self.transform.c, self.transform.f
        return left, top - self.height * self.pixel_m, left + self.width * self.pixel_m, top

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """Column coordinates at pixel centres, metres, shape (width,)."""
        return np.asarray(self.transform.c + (np.arange(self.width) + 0.5) * self.pixel_m)

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """Row coordinates at pixel centres, metres, descending, shape (height,)."""
        return np.asarray(self.transform.f - (np.arange(self.height) + 0.5) * self.pixel_m)

    def window_transform(self, window: Window) -> Affine:
        """Affine of a window, which may reach beyond the raster."""
        return self.transform @ Affine.translation(window.x0, window.y0)

    def window_bounds(self, window: Window) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of a window in metres."""
        transform = self.window_transform(window)
        left, top = transform.c, transform.f
        return left, top - window.height * self.pixel_m, left + window.width * self.pixel_m, top

    def rows_columns(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pixel rows and columns of map coordinates; may lie outside the raster."""
        columns = np.floor((x - self.transform.c) / self.pixel_m).astype(np.int64)
        rows = np.floor((self.transform.f - y) / self.pixel_m).astype(np.int64)
        return rows, columns

    def windows(self, size_px: int) -> Iterator[Window]:
        """Boxes of ``size_px`` in row order that cover the raster once; edge boxes are smaller."""
        for y0 in range(0, self.height, size_px):
            for x0 in range(0, self.width, size_px):
                yield Window(y0, x0, size_px, size_px).clip(self.shape)


def normalise_crs(crs: str) -> str:
    """``EPSG:n`` where the CRS has that code, else its WKT.

    Raises:
        ConfigError: The CRS is unknown, or not projected in metres.
    """
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise ConfigError(f"CRS {crs!r} is not known ({error}); give e.g. EPSG:32632") from error
    if not parsed.is_projected or parsed.axis_info[0].unit_name not in ("metre", "meter"):
        raise ConfigError(
            f"CRS {parsed.name!r} is not projected in metres; give cube.grid.crs, e.g. a UTM zone"
        )
    code = parsed.to_epsg()
    return f"EPSG:{code}" if code else parsed.to_wkt()


def distorted_scale(crs: str | CRS, bounds: tuple[float, float, float, float]) -> float | None:
    """Length on the map of a metre on the ground, where that is too far from a metre.

    Args:
        crs: Projected CRS in metres.
        bounds: left, bottom, right, top in metres; their centre is looked at.

    Returns:
        The scale factor of the direction in which it is furthest from 1; None where it differs by
        at most ``MAX_DISTORTION``, or the CRS has none there.
    """
    try:
        proj = Proj(crs)
        factors = proj.get_factors(*_centre(proj, bounds))
    except ProjError:
        return None
    # Of an ellipse: every other direction, the meridian and the parallel too, lies between.
    ends = (factors.tissot_semiminor, factors.tissot_semimajor)
    furthest = max(ends, key=lambda factor: abs(factor - 1))
    return furthest if isfinite(furthest) and abs(furthest - 1) > MAX_DISTORTION else None


def utm_zone(crs: str | CRS, bounds: tuple[float, float, float, float]) -> str | None:
    """``EPSG:n`` of the UTM zone of the centre of bounds in metres; None near the poles."""
    longitude, latitude = _centre(Proj(crs), bounds)
    place = AreaOfInterest(longitude, latitude, longitude, latitude)
    zones = query_utm_crs_info("WGS 84", place)
    return f"EPSG:{zones[0].code}" if zones else None


def _centre(proj: Proj, bounds: tuple[float, float, float, float]) -> tuple[float, float]:
    """Longitude and latitude; infinite outside the projection."""
    left, bottom, right, top = bounds
    longitude, latitude = proj((left + right) / 2, (bottom + top) / 2, inverse=True)
    return longitude, latitude
