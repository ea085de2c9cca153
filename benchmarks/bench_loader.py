"""Patches of 500 px cores with 64 px around them, delivered by our loader and by others.

    python benchmarks/bench_loader.py [--quick] [--json PATH]

Compared on the same patches in the same order, runs taken in turn; ours in processes of their own,
the others in one:

- *published layout*: our own writing of it. One HDF5 (lzf) of 94 float32 planes and 66 aligned ones
  with 64 px of padding, opened for every sample.
- *dense GeoTIFF*: the same 160 planes as bands of one tiled GeoTIFF, windows read by rasterio.
- *GeoTIFFs*: one tiled GeoTIFF a variable, windows read by rasterio as torchgeo does.
- *xbatcher*: a ``BatchGenerator`` over ``xarray.open_zarr(cube)``, with Dask as by default and
  without; *zarr slices*: each window read by itself with the package's reader.
  Like the two above they come from a ``DataLoader`` without workers; what decodes with threads of
  its own (Zarr, Dask) has both cores.
- ours: *streamed* with two threads within ``Scale.memory_gib``, which is less than the region takes
  decoded, and *resident* in host memory (on the device where there is CUDA).

*Dense* means 94 + 66 channels as float32 on the device; compact planes of ours, of xbatcher and of
the GeoTIFFs are expanded there by the same encoder, which on a CPU takes nearly all of the time and
is what limits those rows. *Compact* means the planes alone; decoding zstd limits streaming, memory
the resident region. Dense rows are of 16 patches and warm; compact ones go over the whole region,
and before each run the kernel is asked to drop what it holds of the files (``posix_fadvise``),
which it does for what nobody has mapped. Bytes read are those of read calls (``rchar`` of
``/proc/self/io``), whether the page cache has them or not. Peak memory is the kernel's count for
the process, imports included. Threads of OpenMP wait passively in every process.

Training steps are real ones of ``PatchModule``. Ours are timed once what was read ahead of them is
used up, except for LACNN, whose steps take longer than reading. With ``BENCH_DIR`` the files (3 GB)
are kept there.
"""

import os
import tempfile
from contextlib import ExitStack
from statistics import median

import numpy as np
import torch
from harness import Row, arguments, in_own_process, publish
from loader_layouts import make
from loader_peers import COMPACT, STORED, stream
from loader_region import QUICK, Bench, Scale
from loader_runs import OURS, Contest, Delivered, Task, copy_seconds, copy_windows_seconds, deliver
from loader_steps import KINDS, StepTimes, time_steps

PUBLISHED = "published layout"
SLICES = "zarr slices"
#: Patches that are expanded at a time.
DENSE_BATCH = 4
#: Name, cores on a side of a block (None as the package chooses), lanes of the order.
BLOCKS = (
    ("the package's order", None, 16),
    ("blocks of 4 x 4", 4, 4),
    ("blocks of 9 x 9", 9, 1),
)


def main() -> None:
    """Run all comparisons; print the table and write it with ``--json``."""
    options = arguments("Patches a second of loaders.")
    scale = QUICK if options.quick else Scale()
    kept = os.environ.get("BENCH_DIR")
    with ExitStack() as stack:
        folder = kept or stack.enter_context(tempfile.TemporaryDirectory())
        bench = Bench(f"{folder}/loader-{scale.side_px}", scale)
        make(bench)
        contest = Contest(bench, stack)
        rows = dense_rows(contest)
        compact, rates = compact_rows(contest)
        rows += [
            *compact,
            *resident_rows(contest),
            *step_rows(contest, rates),
            memory_row(bench),
        ]
    publish(
        rows, ["torch", "zarr", "zarrs", "xarray", "xbatcher", "h5py", "rasterio"], options.json
    )


def dense_rows(contest: Contest) -> list[Row]:
    """Channels on the device: rates, bytes that are read, time to the first batch."""
    task = Task("dense, float32", dense=True, batch_size=DENSE_BATCH, max_repeats=2)
    peers = [*STORED, *[name for name in COMPACT if name != "streamed"]]
    runs = contest.run(task, [*OURS, *peers])
    rows = []
    for ours in OURS:
        rows += [rate_row(f"{task.name}, {ours}", runs[ours], runs[peer], peer) for peer in peers]
    for peer in (PUBLISHED, "dense GeoTIFF", "GeoTIFFs", "xbatcher", SLICES):
        rows.append(bytes_row("bytes read a patch, streamed", runs["streamed"], runs[peer], peer))
    for peer in peers:
        ours_s, peer_s = runs["streamed"].first_s, runs[peer].first_s
        rows.append(Row("first dense batch, streamed", ours_s, peer_s, peer, "s", peer_s / ours_s))
    halves = Task(
        "dense, bfloat16", dense=True, batch_size=DENSE_BATCH, dtype=torch.bfloat16, max_repeats=1
    )
    runs = contest.run(halves, ["streamed", PUBLISHED])
    return [
        *rows,
        rate_row(f"{halves.name}, streamed", runs["streamed"], runs[PUBLISHED], PUBLISHED),
    ]


def compact_rows(contest: Contest) -> tuple[list[Row], dict[str, float]]:
    """Compact planes: warm on the part of the dense rows, cold over the whole region.

    Returns:
        The rows, and patches a second of our loader, streamed, by the task's name.
    """
    warm = Task("compact", dense=False, part=True)
    runs = contest.run(warm, ["resident", *COMPACT])
    rows = [
        rate_row("compact, 16 warm patches", runs["streamed"], runs[peer], peer)
        for peer in COMPACT
        if peer != "streamed"
    ]
    rates = {}
    for label, block_cores, num_lanes in BLOCKS:
        task = Task(f"compact, {label}", False, True, False, block_cores, num_lanes, max_repeats=2)
        peers = [SLICES, *(["GeoTIFFs"] if block_cores == 4 else [])]
        runs = contest.run(task, [*OURS, *peers])
        rows += quality_rows(label, contest.bench, task)
        rows += [rate_row(f"cold, {label}", runs["streamed"], runs[p], p) for p in peers]
        rows += [
            rate_row(f"cold, {label}", runs["streamed"], runs["resident"], "ours, resident"),
            bytes_row(f"bytes read a patch, {label}", runs["streamed"], runs[SLICES], SLICES),
        ]
        rates[label] = runs["streamed"].rate
    return rows, rates


def quality_rows(label: str, bench: Bench, task: Task) -> list[Row]:
    """What a read serves, and how well the sequence is mixed beside one shuffled as a whole."""
    shares = task.shares(bench)
    patch = np.concatenate([share.patch for share in shares])
    per_read = len(patch) / len(stream(bench, shares, None).plan(shares).windows)
    apart_px, mixed_px = (
        float(np.median(np.hypot(*np.diff(bench.patches.origins[order], axis=0).T)))
        for order in (patch, np.random.default_rng(0).permutation(patch))
    )
    blocks = float(np.mean([len(np.unique(share.visit)) for share in shares]))
    return [
        Row(f"served by a read, {label}", per_read, 1, SLICES, "patches", per_read),
        Row(f"neighbours apart, {label}", apart_px, mixed_px, "full shuffle", "px",
            apart_px / mixed_px),
        Row(f"blocks in a batch, {label}", blocks, task.batch_size, "patches in it", "blocks",
            blocks / task.batch_size),
    ]  # fmt: skip


def resident_rows(contest: Contest) -> list[Row]:
    """The resident region against copies of as many bytes: in one piece, and by the same windows.

    Rows of a window lie a raster's width apart, so the second is limited by the latency of memory.
    """
    task = Task("resident", dense=False, num_lanes=16)
    bench = contest.bench
    nbytes = (15 * bench.scale.read_px**2 + bench.scale.core_px**2) * len(bench.patches)
    times: dict[str, list[float]] = {"ours": [], "np.copyto": [], "np.copyto of the windows": []}
    for _ in range(bench.scale.repeats + 1):
        times["ours"].append(contest.call("resident", deliver, "resident", bench, task).seconds)
        times["np.copyto"].append(contest.call("resident", copy_seconds, nbytes))
        times["np.copyto of the windows"].append(
            contest.call("resident", copy_windows_seconds, bench, task)
        )
    rate = {name: nbytes / median(of[1:] or of) / 1e9 for name, of in times.items()}
    ours = rate.pop("ours")
    return [
        Row("resident, bytes delivered", ours, copied, name, "GB/s", ours / copied)
        for name, copied in rate.items()
    ]


def step_rows(contest: Contest, rates: dict[str, float]) -> list[Row]:
    """Waiting in training steps, and the loader's rate over the model's."""
    rows = []
    for kind in KINDS:
        times: dict[str, StepTimes] = {
            source: contest.call("steps", time_steps, contest.bench, kind, source)
            for source in ("streamed", PUBLISHED, "xbatcher")
        }
        ours = times.pop("streamed")
        for source, of_peer in times.items():
            rows.append(
                Row(f"{kind} step, share waited", ours.share, of_peer.share, source, "of the time",
                    of_peer.share / max(ours.share, 1e-3))
            )  # fmt: skip
        for label, rate in rates.items():
            rows.append(
                Row(f"{label}, streamed, against training", rate, ours.model_rate, f"{kind} steps",
                    "patches/s", rate / ours.model_rate)
            )  # fmt: skip
    return rows


def memory_row(bench: Bench) -> Row:
    """Peak memory of a process that streams, beside the region decoded."""
    label, block_cores, num_lanes = BLOCKS[-1]
    task = Task(label, False, block_cores=block_cores, num_lanes=num_lanes)
    _, peak = in_own_process(deliver, "streamed", bench, task)
    decoded = 16 * bench.scale.side_px**2 / 1e9
    limit = f"region decoded; {bench.scale.memory_gib} GiB may be held"
    return Row(f"peak memory, {label}", peak, decoded, limit, "GB", decoded / peak)


def rate_row(name: str, ours: Delivered, peer: Delivered, peer_name: str) -> Row:
    """Patches a second."""
    return Row(name, ours.rate, peer.rate, peer_name, "patches/s", ours.rate / peer.rate)


def bytes_row(name: str, ours: Delivered, peer: Delivered, peer_name: str) -> Row:
    """Bytes of read calls."""
    a, b = (run.bytes_read / run.num_patches / 1e6 for run in (ours, peer))
    return Row(name, a, b, peer_name, "MB", b / a)


if __name__ == "__main__":
    main()
