"""A prediction as a Cloud-Optimised GeoTIFF."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from landslide_dist.errors import StoreError
from landslide_dist.progress import track
from landslide_dist.schema import PROBABILITY
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, store_errors


def write_cog(location: str, path: str, tags: Mapping[str, Any], label: str) -> None:
    """Publish a predicted probability; the file is there whole or not at all.

    Args:
        location: Zarr group with ``probability``.
        path: GeoTIFF to write, float32 with NaN, internal overviews.
        tags: Metadata of the file, e.g. the checkpoint.
        label: What the progress bar says.

    Raises:
        StoreError: The file cannot be written.
    """
    target = Path(path)
    plain = target.with_name(f".{target.name}.{os.getpid()}.plain.tif")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.tif")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_plain(location, plain, tags, label)
        rasterio.shutil.copy(
            plain,
            unfinished,
            driver="COG",
            COMPRESS="DEFLATE",
            PREDICTOR="FLOATING_POINT",
            BLOCKSIZE=512,
            # Averages of probabilities are the expected shares of landslides at that scale.
            OVERVIEW_RESAMPLING="AVERAGE",
            BIGTIFF="IF_SAFER",
            NUM_THREADS="ALL_CPUS",
        )
        unfinished.replace(target)
    except (RasterioError, OSError) as error:
        raise StoreError(f"{path!r} cannot be written: {' '.join(str(error).split())}") from error
    finally:
        for leftover in (plain, unfinished):
            with suppress(OSError):
                leftover.unlink()


def _write_plain(location: str, path: Path, tags: Mapping[str, Any], label: str) -> None:
    """A tiled GeoTIFF, one shard at a time; the COG driver copies finished files only."""
    grid = cube.read_grid(location)
    array = cube.array(open_group(location), PROBABILITY.name)
    windows = cube.shard_windows(location)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=grid.height,
        width=grid.width,
        count=1,
        dtype="float32",
        crs=grid.crs,
        transform=grid.transform,
        nodata=float("nan"),
        tiled=True,
        blockxsize=512,
        blockysize=512,
        compress="zstd",
        zstd_level=1,
        bigtiff="if_safer",
    ) as file:
        file.update_tags(**{key: str(value) for key, value in tags.items()})
        file.set_band_description(1, PROBABILITY.long_name)
        for window in track(windows, label, total=len(windows)):
            part = RasterioWindow(window.x0, window.y0, window.width, window.height)
            # What fails here is the store, not the file that is being written.
            with store_errors(location):
                block = cube.read_window(array, window, float("nan"))
            file.write(block, 1, window=part)
