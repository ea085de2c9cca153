"""Times ours and a named peer on the same work in one run; prints a table, writes JSON."""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One comparison; ``ratio`` is above 1 where ours is better."""

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float


def arguments(description: str) -> argparse.Namespace:
    """``--quick`` (within a minute) and ``--json PATH``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes, within a minute")
    parser.add_argument("--json", type=Path, help="write the rows here")
    return parser.parse_args()


def compare_rates(
    name: str,
    work: float,
    unit: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    peer_name: str,
    repeats: int = 5,
) -> Row:
    """Rates of two ways to do the same work: medians of interleaved runs after a warm-up.

    Args:
        name: What is done.
        work: How much of ``unit`` x seconds one call does, e.g. megapixels for ``Mpx/s``.
        unit: Unit of the rate.
        ours: Does it our way.
        peer: Does it the other way.
        peer_name: Whose way that is.
        repeats: Timed runs of each.
    """
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for repeat in range(repeats + 1):
        for key, call in (("ours", ours), ("peer", peer)):
            start = time.perf_counter()
            call()
            if repeat:
                times[key].append(time.perf_counter() - start)
    seconds = {key: statistics.median(values) for key, values in times.items()}
    return Row(
        name,
        work / seconds["ours"],
        work / seconds["peer"],
        peer_name,
        unit,
        seconds["peer"] / seconds["ours"],
    )


def in_own_process(call: Callable[..., float], *args: Any) -> tuple[float, float]:
    """Run a function in a process of its own, and its peak memory.

    Args:
        call: A function of a module, that returns seconds; what it uses it should import itself.
        args: Its arguments.

    Returns:
        What it returned, and the largest resident set of the process in GB, imports included.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *args).result(), pool.submit(_peak_gb).result()


def _peak_gb() -> float:
    """The kernel's high-water mark of this program; that of ``getrusage`` includes the parent."""
    status = Path("/proc/self/status").read_text()
    return next(
        int(line.split()[1]) * 1024 / 1e9 for line in status.splitlines() if "VmHWM" in line
    )


def publish(rows: list[Row], packages: list[str], path: Path | None) -> None:
    """Print the rows and, with a path, write them after a header of machine and versions."""
    table = Table()
    for column in ("what", "ours", "peer", "", "unit", "ratio"):
        table.add_column(column, justify="right" if column in ("ours", "peer", "ratio") else "left")
    for row in rows:
        table.add_row(
            row.name, f"{row.ours:.3g}", f"{row.peer:.3g}", row.peer_name, row.unit,
            f"{row.ratio:.2f}",
        )  # fmt: skip
    Console().print(table)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([_header(packages), *map(asdict, rows)], indent=1) + "\n")


def _header(packages: list[str]) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {_processor()}",
        "gpu": _gpu(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


def _gpu() -> str | None:
    import torch  # not for those who import this module to time something else

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
