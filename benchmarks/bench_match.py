"""Histogram matching against scikit-image: in memory, and from one Zarr store to another.

    python benchmarks/bench_match.py [--quick] [--json PATH]

In memory both work on one thread, band by band. From disk to disk scikit-image holds one band at a
time and writes it whole, the fastest way it has; ours reads the source twice, in blocks of a shard
on Dask threads. Both count the reference anew, store the same uint16 with the same codec, and run
in processes of their own. Peak memory includes Python and all that is imported; the last row leaves
out what a scene of one chunk takes as well.
"""

import shutil
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np
from harness import Row, arguments, compare_rates, in_own_process, publish

BANDS = ("blue", "green", "red", "nir")
SHARD_PX, CHUNK_PX = 1024, 256
PEER = "scikit-image"


def scene(height, width, num_bands, seed):
    """Reflectance as Sentinel-2 delivers it: smooth ground with texture, uint16 above 0."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bands = []
    for band in range(num_bands):
        ground = np.sin(x / (90 + 9 * band)) * np.cos(y / 70) * (300 + 90 * band)
        texture = rng.gamma(3, 40 + 20 * seed, (height, width))
        bands.append((900 + 300 * seed + ground + texture).astype(np.uint16))
    return np.stack(bands)


def rows_in_memory(size) -> list[Row]:
    """One thread; the outputs are compared before they are timed."""
    kernels = import_module("landslide_dist.kernels.histogram")
    match_histograms = import_module("skimage.exposure").match_histograms
    source, reference = (scene(size, size, 2, seed) for seed in (0, 1))

    def ours(dtype):
        for values, target in zip(source, reference, strict=True):
            counts = (kernels.count_values(band, None, 65536) for band in (values, target))
            table = kernels.matching_table(*counts)
            yield kernels.apply_table(values, table, None, dtype, 0)

    def peer(dtype):
        for values, target in zip(source, reference, strict=True):
            matched = match_histograms(values, target)
            yield matched if dtype == "float64" else np.rint(matched, out=matched).astype(dtype)

    rows = []
    for dtype in ("float64", "uint16"):
        both = zip(ours(dtype), peer(dtype), strict=True)
        if any(a.tobytes() != b.tobytes() or a.dtype != b.dtype for a, b in both):
            raise SystemExit(f"matched {dtype} differs from scikit-image's")
        rows.append(
            compare_rates(
                f"histogram matching in memory, to {dtype}", source.size / 1e6, "Mpx/s",
                lambda d=dtype: list(ours(d)), lambda d=dtype: list(peer(d)), PEER,
            )
        )  # fmt: skip
    return rows


def rows_on_disk(size, num_bands, repeats, folder) -> list[Row]:
    """Seconds and peak memory, medians of runs in turn, each in its own process."""
    medians = {}
    for side_px, times in ((CHUNK_PX, 1), (size, repeats)):
        for seed, name in enumerate(("source", "reference")):
            write_scene(folder / name, side_px, num_bands, seed)
        results = {match_ours: [], match_peer: []}
        for _ in range(times):
            for call, measured in results.items():
                measured.append(in_own_process(call, folder, folder / call.__name__))
        check_equal(folder)
        medians[side_px] = [np.median(measured, axis=0) for measured in results.values()]
    (seconds, gb), (peer_seconds, peer_gb) = medians[size]
    small_gb, peer_small_gb = (measured[1] for measured in medians[CHUNK_PX])
    above, peer_above = gb - small_gb, peer_gb - peer_small_gb
    megapixels = size * size * num_bands / 1e6
    what = f"{size} x {size} x {num_bands} from Zarr to Zarr"
    return [
        Row(
            f"histogram matching, {what}", megapixels / seconds, megapixels / peer_seconds, PEER,
            "Mpx/s", peer_seconds / seconds,
        ),
        Row(f"peak memory, {what}", gb, peer_gb, PEER, "GB", peer_gb / gb),
        Row("of it, due to the scene's size", above, peer_above, PEER, "GB", peer_above / above),
    ]  # fmt: skip


def create(path, shape):
    """An empty store with the layout of a cube; a shard holds one band, which suits the peer."""
    zarr = import_module("zarr")
    shutil.rmtree(path, ignore_errors=True)
    return zarr.create_array(
        path, shape=shape, dtype="uint16", chunks=(1, CHUNK_PX, CHUNK_PX),
        shards=(1, SHARD_PX, SHARD_PX), fill_value=0,
        compressors=zarr.codecs.BloscCodec(typesize=2, cname="zstd", clevel=3, shuffle="shuffle"),
    )  # fmt: skip


def write_scene(path, size, num_bands, seed):
    """One stretch of ground, repeated: its values are as many, its making is quicker."""
    array = create(path, (num_bands, size, size))
    tile = scene(SHARD_PX, SHARD_PX, num_bands, seed)
    for y in range(0, size, SHARD_PX):
        for x in range(0, size, SHARD_PX):
            height, width = min(SHARD_PX, size - y), min(SHARD_PX, size - x)
            array[:, y : y + height, x : x + width] = tile[:, :height, :width]


def match_ours(folder, target):
    """Dask threads over shards."""
    da, xr, zarr = (import_module(name) for name in ("dask.array", "xarray", "zarr"))
    matching = import_module("landslide_dist.features.match")
    references = import_module("landslide_dist.features.reference")

    def opened(name):
        array = zarr.open_array(folder / name)
        lazy = da.from_array(array, chunks=array.shards)
        return xr.DataArray(lazy, {"band": list(BANDS[: len(lazy)])}, ("band", "y", "x"))

    def run(source, reference, out):
        counts = matching.count(reference).compute(scheduler="threads")
        matched = matching.match(source, references.Reference.from_counts(counts))
        da.store(matched.data, out, lock=False, scheduler="threads")

    source, reference = opened("source"), opened("reference")
    # Numba loads what it once compiled at the first call: it belongs to the imports.
    corner = source[:, :16, :16]
    run(corner, corner, np.empty(corner.shape, corner.dtype))
    start = time.perf_counter()
    run(source, reference, create(target, source.shape))
    return time.perf_counter() - start


def match_peer(folder, target):
    """Band by band."""
    zarr = import_module("zarr")
    match_histograms = import_module("skimage.exposure").match_histograms
    start = time.perf_counter()
    source, reference = (zarr.open_array(folder / name) for name in ("source", "reference"))
    out = create(target, source.shape)
    for band in range(source.shape[0]):
        matched = match_histograms(source[band], reference[band])
        out[band] = np.rint(matched, out=matched).astype(np.uint16)
    return time.perf_counter() - start


def check_equal(folder):
    """Both stores hold the same values."""
    zarr = import_module("zarr")
    ours, peer = (zarr.open_array(folder / name) for name in ("match_ours", "match_peer"))
    for band in range(ours.shape[0]):
        if not np.array_equal(ours[band], peer[band]):
            raise SystemExit(f"stored band {BANDS[band]} differs from scikit-image's")


def main() -> None:
    """Run all comparisons."""
    options = arguments("Histogram matching against scikit-image.")
    rows = rows_in_memory(1024 if options.quick else 4096)
    with tempfile.TemporaryDirectory() as folder:
        size, num_bands, repeats = (2048, 2, 1) if options.quick else (10980, 4, 3)
        rows += rows_on_disk(size, num_bands, repeats, Path(folder))
    packages = ["landslide-dist", "numba", "numpy", "dask", "zarr", "scikit-image"]
    publish(rows, packages, options.json)


if __name__ == "__main__":
    main()
