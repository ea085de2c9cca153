"""What a run says of itself: messages, the progress of long work, what each stage took.

On a terminal that is a bar, in a batch log a line now and then. With ``LANDSLIDE_LOG=json`` every
line is a JSON object, for programs that collect logs.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from landslide_dist.telemetry import gauge

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds between two lines about the same work in a batch log.
LOG_INTERVAL_S = 15.0

#: Stages that are over sooner, most often because there is nothing to do, are not worth a line.
_WORTH_A_LINE_S = 1.0

#: Name of the stage that runs now.
stage_name: ContextVar[str] = ContextVar("stage_name", default="")


class Messages(Console):
    """Rich's console, or a JSON object a line."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Say something; ``options`` as Rich has them."""
        if writes_json():
            self.event(message=" ".join(_plain(each, options) for each in objects))
        else:
            super().print(*objects, **options)

    def event(self, **fields: Any) -> None:
        """Write one line of a JSON log."""
        about = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "stage": stage_name.get(),
            "rank": rank(),
            "job": os.environ.get("SLURM_JOB_ID"),
        }
        self.file.write(json.dumps({**about, **fields}, ensure_ascii=False) + "\n")
        self.file.flush()


def _plain(message: object, options: dict[str, Any]) -> str:
    marked = isinstance(message, str) and options.get("markup", True)
    return Text.from_markup(str(message)).plain if marked else str(message)


def writes_json() -> bool:
    """Whether messages are for programs."""
    return os.environ.get("LANDSLIDE_LOG") == "json"


def rank() -> int:
    """Number of this process among those that were started together; 0 for a single one."""
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        if os.environ.get(name):
            return int(os.environ[name])
    return 0


#: Where everything that is not a result goes, so that standard output stays parseable.
console = Messages(file=sys.stderr, highlight=False, soft_wrap=True)


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Hand on ``items`` while showing how many of ``total`` are done."""
    if not total:
        yield from items
    elif console.is_terminal and not writes_json():
        yield from _bar(_counted(items, label, total), label, total)
    else:
        yield from _lines(_counted(items, label, total), label, total)


def _counted(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    gauge("total", total, work=label)
    for done, item in enumerate(items, start=1):
        yield item
        gauge("done", done, work=label)


def _bar(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            progress.advance(task)


def _lines(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """What is done within the interval leaves no line."""
    start = shown = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - shown > LOG_INTERVAL_S:
            shown = now
            left_s = (now - start) / done * (total - done)
            if writes_json():
                console.event(work=label, done=done, total=total, left_s=round(left_s, 1))
            else:
                console.print(f"{label}: {done}/{total}, about {duration(left_s)} left")


def duration(seconds: float) -> str:
    """Seconds as people say them: ``42 s``, ``7 min 5 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def stage(function: Callable[P, T]) -> Callable[P, T]:
    """Tell wall time, bytes of files and peak memory of a stage, all of this process alone.

    Dask workers and object stores are not in it; those have the dashboard and their own counts.
    """
    name = function.__name__.replace("_", " ")

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        token = stage_name.set(name)
        start, read, written = time.monotonic(), *_file_bytes()
        try:
            result = function(*args, **kwargs)
        finally:
            stage_name.reset(token)
        seconds = time.monotonic() - start
        gauge("stage_seconds", seconds, stage=name)
        if rank() == 0 and seconds > _WORTH_A_LINE_S:
            now_read, now_written = _file_bytes()
            _tell(name, seconds, now_read - read, now_written - written)
        return result

    return told


def _tell(name: str, seconds: float, read: int, written: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if writes_json():
        console.event(
            ended=name, seconds=round(seconds, 3), read_bytes=read, written_bytes=written,
            peak_bytes=peak,
        )  # fmt: skip
        return
    console.print(
        f"{name}: {duration(seconds)}, files: {_mib(read)} read, {_mib(written)} written; "
        f"peak memory {_mib(peak)}"
    )


def _file_bytes() -> tuple[int, int]:
    """Bytes that this process has read and written; zeros where the system does not tell."""
    try:
        lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0, 0
    return int(lines["rchar"]), int(lines["wchar"])


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
