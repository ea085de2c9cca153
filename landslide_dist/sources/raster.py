"""Rasters, GeoTIFF or netCDF, continuous or categorical, as blocks of the target grid."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from numpy.typing import NDArray
from rasterio.enums import Resampling

from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import ConfigError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import Variable
from landslide_dist.sources.band import Band, GdalBand
from landslide_dist.sources.meaning import Codes, Quantity, resolve_codes
from landslide_dist.sources.tiles import from_tiles
from landslide_dist.sources.warp import Meaning, Placement, read_shifted, warp_tile


@dataclass(frozen=True)
class RasterBlocks:
    """A band on the target grid, read block by block.

    Attributes:
        variable: What it fills.
        place: Band and grid.
        meaning: Makes raw values into the variable's.
        resampling: GDAL's method; not used where band and grid share their pixels.
    """

    variable: Variable
    place: Placement
    meaning: Meaning
    resampling: Resampling

    def read(self, window: Window) -> NDArray[Any]:
        """A block, shape (height, width): values as they are if the pixels are shared."""
        nodata, dtype = self.variable.nodata, self.variable.dtype
        if self.place.offset is not None:
            return read_shifted(self.place, window, self.meaning, nodata, dtype)
        compute: Callable[[Window], NDArray[Any]] = partial(
            warp_tile,
            self.place,
            meaning=self.meaning,
            resampling=self.resampling,
            nodata=nodata,
            dtype=dtype,
        )
        shape = self.place.grid.shape
        return from_tiles(window, shape, self.variable, compute, self.place.tile_px)

    def provenance(self) -> list[dict[str, Any]]:
        """The files of the band."""
        return self.place.band.provenance()


def open_raster(config: RasterSource, variable: Variable, grid: Grid) -> RasterBlocks:
    """A configured raster as blocks of the grid; reads no pixels yet.

    Args:
        config: The source.
        variable: What it fills; integer variables are codes, the others quantities.
        grid: Target grid.

    Raises:
        DataError: The file is missing or broken, lacks band, variable or CRS, or does not
            overlap the grid.
        ConfigError: Its mapping names categories that there are not, or a setting does not go
            with this kind of variable.
    """
    is_codes = variable.dtype == "uint8"
    _check_settings(config, variable.name, is_codes)
    place = Placement(open_band(config), grid)
    shrinks = place.shrinks  # refuses a band beside the grid
    if is_codes:
        mapping = None if config.mapping is None else resolve_codes(config.mapping, variable)
        meaning: Meaning = Codes(config.path, variable, mapping, config.valid_range)
        default = Resampling.mode if shrinks else Resampling.nearest
    else:
        meaning = Quantity(config.valid_range, config.scale)
        default = Resampling.average if shrinks else Resampling.bilinear
    chosen = Resampling[config.resampling] if config.resampling else default
    return RasterBlocks(variable, place, meaning, chosen)


def _check_settings(config: RasterSource, name: str, is_codes: bool) -> None:
    if is_codes and (config.resampling in ("bilinear", "average") or config.scale != 1.0):
        raise ConfigError(
            f"{name!r} holds codes, which cannot be averaged or scaled; "
            "use resampling: nearest or mode, and no scale"
        )
    if not is_codes and config.mapping is not None:
        raise ConfigError(f"{name!r} is continuous: mapping is for categorical maps; remove it")


def open_band(config: RasterSource) -> Band:
    """The raw pixels of a configured raster, none of them read yet."""
    if config.variable is not None:
        from landslide_dist.sources.netcdf import NetcdfBand

        return NetcdfBand.open(config)
    return GdalBand.open(config.path, config.band, config.crs, config.nodata)
