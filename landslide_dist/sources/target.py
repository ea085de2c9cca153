"""The target grid of a run."""

import math

from pyproj import CRS
from rasterio.warp import transform_bounds

from landslide_dist.config.cube import GridConfig
from landslide_dist.errors import ConfigError
from landslide_dist.grid import TOLERANCE, Grid, distorted_scale, utm_zone
from landslide_dist.sources.band import GdalBand

Bounds = tuple[float, float, float, float]


def open_grid(config: GridConfig) -> Grid:
    """The grid of a raster, or of CRS, pixel size and bounds.

    A CRS, pixel size or bounds given beside ``like`` rule. Bounds that leave the raster's own
    pixels in place are widened to whole ones of them, so that it can be read as it is; bounds
    that come from another CRS are widened to whole multiples of the pixel size.

    Raises:
        ConfigError: CRS, pixel size or bounds are missing or unusable, or lengths in the CRS are
            not those on the ground.
        DataError: The raster cannot be read.
    """
    grid = _configured(config)
    factor = distorted_scale(grid.crs, grid.bounds)
    if factor is not None:
        name = grid.crs if grid.crs.startswith("EPSG") else CRS(grid.crs).name
        true = utm_zone(grid.crs, grid.bounds) or "a polar stereographic one"
        raise ConfigError(
            f"cube.grid: {name} has scale factor {factor:.3g} at the centre of the grid: a pixel "
            f"of {grid.pixel_m:g} m is {grid.pixel_m / factor:.3g} m on the ground, so slopes, "
            f"looking distances and areas would be wrong; give crs {true}, with pixel_m and any "
            "bounds in it"
        )
    return grid


def _configured(config: GridConfig) -> Grid:
    """The grid as it is asked for."""
    if config.like is None:
        # The configuration sees to it.
        assert config.crs is not None
        assert config.pixel_m is not None
        assert config.bounds is not None
        return Grid.from_bounds(config.crs, config.pixel_m, config.bounds)
    band = GdalBand.open(config.like, 1, None, None)
    if config.crs is not None and not CRS.from_wkt(band.crs).equals(
        CRS.from_user_input(config.crs), True
    ):
        return _elsewhere(config, band, config.crs)
    if config.pixel_m is None or math.isclose(config.pixel_m, band.transform.a, rel_tol=TOLERANCE):
        grid = Grid(band.crs, band.transform, band.shape)
        return grid if config.bounds is None else _cut(grid, config.bounds)
    return Grid.from_bounds(band.crs, config.pixel_m, config.bounds or _bounds(band))


def _elsewhere(config: GridConfig, band: GdalBand, crs: str) -> Grid:
    if config.pixel_m is None:
        raise ConfigError(
            f"cube.grid: {config.like!r} has another CRS than {crs}; give pixel_m as well"
        )
    if config.bounds is not None:
        return Grid.from_bounds(crs, config.pixel_m, config.bounds)
    bounds = transform_bounds(CRS.from_wkt(band.crs), CRS.from_user_input(crs), *_bounds(band))
    if not all(map(math.isfinite, bounds)):
        raise ConfigError(f"cube.grid: the bounds of {config.like!r} do not exist in {crs}")
    size = config.pixel_m
    left, bottom = (math.floor(edge / size) * size for edge in bounds[:2])
    right, top = (math.ceil(edge / size) * size for edge in bounds[2:])
    return Grid.from_bounds(crs, size, (left, bottom, right, top))


def _cut(grid: Grid, bounds: Bounds) -> Grid:
    """Bounds widened to whole pixels of a grid, beyond which they may reach."""
    left, bottom, right, top = bounds
    size = grid.pixel_m
    x0 = math.floor((left - grid.transform.c) / size + TOLERANCE)
    x1 = math.ceil((right - grid.transform.c) / size - TOLERANCE)
    y0 = math.floor((grid.transform.f - top) / size + TOLERANCE)
    y1 = math.ceil((grid.transform.f - bottom) / size - TOLERANCE)
    transform = grid.transform @ grid.transform.translation(x0, y0)
    return Grid(grid.crs, transform, (y1 - y0, x1 - x0))


def _bounds(band: GdalBand) -> Bounds:
    height, width = band.shape
    corners = [band.transform @ c for c in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)
