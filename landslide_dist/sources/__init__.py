"""What users bring, or a synthetic region, as blocks of the target grid.

``target_grid`` says where pixels are (``target``); ``open_sources`` opens and checks every input
without reading rasters. Then each :class:`~landslide_dist.sources.protocol.BlockSource` is read
block by block, by threads or by workers elsewhere. In order of the path: ``band`` and ``netcdf``
(raw pixels), ``meaning`` (values or codes), ``warp`` (onto the grid), ``raster``; ``layer`` and
``vector``; ``points``; ``region`` (labels); ``published`` (the LACNN paper's file); ``imagery``
(satellite images: ``open_imagery``).
"""

from typing import TYPE_CHECKING

from landslide_dist.config import RunConfig
from landslide_dist.config.sources import CategoricalVariable, VectorSource
from landslide_dist.grid import Grid
from landslide_dist.schema import ELEVATION, categorical, continuous
from landslide_dist.sources.protocol import BlockSource

if TYPE_CHECKING:
    from landslide_dist.sources.imagery import Imagery
    from landslide_dist.sources.synthetic_event import SyntheticImagery

__all__ = ["BlockSource", "open_imagery", "open_sources", "target_grid"]


def target_grid(config: RunConfig) -> Grid:
    """The grid of a run's cube.

    Raises:
        ConfigError: It is not fully given, or not a projected grid of square pixels in metres.
        DataError: The raster it is taken from cannot be read.
    """
    if config.sources.synthetic is not None:
        from landslide_dist.sources.synthetic import synthetic_grid

        return synthetic_grid(config.sources.synthetic)
    from landslide_dist.sources.target import open_grid

    assert config.cube.grid is not None  # the configuration sees to it
    return open_grid(config.cube.grid)


def open_sources(config: RunConfig, grid: Grid) -> dict[str, BlockSource]:
    """Every variable that is ingested, by its name in the cube; ``landslide`` comes last.

    Raises:
        ConfigError: A source's settings do not go together.
        DataError: A file is missing or broken, or does not hold what the configuration says.
    """
    if config.sources.synthetic is not None:
        from landslide_dist.sources.synthetic import synthetic_sources

        return synthetic_sources(config.sources.synthetic)
    if config.sources.published is not None:
        from landslide_dist.sources.published import published_sources

        return published_sources(config.sources, grid)
    from landslide_dist.sources.raster import open_raster
    from landslide_dist.sources.region import open_region

    opened: dict[str, BlockSource] = {}
    if config.sources.elevation is not None:
        opened["elevation"] = open_raster(config.sources.elevation, ELEVATION, grid)
    for name, entry in config.sources.continuous.items():
        opened[name] = open_raster(entry.source, continuous(name, entry.units), grid)
    for name, map_ in config.sources.categorical.items():
        opened[name] = _open_categorical(config, name, map_, grid)
    if "elevation" not in opened:
        return opened
    region = open_region(config.sources, opened["elevation"], grid)
    return opened if region is None else opened | {"landslide": region}


def open_imagery(config: RunConfig, grid: Grid) -> "Imagery | SyntheticImagery | None":
    """The images of a run, their scenes found and chosen, or made up; None if it has none.

    Raises:
        ConfigError: An offset of reflectance is not known.
        DataError: A file is missing or broken; no acquisition lies in an image's window, on the
            grid, or is clear enough.
    """
    synthetic = config.sources.synthetic
    if synthetic is not None and synthetic.event is not None:
        from landslide_dist.sources.synthetic_event import synthetic_imagery

        return synthetic_imagery(synthetic)
    if config.sources.reflectance is None:
        return None
    from landslide_dist.sources.imagery import open_images

    return open_images(config.sources.reflectance, grid)


def _open_categorical(
    config: RunConfig, name: str, entry: CategoricalVariable, grid: Grid
) -> BlockSource:
    variable = categorical(name, config.categories()[name].codes)
    if isinstance(entry.source, VectorSource):
        from landslide_dist.sources.vector import open_classes

        return open_classes(entry.source, variable, grid)
    from landslide_dist.sources.raster import open_raster

    return open_raster(entry.source, variable, grid)
