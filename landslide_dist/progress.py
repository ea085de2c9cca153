"""Progress of long stages: a bar on a terminal, a line now and then in a batch log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

#: Seconds between two lines about the same work in a batch log.
LOG_INTERVAL_S = 15.0

#: Where everything that is not a result goes, so that standard output stays parseable.
console = Console(file=sys.stderr, highlight=False, soft_wrap=True)


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Hand on ``items`` while showing how many of ``total`` are done."""
    if not total:
        yield from items
    elif console.is_terminal:
        yield from _bar(items, label, total)
    else:
        yield from _lines(items, label, total)


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
    shown = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - shown > LOG_INTERVAL_S:
            shown = time.monotonic()
            console.print(f"{label}: {done}/{total}")
