"""The command line without the seconds that its imports take: a process that has made them forks.

Each command still runs in a process of its own, through the entry point that users start; only
``sys.modules`` is warm. ``python command_line.py`` is that process: a request a line, as JSON.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

#: What commands import when they are asked for.
STAGES = ("run", "experiment", "explain", "export", "search", "plan", "inventory")


def run(
    arguments: list[str], folder: Path, environment: dict[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run one command, as ``subprocess.run`` would."""
    outputs = [folder / f".{name}" for name in ("stdout", "stderr")]
    request = {"arguments": arguments, "folder": str(folder), "environment": environment,
               "outputs": [str(path) for path in outputs]}  # fmt: skip
    process = _warm_process()
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    child = int(process.stdout.readline())
    timer = threading.Timer(timeout_s, os.kill, (child, signal.SIGKILL))
    timer.start()
    status = int(process.stdout.readline())
    timer.cancel()
    texts = [path.read_text() for path in outputs]
    for path in outputs:
        path.unlink()
    return subprocess.CompletedProcess(arguments, status, *texts)


@cache
def _warm_process() -> subprocess.Popen[str]:
    # Libraries read these when they are loaded.
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(
        [sys.executable, __file__], env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    atexit.register(_end, process)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    process.stdin.close()
    process.wait(10)
    process.stdout.close()


def serve() -> None:
    """Fork for every request; answers the child's number, then its exit status."""
    import importlib

    for stage in STAGES:
        importlib.import_module(f"landslide_dist.stages.{stage}")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            return
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(request: dict) -> None:
    """Run a command in place of this process."""
    import torch

    from landslide_dist.cli import main

    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    # Read when torch was loaded, for another command.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(request["outputs"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    # Processes that a training starts are started as it was.
    sys.argv = [str(Path(sys.executable).with_name("landslide-dist")), *request["arguments"]]
    sys.exit(main())


if __name__ == "__main__":
    serve()
