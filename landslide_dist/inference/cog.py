"""Maps as Cloud-Optimised GeoTIFFs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterioWindow

from landslide_dist.errors import StoreError
from landslide_dist.grid import Grid, Window
from landslide_dist.progress import track
from landslide_dist.schema import PROBABILITY
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, store_errors
from landslide_dist.whole_file import whole_file

BLOCK_PX = 512


def write_cog(
    location: str,
    path: str,
    tags: Mapping[str, Any],
    label: str,
    variable: str = PROBABILITY.name,
) -> None:
    """Publish a predicted map; the file is there whole or not at all.

    Args:
        location: Zarr group of the map.
        path: GeoTIFF to write, of the variable's dtype, nodata and scale, with internal overviews;
            float16, which few programs read, becomes float32.
        tags: Metadata of the file, e.g. the checkpoint.
        label: What the progress bar says.
        variable: Which variable of the group.

    Raises:
        StoreError: The file cannot be written.
    """
    grid = cube.read_grid(location)
    array = cube.array(open_group(location), variable)
    attributes: dict[str, Any] = dict(array.attrs)
    dtype = "float32" if array.dtype.kind == "f" else str(array.dtype)
    nodata = float(attributes.get("nodata", "nan"))
    windows = cube.shard_windows(location)
    # Classes have no average; averages of probabilities are the expected shares of landslides.
    resampling = "MODE" if "flag_values" in attributes else "AVERAGE"
    whole = Window(0, 0, *grid.shape)
    with _cog(path, grid, whole, 1, dtype, nodata, tags, resampling) as file:
        file.set_band_description(1, str(attributes["long_name"]))
        file.scales = (attributes.get("scale_factor", 1.0),)
        for window in track(windows, label, total=len(windows)):
            part = RasterioWindow(window.x0, window.y0, window.width, window.height)
            # What fails here is the store, not the file that is being written.
            with store_errors(location):
                block = cube.read_window(array, window, nodata)
            file.write(block.astype(dtype, copy=False), 1, window=part)


def write_bands(
    path: str,
    grid: Grid,
    window: Window,
    bands: Mapping[str, NDArray[np.float32]],
    tags: Mapping[str, Any],
) -> None:
    """Publish maps of a window; the file is there whole or not at all.

    Args:
        path: GeoTIFF to write, float32 with NaN.
        grid: Grid of the region.
        window: Its pixels.
        bands: Description of each band -> ``(window.height, window.width)``.
        tags: Metadata of the file.

    Raises:
        StoreError: The file cannot be written.
    """
    nan = float("nan")
    with _cog(path, grid, window, len(bands), "float32", nan, tags, "AVERAGE") as file:
        for number, (name, values) in enumerate(bands.items(), start=1):
            file.write(values.astype(np.float32, copy=False), number)
            file.set_band_description(number, name)


def read_tags(path: str | Path) -> dict[str, str]:
    """Metadata of a GeoTIFF.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        with rasterio.open(path) as file:
            tags: dict[str, str] = file.tags()
    except RasterioError as error:
        reason = " ".join(str(error).split())
        raise StoreError(f"{str(path)!r} cannot be read ({reason}); delete it") from error
    return tags


@contextmanager
def _cog(
    path: str,
    grid: Grid,
    window: Window,
    count: int,
    dtype: str,
    nodata: float,
    tags: Mapping[str, Any],
    resampling: str,
) -> Iterator[DatasetWriter]:
    """A tiled GeoTIFF to write to, which then becomes the file: the COG driver copies whole files.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        with whole_file(path) as unfinished:
            plain = unfinished.with_suffix(".plain.tif")
            try:
                with rasterio.open(
                    plain,
                    "w",
                    driver="GTiff",
                    height=window.height,
                    width=window.width,
                    count=count,
                    dtype=dtype,
                    crs=grid.crs,
                    transform=grid.window_transform(window),
                    nodata=nodata,
                    tiled=True,
                    blockxsize=BLOCK_PX,
                    blockysize=BLOCK_PX,
                    compress="zstd",
                    zstd_level=1,
                    bigtiff="if_safer",
                ) as file:
                    file.update_tags(**{key: str(value) for key, value in tags.items()})
                    yield file
                _copy(plain, unfinished, resampling)
            finally:
                plain.unlink(missing_ok=True)
    except (RasterioError, OSError) as error:
        raise StoreError(f"{path!r} cannot be written: {' '.join(str(error).split())}") from error


def _copy(plain: Path, path: Path, resampling: str) -> None:
    """The cloud-optimised copy of a finished file."""
    rasterio.shutil.copy(
        plain,
        path,
        driver="COG",
        COMPRESS="DEFLATE",
        PREDICTOR="YES",
        BLOCKSIZE=BLOCK_PX,
        OVERVIEW_RESAMPLING=resampling,
        BIGTIFF="IF_SAFER",
        NUM_THREADS="ALL_CPUS",
    )
