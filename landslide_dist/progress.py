"""Progress of long stages: a bar on a terminal, a line every tenth of the way in a batch log."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")

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
    shown = 0
    for done, item in enumerate(items, start=1):
        yield item
        if done * 10 // total > shown or done == total:
            shown = done * 10 // total
            console.print(f"{label}: {done}/{total}")
