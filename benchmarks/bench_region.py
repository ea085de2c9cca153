"""A region of Veneto's size, 21005 x 19500 px, synthetic: plan, ingest and derive end to end.

Against what `plan` said, and against a quarter and a half of the region: time per megapixel should
stay flat (start-up, a few seconds, is part of it). ``--quick`` takes 1400 x 1300 px; ``BENCH_DIR``
names the disk.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import yaml
from harness import Row, arguments, publish

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.sources.synthetic import synthetic_grid
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, stored_bytes

VENETO = (21005, 19500)
STAGES = ("ingest", "derive")
_STEPS = re.compile(r"([\d.]+) reading, ([\d.]+) computing, ([\d.]+) writing")


@dataclass(frozen=True)
class Taken:
    """What a stage took: wall time, peak memory of its process, seconds of threads by step."""

    seconds: float
    peak_bytes: int
    reading_s: float
    computing_s: float
    writing_s: float


def main() -> None:
    """Print the table; write it with ``--json``."""
    options = arguments(__doc__ or "")
    height, width = (1400, 1300) if options.quick else VENETO
    shard = 512 if options.quick else 2048
    sizes = {
        "a quarter": (height // 2, width // 2),
        "a half": (height // 2, width),
        "all": (height, width),
    }
    rows: list[Row] = []
    per_megapixel: dict[str, dict[str, float]] = {stage: {} for stage in STAGES}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        for name, size in sizes.items():
            config = write_config(Path(folder), size, shard)
            plans = plan(config) if name == "all" else {}
            for stage in STAGES:
                taken = run(stage, config)
                per_megapixel[stage][name] = taken.seconds / (size[0] * size[1] / 1e6)
                if name == "all":
                    rows += against_plan(stage, taken, plans[stage])
                    rows += by_step(stage, taken)
        rows += stored(config, size)
        rows.append(encoding(config, size, shard))
    for stage, times in per_megapixel.items():
        for name in ("a quarter", "a half"):
            rows.append(
                Row(f"{stage}, all", times["all"] * 1e3, times[name] * 1e3,
                    f"{name} of the region", "ms/Mpx", times[name] / times["all"])
            )  # fmt: skip
    publish(rows, ["zarr", "numba", "dask"], options.json)


def write_config(folder: Path, size: tuple[int, int], shard: int) -> Path:
    """A run of ingest and derive on a synthetic region of some size."""
    name = f"region-{size[0]}-{size[1]}"
    settings = {
        "name": name,
        "run_dir": str(folder / "run"),
        "cube": {
            "location": str(folder / f"{name}.zarr"),
            "storage": {"shard_px": shard, "chunk_px": min(512, shard)},
        },
        "sources": {"synthetic": {"seed": 0, "height": size[0], "width": size[1]}},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def plan(config: Path) -> dict[str, dict[str, float]]:
    """What `plan` says of each stage."""
    out = config.with_suffix(".json")
    subprocess.run([*command(), "plan", config, "--json", out], check=True, stdout=sys.stderr)
    return {entry["stage"]: entry for entry in json.loads(out.read_text())}


def run(stage: str, config: Path) -> Taken:
    """A stage by the command line, its memory watched."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as log:
        process = psutil.Popen([*command(), stage, config], stderr=log)
        while process.poll() is None:
            try:
                peak = max(peak, process.memory_info().rss)
            except psutil.Error:
                break
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        log.seek(0)
        printed = log.read()
    steps = _STEPS.search(printed)
    if process.wait() or steps is None:
        raise RuntimeError(printed)
    return Taken(seconds, peak, *map(float, steps.groups()))


def command() -> list[str]:
    """The command line of this environment."""
    return [str(Path(sys.executable).with_name("landslide-dist"))]


def against_plan(stage: str, taken: Taken, planned: dict[str, float]) -> list[Row]:
    """Wall time and memory beside the estimate; a ratio of 1 is an exact one."""
    seconds, memory = planned["seconds"], planned["worker_memory_bytes"]
    return [
        Row(f"{stage}, wall time", taken.seconds, seconds, "plan", "s", seconds / taken.seconds),
        Row(f"{stage}, peak memory", taken.peak_bytes / 2**20, memory / 2**20, "plan", "MiB",
            memory / taken.peak_bytes),
    ]  # fmt: skip


def by_step(stage: str, taken: Taken) -> list[Row]:
    """Seconds of the threads by step, as a share of those of all steps."""
    whole = taken.reading_s + taken.computing_s + taken.writing_s
    steps = {
        "reading": taken.reading_s, "computing": taken.computing_s, "writing": taken.writing_s,
    }  # fmt: skip
    return [
        Row(f"{stage}, {name}", seconds, whole, "all steps", "s of threads", seconds / whole)
        for name, seconds in steps.items()
    ]


def stored(config: Path, size: tuple[int, int]) -> list[Row]:
    """Bytes a pixel of the derived cube, beside the published layout's 160 float32 planes."""
    per_pixel = stored_bytes(str(config.with_suffix(".zarr"))) / (size[0] * size[1])
    return [
        Row("cube on disk", per_pixel, 640, "published layout, uncompressed", "bytes/px",
            640 / per_pixel)
    ]  # fmt: skip


def encoding(config: Path, size: tuple[int, int], shard: int) -> Row:
    """How much of writing is encoding: the same shards into memory and onto the disk."""
    source = str(config.with_suffix(".zarr"))
    windows = cube.shard_windows(source)[:6]
    slope = cube.array(open_group(source), "slope")
    blocks = [cube.read_window(slope, window, np.nan) for window in windows]
    seconds = {}
    for location in (f"memory://{shard}", f"{config.with_suffix('')}-again.zarr"):
        region = SyntheticSource(seed=0, height=size[0], width=size[1])
        storage = StorageConfig(shard_px=shard, chunk_px=min(512, shard))
        cube.create(location, synthetic_grid(region), [schema.SLOPE], storage, {})
        array = cube.array(open_group(location, "r+"), "slope")
        start = time.perf_counter()
        for window, block in zip(windows, blocks, strict=True):
            cube.write_block(array, window, block)
        seconds[location] = (time.perf_counter() - start) / len(windows)
    memory, disk = seconds.values()
    return Row("encoding a shard of slope", memory * 1e3, disk * 1e3, "encoding and writing it",
               "ms", memory / disk)  # fmt: skip


if __name__ == "__main__":
    main()
