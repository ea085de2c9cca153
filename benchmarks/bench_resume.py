"""How soon a stage that was killed goes on, against starting it over.

    python benchmarks/bench_resume.py [--quick] [--json PATH]

Each stage is killed with ``kill -9`` after a third of its blocks (``train``: when it has written a
state) and called again by the command line. Ours: seconds from the call to the next finished block
or state, of which most is Python and its imports. The peer is the whole stage, undisturbed: what a
stage that keeps nothing would take.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from harness import Row, arguments, publish

PROGRAM = Path(sys.executable).with_name("landslide-dist")
PEER = "the whole stage"
LAYOUT = {"chunk_px": 128, "shard_px": 256}


def main() -> None:
    """Print the table; write it with ``--json``."""
    options = arguments(__doc__.splitlines()[0])
    side, epochs = (2048, 2) if options.quick else (3072, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_runs(folder, side, epochs)
        for command in ("ingest", "derive", "split"):
            timed(folder, "whole", command)
        rows = []
        blocks = (side // LAYOUT["shard_px"]) ** 2
        for command in ("ingest", "derive"):
            seconds = resumed(folder, command, lambda c=command: markers(folder, c), blocks // 3)
            rows.append(row(command, seconds, timed(folder, "again", command)))
        timed(folder, "killed", "split")
        timed(folder, "again", "split")
        seconds = resumed(folder, "train", lambda: written(folder), 1)
        rows.append(row("train", seconds, timed(folder, "again", "train")))
    publish(rows, ["torch", "zarr"], options.json)


def row(command: str, seconds: float, whole: float) -> Row:
    """A killed stage beside an undisturbed one."""
    return Row(f"{command}, from kill -9 on", seconds, whole, PEER, "s", whole / seconds)


def write_runs(folder: Path, side: int, epochs: int) -> None:
    """The same region three times: to warm up, to be killed, to be left alone."""
    for run in ("whole", "killed", "again"):
        tree = {
            "name": run,
            "run_dir": run,
            "cube": {"location": f"{run}.zarr", "storage": LAYOUT},
            "sources": {"synthetic": {"seed": 1, "height": side, "width": side, "base_rate": 0.1}},
            "patches": {"core_px": 128, "oversample": 1},
            "models": {"nn": {"kind": "nn", "epochs": epochs, "batch_size": 4}},
            "training": {"accelerator": "cpu", "checkpoint_every_n_steps": 5},
        }
        (folder / f"{run}.yaml").write_text(yaml.safe_dump(tree))


def start(folder: Path, run: str, command: str) -> subprocess.Popen[bytes]:
    """Call the command line."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [PROGRAM, command, f"{run}.yaml"], cwd=folder, stdout=log, stderr=log
        )


def timed(folder: Path, run: str, command: str) -> float:
    """Seconds of a whole stage."""
    begin = time.perf_counter()
    end(folder, start(folder, run, command))
    return time.perf_counter() - begin


def end(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for a stage that must end well."""
    if process.wait():
        raise SystemExit((folder / "log").read_text())


def resumed(folder: Path, command: str, progress: Callable[[], float], until: float) -> float:
    """Kill a stage, call it again, and wait for what it finishes next."""
    first = start(folder, "killed", command)
    wait(first, lambda: progress() >= until)
    first.kill()
    first.wait()
    before = progress()
    begin = time.perf_counter()
    second = start(folder, "killed", command)
    wait(second, lambda: progress() > before)
    seconds = time.perf_counter() - begin
    end(folder, second)
    return seconds


def wait(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    """Until it has happened; an error where the process ends before."""
    while not happened():
        if process.poll() is not None:
            raise SystemExit("the stage ended before it could be killed: make it larger")
        time.sleep(0.002)


def markers(folder: Path, command: str) -> int:
    """Blocks that a stage has finished."""
    return sum(len(files) for _, _, files in os.walk(folder / "killed.zarr.state" / command))


def written(folder: Path) -> float:
    """When the state of the training was written last; 0: it was not."""
    state = folder / "killed" / "models" / "nn" / "state.ckpt"
    try:
        return state.stat().st_mtime
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    main()
