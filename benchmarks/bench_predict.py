"""Tiled inference of a whole region: ours against windows that are blended in memory.

    python benchmarks/bench_predict.py [--quick] [--json PATH]

The peer is our own writing of the pattern of terratorch's ``tiled_inference`` and of torchgeo's
``GridGeoSampler``: overlapping windows of a region in memory, batches of them through the model,
their weighted probabilities summed over the whole region, divided at the end. It gets the compact
planes and the same encoder and network as ours (as 94 float32 channels the region would not fit),
and windows as large as ours with 64 px of context. Ours reads from Zarr and writes to Zarr; the
peer's reading and writing are part of its time too. Each runs in a process of its own; peak memory
is the kernel's count for it, imports included.

*Seams*: how far tiles are from the whole image, and what steps they add at their edges, for the
exact halo and for the published scheme: 64 px of padding, and bilinear upsampling with
``align_corners=True``. ``SEAMS_PNG`` names a file for a figure of them.

``VENETO=1`` adds a region of 21005 x 19500 px (410 Mpx), which takes about an hour and, for the
peer, 12 GB of memory: wall time, peak memory, seconds of reading, model and writing; killed with -9
at a third and two thirds of the blocks and run again, its bytes against those of an undisturbed
run. ``BENCH_DIR`` names the disk.
"""

import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import yaml
from harness import Row, arguments, in_own_process, publish
from predict_seams import seam_rows

from landslide_dist.batch import Batch
from landslide_dist.config import load
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Window
from landslide_dist.models import checkpoint
from landslide_dist.patches.reader import ZarrReader
from landslide_dist.schema import PROBABILITY, UNLABELLED
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

VENETO = (21005, 19500)
PROGRAM = Path(sys.executable).with_name("landslide-dist")
_STEPS = re.compile(r"([\d.]+) reading, ([\d.]+) computing, ([\d.]+) writing, ([\d.]+) waiting")
#: Windows of the peer, as large as ours with its context, and how far they lie apart.
OVERLAP_PX = 64


def main() -> None:
    """Print the table; write it with ``--json``."""
    options = arguments("Tiled inference of a region.")
    side_px, repeats = (768, 1) if options.quick else (6144, 3)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        config = prepare(Path(folder), (side_px, side_px), 512 if options.quick else 2048)
        rows = against_blending(config, side_px**2 / 1e6, repeats)
        rows += seam_rows(Path(folder), options.quick, os.environ.get("SEAMS_PNG"))
    if os.environ.get("VENETO"):
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
            rows += whole_veneto(prepare(Path(folder), VENETO, 2048))
    publish(rows, ["torch", "zarr", "zarrs"], options.json)


def prepare(folder: Path, shape: tuple[int, int], shard_px: int) -> Path:
    """A synthetic cube and a small locally aligned U-Net, trained for a few steps on a part."""
    core_px = 256 if shape[0] > 4096 else 64
    # About a dozen patches: what is measured does not depend on what was learnt.
    trained = 12 * core_px**2 / (shape[0] * shape[1])
    settings = {
        "name": "predict",
        "run_dir": str(folder / "run"),
        "cube": {
            "location": str(folder / "cube.zarr"),
            "storage": {"chunk_px": min(256, shard_px), "shard_px": shard_px},
        },
        "sources": {"synthetic": {"seed": 1, "height": shape[0], "width": shape[1]}},
        "split": {"fractions": [trained, trained, 1 - 2 * trained]},
        "patches": {"core_px": core_px, "oversample": 1},
        "models": {
            "lacnn": {
                "kind": "lacnn",
                "widths": [8, 8, 16],
                "epochs": 1,
                "aligned": {"features": ["slope", "elevation"]},
            }
        },
        "predict": {"cog": False},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    config = load(path)
    for stage in (ingest, derive, split, train):
        stage(config)
    return path


def against_blending(config: Path, megapixels: float, repeats: int) -> list[Row]:
    """Megapixels a second and peak memory, runs taken in turn."""
    taken: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    steps: list[tuple[float, ...]] = []
    for _ in range(repeats):
        seconds, peak, step = run_command(config)
        taken["ours"].append((seconds, peak))
        steps.append(step)
        taken["peer"].append(in_own_process(blend, str(config)))
    (ours_s, ours_gb), (peer_s, peer_gb) = (
        tuple(median(run[i] for run in runs) for i in range(2)) for runs in taken.values()
    )
    name = "blending in memory"
    waiting, computing = (median(step[i] for step in steps) for i in (3, 1))
    share = waiting / (waiting + computing)
    return [
        Row("predict", megapixels / ours_s, megapixels / peer_s, name, "Mpx/s", peer_s / ours_s),
        Row("peak memory", ours_gb, peer_gb, name, "GB", peer_gb / ours_gb),
        Row("share waited for reading and writing", share, 0.05, "target", "of the time",
            0.05 / max(share, 1e-4)),
    ]  # fmt: skip


def run_command(config: Path) -> tuple[float, float, tuple[float, ...]]:
    """``landslide-dist predict`` from nothing: seconds, peak GB, seconds of its steps."""
    context = RunContext(load(config))
    subprocess.run(["rm", "-rf", context.paths.prediction("lacnn")], check=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, "predict", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = 0.0
    assert process.stdout is not None
    while process.poll() is None:
        peak = max(peak, _peak_gb(process.pid))
        time.sleep(0.05)
    seconds, said = time.perf_counter() - start, " ".join(process.stdout.read().split())
    found = _STEPS.search(said)
    if process.returncode or found is None:
        raise SystemExit(said)
    return seconds, peak, tuple(float(step) for step in found.groups())


def _peak_gb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if "VmHWM" in line]
    return int(lines[0].split()[1]) * 1024 / 1e9 if lines else 0.0


def blend(path: str) -> float:
    """The peer: everything in memory, overlapping windows, weights that fall towards edges."""
    start = time.perf_counter()
    context = RunContext(load(Path(path)))
    config, shape = context.config, context.grid.shape
    model = checkpoint.load(context.paths.checkpoint("lacnn"))[0]
    names = dict.fromkeys((*model.inputs, "elevation"))
    whole = Window(0, 0, *shape)
    region = ZarrReader(dict.fromkeys(names, config.cube.location)).read(whole, tuple(names))
    side = config.predict.tile_px + 2 * OVERLAP_PX
    ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).clip(max=OVERLAP_PX)
    weight = np.outer(ramp, ramp).astype(np.float32) / OVERLAP_PX**2
    total, weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    origins = [(y, x) for y in _origins(shape[0], side) for x in _origins(shape[1], side)]
    for first in range(0, len(origins), config.predict.batch_tiles):
        chosen = origins[first : first + config.predict.batch_tiles]
        for (y, x), tile in zip(chosen, _forward(model, region, chosen, side), strict=True):
            at = np.s_[y : y + side, x : x + side]
            total[at] += weight * tile
            weights[at] += weight
    total /= weights
    total[np.isnan(region["elevation"])] = np.nan
    target = f"{context.paths.prediction('lacnn')}.peer"
    cube.create(target, context.grid, [PROBABILITY], StorageConfig(), {})
    array = cube.array(open_group(target, "r+"), PROBABILITY.name)
    for window in cube.shard_windows(target):
        cube.write_block(array, window, total[window.slices])
    return time.perf_counter() - start


def _origins(size_px: int, side_px: int) -> list[int]:
    """Windows that all lie inside, the last one moved in."""
    stride = side_px - 2 * OVERLAP_PX
    return sorted({min(at, size_px - side_px) for at in range(0, size_px - 2 * OVERLAP_PX, stride)})


def _forward(model, region, origins, side):
    reach = model.reach_px
    planes = {}
    for name in model.inputs:
        plane = region[name]
        padding = [(0, 0)] * (plane.ndim - 2) + [(reach, reach)] * 2
        windows = []
        for y, x in origins:
            rows, columns = (slice(max(0, at - reach), at + side + reach) for at in (y, x))
            cut = plane[..., rows, columns]
            if cut.shape[-2:] != (side + 2 * reach,) * 2:
                missing = [(max(0, reach - at), 0) for at in (y, x)]
                padding[-2:] = [
                    (before, side + 2 * reach - before - size)
                    for (before, _), size in zip(missing, cut.shape[-2:], strict=True)
                ]
                beyond = np.nan if plane.dtype.kind == "f" else np.iinfo(plane.dtype).max
                cut = np.pad(cut, padding, constant_values=beyond)
            windows.append(cut)
        planes[name] = torch.from_numpy(np.stack(windows))
    target = torch.full((len(origins), side, side), UNLABELLED, dtype=torch.uint8)
    with torch.inference_mode():
        return model(Batch(planes, target, torch.tensor(origins), reach)).sigmoid().numpy()


def whole_veneto(config: Path) -> list[Row]:
    """410 Mpx by the command line, undisturbed and killed twice, and by the peer."""
    context = RunContext(load(config))
    location = context.paths.prediction("lacnn")
    seconds, peak, (reading, computing, writing, waiting) = run_command(config)
    undisturbed = digest(location)
    subprocess.run(["rm", "-rf", location, f"{location}.state"], check=True)
    num_blocks = len(cube.shard_windows(context.config.cube.location))
    for killed_at in (num_blocks // 3, 2 * num_blocks // 3):
        process = subprocess.Popen([PROGRAM, "predict", config], stderr=subprocess.DEVNULL)
        while process.poll() is None and _num_marked(location) < killed_at:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run([PROGRAM, "predict", config], check=True, stderr=subprocess.DEVNULL)
    same = digest(location) == undisturbed
    peer_s, peer_gb = in_own_process(blend, str(config))
    megapixels = VENETO[0] * VENETO[1] / 1e6
    name = "21005 x 19500 px"
    return [
        Row(f"{name}, predict", seconds, computing, "of it the model", "s", computing / seconds),
        Row(f"{name}, rate", megapixels / seconds, megapixels / computing, "the model alone",
            "Mpx/s", computing / seconds),
        Row(f"{name}, reading, in other threads", reading, computing, "the model", "s",
            computing / reading),
        Row(f"{name}, writing, in other threads", writing, computing, "the model", "s",
            computing / writing),
        Row(f"{name}, waiting for them", waiting, computing, "the model", "s",
            computing / max(waiting, 1e-3)),
        Row(f"{name}, predict beside the peer", megapixels / seconds, megapixels / peer_s,
            "blending in memory", "Mpx/s", peer_s / seconds),
        Row(f"{name}, peak memory", peak, peer_gb, "blending in memory", "GB", peer_gb / peak),
        Row(f"{name}, killed twice, same bytes", float(same), 1.0, "undisturbed", "", float(same)),
    ]  # fmt: skip


def _num_marked(location: str) -> int:
    return sum(path.is_file() for path in Path(f"{location}.state").rglob("*"))


def digest(location: str) -> str:
    """Hash of every file of a group."""
    found = hashlib.sha256()
    for path in sorted(Path(location).rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(location)).encode() + path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    main()
