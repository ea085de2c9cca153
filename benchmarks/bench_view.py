"""Levels of detail and views of a Veneto-sized map, against GDAL's overviews and plain reading.

    python benchmarks/bench_view.py [--quick] [--json PATH]

A made-up float32 map and a uint8 map of classes, 21005 x 19500 px, are written once as a sharded
Zarr, as a cube is, and once as a tiled GeoTIFF of the same codec. Then

- their levels of detail are built: ours into Zarr, GDAL's into the GeoTIFF's overviews (external
  files, average and mode, threads on all cores);
- a view of a screen, 1000 x 700 px, is read at several extents: by us from the fitting level, and
  by slicing level 0 as far as that takes no more than a quarter of the map;
- where there is a Chromium, the page is opened in it until the map is painted.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.plotting import figure
from bokeh.server.server import Server
from harness import Row, arguments, publish
from rasterio.enums import Resampling

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.store import cube
from landslide_dist.store.levels import Pyramid
from landslide_dist.store.location import delete, open_group, stored_bytes
from landslide_dist.store.pyramid import build_pyramid
from landslide_dist.viewer.layers import Layer, find_layers
from landslide_dist.viewer.page import Atlas
from landslide_dist.viewer.server import start, url_of
from landslide_dist.viewer.window import View, place, read_view

FULL, QUICK = (21005, 19500), (3000, 2800)
SCREEN = (1000, 700)
GDAL = "GDAL overviews"
CLASSES = schema.categorical("land_cover", {n: f"class {n}" for n in range(1, 6)})


def ground(window, rng):
    """Smooth heights with texture, and patches of classes."""
    y, x = np.mgrid[window.y0 : window.y1, window.x0 : window.x1].astype(np.float32)
    heights = 900 + 600 * np.sin(x / 900) * np.cos(y / 700) + 40 * np.sin(x / 35) * np.sin(y / 28)
    heights += rng.normal(0, 1.5, heights.shape).astype(np.float32)
    classes = (1 + (np.sin(x / 70) + np.cos(y / 90) + 2) * 1.249).astype(np.uint8)
    return heights.astype(np.float32), classes


def write_maps(folder: Path, shape) -> tuple[str, dict[str, Path]]:
    """The same maps as a cube and as GeoTIFFs."""
    grid = Grid.from_bounds(
        "EPSG:32632", 10, (600000, 5000000, 600000 + 10 * shape[1], 5000000 + 10 * shape[0])
    )
    location = str(folder / "cube.zarr")
    cube.create(location, grid, [schema.ELEVATION, CLASSES], StorageConfig(), {})
    group = open_group(location, "r+")
    profile = {
        "driver": "GTiff", "height": shape[0], "width": shape[1], "count": 1, "crs": grid.crs,
        "transform": grid.transform, "tiled": True, "blockxsize": 512, "blockysize": 512,
        "compress": "zstd", "zstd_level": 1, "bigtiff": "if_safer",
    }  # fmt: skip
    paths = {name: folder / f"{name}.tif" for name in ("elevation", "land_cover")}
    kinds = {"elevation": ("float32", float("nan")), "land_cover": ("uint8", 0)}
    files = {
        name: rasterio.open(path, "w", dtype=kinds[name][0], nodata=kinds[name][1], **profile)
        for name, path in paths.items()
    }
    rng = np.random.default_rng(0)
    for window in cube.shard_windows(location):
        for (name, file), block in zip(files.items(), ground(window, rng), strict=True):
            cube.write_block(cube.array(group, name), window, block)
            part = rasterio.windows.Window(window.x0, window.y0, window.width, window.height)
            file.write(block, 1, window=part)
    for file in files.values():
        file.close()
    return location, paths


def seconds_of(call) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s


def rows_of_building(layer: Layer, path: Path, repeats: int) -> list[Row]:
    """Build all levels; each run begins without any."""
    pyramid: Pyramid = layer.pyramid
    name = pyramid.rasters[0].variable
    factors = [2**level for level in range(1, pyramid.num_levels)]
    method = Resampling.average if pyramid.reduction == "mean" else Resampling.mode
    overviews = path.with_suffix(".tif.ovr")

    def peer() -> None:
        overviews.unlink(missing_ok=True)
        settings = {"TIFF_USE_OVR": "YES", "COMPRESS_OVERVIEW": "ZSTD", "ZSTD_LEVEL_OVERVIEW": "1"}
        with (
            rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", BIGTIFF_OVERVIEW="IF_SAFER", **settings),
            rasterio.open(path, "r+") as file,
        ):
            file.build_overviews(factors, method)

    def ours() -> None:
        delete(pyramid.location)
        build_pyramid(pyramid, "levels")

    times = {"ours": [], "peer": []}
    for _ in range(repeats):
        times["ours"].append(seconds_of(ours))
        times["peer"].append(seconds_of(peer))
    megapixels = pyramid.grid.height * pyramid.grid.width / 1e6
    own, other = median(times["ours"]), median(times["peer"])
    size, peer_size = stored_bytes(pyramid.location) / 1e6, overviews.stat().st_size / 1e6
    what = f"{name}, {pyramid.grid.height} x {pyramid.grid.width}"
    return [
        Row(f"levels of {what}", megapixels / own, megapixels / other, GDAL, "Mpx/s", other / own),
        Row(f"size of them, {name}", size, peer_size, GDAL, "MB", peer_size / size),
    ]


def view_of(grid: Grid, share: float) -> View:
    """A screen that shows so much of the map's height, around its middle."""
    left, bottom, right, top = grid.bounds
    step = share * (top - bottom) / SCREEN[1]
    x, y = (left + right) / 2, (bottom + top) / 2
    half = step * SCREEN[0] / 2, step * SCREEN[1] / 2
    return View(x - half[0], y - half[1], x + half[0], y + half[1], *SCREEN)


def rows_of_views(layer: Layer, repeats: int) -> list[Row]:
    """Reading what a screen shows, from the fitting level and from level 0."""
    raster = layer.pyramid.rasters[0]
    array = cube.array(open_group(raster.location), raster.variable)
    rows = []
    for share, words in ((1.0, "all of it"), (0.5, "half its height"), (0.05, "a twentieth")):
        view = view_of(layer.pyramid.grid, share)
        level, window = place(layer, view)
        step = 2**level
        whole = type(window)(*(step * n for n in (window.y0, window.x0, *window.shape)))
        whole = whole.clip(layer.pyramid.grid.shape)

        def peer(whole=whole, step=step) -> None:
            np.ascontiguousarray(cube.read_window(array, whole, 0)[::step, ::step])

        read_view(layer, view)
        own = median(seconds_of(lambda view=view: read_view(layer, view)) for _ in range(repeats))
        other = median(seconds_of(peer) for _ in range(min(repeats, 3)))
        name = f"view of {raster.variable}, {words}, level {level}"
        rows.append(Row(name, 1e3 * own, 1e3 * other, "level 0", "ms", other / own))
        pixels = window.height * window.width / 1e6
        full = whole.height * whole.width / 1e6
        rows.append(Row(f"pixels of that {words}", pixels, full, "level 0", "Mpx", full / pixels))
    return rows


def rows_of_painting(layers: list[Layer], folder: Path, repeats: int) -> list[Row]:
    """From asking for the address to the painted map, and from a turn of the wheel to the next."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "services"))
    try:
        from chromium import browser, find_chromium
    except ImportError:
        return []
    program = find_chromium()
    if program is None:
        return []
    idle = "Bokeh.documents[0].is_idle"
    source = 'Bokeh.documents[0].get_model_by_name("ground").data_source.data'
    times = {"map": [], "empty": [], "zoom": []}
    # A turn of the wheel shows half as much, a level finer; beyond the finest nothing is drawn.
    num_zooms = min(4, layers[0].pyramid.num_levels - 2)
    with serving(layers) as (url, empty_url), browser(program, folder) as open_tab:
        for _ in range(repeats + 1):
            page = open_tab()
            begun = time.perf_counter()
            page.navigate(empty_url)
            page.wait_for(idle, 60)
            times["empty"].append(time.perf_counter() - begun)
            page = open_tab()
            begun = time.perf_counter()
            page.navigate(url)
            page.wait_for(f"{idle} && {source}.image.length == 1", 60)
            times["map"].append(time.perf_counter() - begun)
            time.sleep(2)
            for _ in range(num_zooms):
                extent = page.evaluate(f"JSON.stringify([{source}.dw[0], {source}.dh[0]])")
                begun = time.perf_counter()
                page.wheel(800, 400, -3)
                page.wait_for(f"JSON.stringify([{source}.dw[0], {source}.dh[0]]) != '{extent}'")
                times["zoom"].append(time.perf_counter() - begun)
                time.sleep(0.5)
            if page.complaints:
                raise SystemExit(f"the browser complains: {page.complaints}")
    own, empty, zoom = (1e3 * median(values) for values in times.values())
    return [
        Row("first paint in Chromium", own, empty, "an empty Bokeh plot", "ms", empty / own),
        Row("next picture after a zoom", zoom, empty, "an empty Bokeh plot", "ms", empty / zoom),
    ]


@contextmanager
def serving(layers: list[Layer]) -> Iterator[tuple[str, str]]:
    """Addresses of the map and of a plot without anything, served by a thread."""
    ready, loops, urls = threading.Event(), [], []

    def serve(atlas: Atlas) -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        plain = Application(FunctionHandler(lambda document: document.add_root(figure())))
        servers = [start(atlas, "127.0.0.1", 0), Server({"/": plain}, address="127.0.0.1", port=0)]
        urls.extend(url_of("127.0.0.1", server.port) for server in servers)
        loops.append(servers[0].io_loop)
        ready.set()
        loops[0].start()

    with ThreadPoolExecutor(4) as pool:
        atlas = Atlas("bench", layers, layers[0].pyramid.grid, {}, pool)
        thread = threading.Thread(target=serve, args=(atlas,), daemon=True)
        thread.start()
        if not ready.wait(60):
            raise SystemExit("the server did not start")
        yield urls[0], urls[1]
        loops[0].add_callback(loops[0].stop)
        thread.join()


def main() -> None:
    """Run all comparisons."""
    options = arguments("Levels of detail and views of a large map.")
    shape, repeats = (QUICK, 1) if options.quick else (FULL, 3)
    # What is deleted and built again must not be on a disk of another machine.
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("BENCH_FOLDER")))
    try:
        location, paths = write_maps(folder, shape)
        layers = find_layers(location, {}, None, {}, lambda name: str(folder / f"view-{name}"))
        by_name = {layer.key: layer for layer in layers}
        rows = []
        for name, path in paths.items():
            rows += rows_of_building(by_name[name], path, repeats)
        rows += rows_of_views(by_name["elevation"], 5)
        rows += rows_of_painting(layers, folder, 1 if options.quick else 5)
    finally:
        shutil.rmtree(folder)
    publish(rows, ["landslide-dist", "bokeh", "zarr", "zarrs", "rasterio"], options.json)


if __name__ == "__main__":
    main()
