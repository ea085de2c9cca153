"""A Sentinel-2 scene matched to chips and classified, against doing it in memory.

    python benchmarks/bench_chips.py [--quick] [--json PATH]

Both take the same cube of 10980 x 10980 px in three bands and the same small classifier, and give
the probability of 610 x 610 blocks of 18 x 18 px. Ours goes block by block: values are counted,
matched images stored, blocks classified. The peer, as scripts do it, holds the scene in memory,
matches it by scikit-image on the valid pixels, and classifies all blocks in batches of the same
size. The network is small, so that what is around it shows; with ResNet-50 both wait for the
network. Each runs in a process of its own; peak memory includes Python and all that is imported.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from harness import Row, arguments, in_own_process, publish

from landslide_dist.config.chip_model import ChipCNNConfig
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.run import RunConfig
from landslide_dist.features.reference import Reference
from landslide_dist.grid import Grid
from landslide_dist.inference.predict import predict_region
from landslide_dist.inference.scene import ClassifyBlock, cell_grid
from landslide_dist.models import checkpoint
from landslide_dist.models.chip import ChipRecipe, build_chip_model
from landslide_dist.schema import PROBABILITY, reflectance, valid
from landslide_dist.stages.match import match
from landslide_dist.store import cube
from landslide_dist.store.location import open_group
from landslide_dist.store.lock import hold

BLOCK_PX, BATCH = 18, 256
PEER = "scikit-image and torch in memory"
BANDS = ("red", "green", "blue")


def main() -> None:
    """Print the table; write it with ``--json``."""
    options = arguments(__doc__.splitlines()[0])
    size, repeats = (1152, 1) if options.quick else (10980, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, size)
        results = {ours: [], peer: []}
        for _ in range(repeats):
            for call, measured in results.items():
                measured.append(in_own_process(call, str(folder)))
        check_equal(folder)
        small, small_size = folder / "small", 576
        small.mkdir()
        prepare(small, small_size)
        small_gb = [in_own_process(call, str(small))[1] for call in (ours, peer)]
    (seconds, gb), (peer_seconds, peer_gb) = (
        np.median(measured, axis=0) for measured in results.values()
    )
    above, peer_above = gb - small_gb[0], peer_gb - small_gb[1]
    blocks = (size // BLOCK_PX) ** 2
    what = f"{size} x {size} x 3, {blocks} blocks"
    rows = [
        Row(f"matched and classified, {what}", blocks / seconds, blocks / peer_seconds, PEER,
            "blocks/s", peer_seconds / seconds),
        Row(f"peak memory, {what}", gb, peer_gb, PEER, "GB", peer_gb / gb),
        Row("of it, due to the scene's size", above, peer_above, PEER, "GB", peer_above / above),
    ]  # fmt: skip
    publish(rows, ["torch", "zarr", "scikit-image"], options.json)


def prepare(folder: Path, size: int) -> None:
    """A scene with a tenth under clouds, the counts of chips, and a classifier."""
    grid = Grid.from_bounds("EPSG:32610", 10.0, (4e5, 4e6, 4e5 + 10 * size, 4e6 + 10 * size))
    location = str(folder / "cube.zarr")
    storage = StorageConfig(chunk_px=512, shard_px=2048)
    coords = {"band": list(BANDS), "time": ["2019-03-17"], "role": ["post"], "pair": [0]}
    attributes = {"ingest_hash": "made", "ingested": True}
    cube.create(location, grid, [reflectance(1, 3), valid(1)], storage, attributes, coords)
    random = np.random.default_rng(0)
    ground = random.gamma(4, 180, (1, 3, 2048, 2048)).astype(np.uint16) + 1
    clear = (random.random((1, 2048 // 64, 2048 // 64)) > 0.1).astype(np.uint8)
    clear = clear.repeat(64, axis=1).repeat(64, axis=2)
    group = open_group(location, "r+")
    for window in cube.shard_windows(location):
        part = (slice(0, window.height), slice(0, window.width))
        shown = clear[(slice(None), *part)]
        masked = ground[(slice(None), slice(None), *part)] * shown[:, None]
        cube.write_block(cube.array(group, "reflectance"), window, masked)
        cube.write_block(cube.array(group, "valid"), window, shown)
    counts = np.bincount(random.normal(110, 40, 10**6).clip(0, 255).astype(int), minlength=256)
    Reference.from_counts(dict.fromkeys(BANDS, counts)).to_json(folder / "reference.json")
    torch.manual_seed(0)
    config = ChipCNNConfig(kind="chip_cnn", input_px=16, filters=(8, 8), hidden=16)
    model = build_chip_model(ChipRecipe(config, 179.2, 224))
    checkpoint.save_chip_model(folder / "model.ckpt", model, {"model_hash": "made"})


def ours(folder: str) -> float:
    """Counting, matching and classifying, block by block."""
    start = time.perf_counter()
    location, out = f"{folder}/cube.zarr", f"{folder}/map.zarr"
    bounds = cube.read_grid(location).bounds
    image = {"role": "post", "source": {"kind": "files", "bands": dict.fromkeys(BANDS, "-")}}
    table = {"kind": "table", "path": f"{folder}/reference.json"}
    run = RunConfig.model_validate(
        {
            "name": "scene",
            "task": "chips",
            "run_dir": folder,
            "cube": {
                "location": location,
                "grid": {"crs": "EPSG:32610", "pixel_m": 10, "bounds": bounds},
                "storage": {"chunk_px": 512, "shard_px": 2048},
                "matching": {"reference": table, "dtype": "uint8"},
            },
            "sources": {"reflectance": {"images": [image]}},
        }
    )
    # What an earlier run has matched is matched again.
    cube.add_variables(location, [], run.cube.storage, attrs={"matched": None, "match_begun": None})
    with hold(location, "derive") as lock:
        match(run, lock, None)
    task = ClassifyBlock(
        f"{folder}/model.ckpt", "made", location, "matched", BLOCK_PX, BATCH, 1.0, out
    )
    grid = cell_grid(cube.read_grid(location), BLOCK_PX)
    storage = StorageConfig(chunk_px=64, shard_px=64)
    predict_region(task, grid, storage, {}, f"{time.time()}", "classify")
    return time.perf_counter() - start


def peer(folder: str) -> float:
    """The whole scene at once."""
    from skimage.exposure import match_histograms

    start = time.perf_counter()
    group = open_group(f"{folder}/cube.zarr")
    scene, clear = group["reflectance"][0], group["valid"][0] == 1
    counts = Reference.from_json(f"{folder}/reference.json").counts
    matched = np.zeros(scene.shape, np.float32)
    for band, name in enumerate(BANDS):
        reference = np.repeat(np.arange(256), counts[name])
        found = match_histograms(scene[band][clear], reference)
        matched[band][clear] = np.rint(found).clip(1, 255)
    rows, columns = (side // BLOCK_PX for side in clear.shape)
    parted = matched[:, : rows * BLOCK_PX, : columns * BLOCK_PX]
    parted = parted.reshape(3, rows, BLOCK_PX, columns, BLOCK_PX)
    chips = parted.transpose(1, 3, 0, 2, 4).reshape(-1, 3, BLOCK_PX, BLOCK_PX)
    known = clear[: rows * BLOCK_PX, : columns * BLOCK_PX]
    known = known.reshape(rows, BLOCK_PX, columns, BLOCK_PX).all((1, 3)).ravel()
    model = checkpoint.load_chip_model(f"{folder}/model.ckpt")[0]
    out = np.full(rows * columns, np.nan, np.float32)
    chosen = np.flatnonzero(known)
    with torch.inference_mode():
        for first in range(0, len(chosen), BATCH):
            part = chosen[first : first + BATCH]
            out[part] = model.probability(torch.from_numpy(chips[part]))
    seconds = time.perf_counter() - start
    np.save(f"{folder}/peer.npy", out.reshape(rows, columns))
    return seconds


def check_equal(folder: Path) -> None:
    """Both give the same map."""
    found = open_group(str(folder / "map.zarr"))[PROBABILITY.name][:]
    np.testing.assert_allclose(found, np.load(folder / "peer.npy"), atol=1e-5)


if __name__ == "__main__":
    main()
