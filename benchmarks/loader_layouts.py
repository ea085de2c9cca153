"""Writes the region of ``bench_loader`` in every layout that a loader of it needs."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine
from bench_storage import NUM_ALIGNED
from loader_region import INPUTS, LABELS, REACH_PX, Bench
from torch import nn

from landslide_dist.batch import Batch
from landslide_dist.grid import Window
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.split import split
from landslide_dist.store import cube


def make(bench: Bench) -> None:
    """Write the region in all layouts; what is there already stays."""
    Path(bench.folder).mkdir(parents=True, exist_ok=True)
    for stage in (ingest, derive, split):
        stage(bench.config)
    written = Path(bench.folder) / "written"
    if not written.exists():
        write_tiffs(bench)
        write_dense(bench)
        written.touch()
    # What is not on the disk yet cannot be dropped from the page cache.
    os.sync()


def write_tiffs(bench: Bench) -> None:
    """Each variable as a tiled GeoTIFF, deflated with the predictor of its type."""
    reader = bench.reader()
    for name in (*INPUTS, *LABELS):
        array = reader.array(name)
        bands = 1 if array.ndim == 2 else array.shape[0]
        with open_tiff(bench, bench.tiff(name), array.dtype, bands, bench.scale.side_px) as file:
            for window in cube.shard_windows(bench.location):
                block = reader.read(window, (name,))[name]
                place = rasterio.windows.Window(window.x0, window.y0, window.width, window.height)
                file.write(block.reshape(bands, *window.shape), window=place)


def open_tiff(bench: Bench, path: str, dtype: Any, bands: int, side: int) -> Any:
    """A new GeoTIFF."""
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=side,
        width=side,
        count=bands,
        dtype=dtype,
        crs="EPSG:32632",
        transform=Affine(10, 0, 600_000, 0, -10, 5_150_000),
        tiled=True,
        blockxsize=bench.scale.chunk_px,
        blockysize=bench.scale.chunk_px,
        interleave="band",
        compress="deflate",
        zlevel=1,
        predictor=3 if np.dtype(dtype).kind == "f" else 1,
        num_threads=2,
        bigtiff="yes",
    )


def write_dense(bench: Bench) -> None:
    """Channels of the dense part: the published layout, and one GeoTIFF of 160 bands."""
    h5py, window, chunk = import_module("h5py"), bench.dense_window, bench.scale.chunk_px
    encoder = bench.model("lacnn").encoder
    assert isinstance(encoder, nn.Module)
    num_aligned = 3 * NUM_ALIGNED
    num_here, side = len(encoder.names) - num_aligned, window.height
    with (
        h5py.File(bench.published, "w") as file,
        open_tiff(bench, bench.dense_tiff, "float32", num_here + num_aligned, side) as tiff,
    ):
        layout = {"chunks": (1, chunk, chunk), "compression": "lzf", "dtype": "float32"}
        here = file.create_dataset("features", (num_here, side, side), **layout)
        aligned = file.create_dataset("aligned", (num_aligned, side, side), **layout)
        labels = bench.reader().read(window, ("landslide",))["landslide"]
        file.create_dataset("landslide", data=labels)
        for y0 in range(0, side, chunk):
            height = min(chunk, side - y0)
            strip = Window(window.y0 + y0, window.x0, height, side)
            channels = encode(bench, encoder, strip)
            here[:, y0 : y0 + height], aligned[:, y0 : y0 + height] = np.split(channels, [num_here])
            tiff.write(channels, window=rasterio.windows.Window(0, y0, side, height))


def encode(bench: Bench, encoder: nn.Module, window: Window) -> np.ndarray:
    """Channels of a window, float32 ``(channel, y, x)``."""
    planes = bench.reader().read(window.expand(REACH_PX), INPUTS)
    batch = Batch(
        {name: torch.from_numpy(np.array(plane))[None] for name, plane in planes.items()},
        torch.zeros(1, *window.shape, dtype=torch.uint8),
        torch.zeros(1, 2, dtype=torch.int64),
        REACH_PX,
    )
    channels: np.ndarray = encoder(batch)[0].numpy()
    return channels
