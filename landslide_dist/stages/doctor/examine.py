"""``doctor``: what an installation, and a run on it, can count on, before hours are spent.

Looks go from what everything needs to what only some runs do: packages, machine, GPUs; then of a
configuration its stores, inputs, cubes and cluster. A module whose packages are missing is a
failure of its own look, so each is imported by the look that needs it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from landslide_dist.config.load import AnyConfig
from landslide_dist.errors import StoreError
from landslide_dist.progress import console
from landslide_dist.stages.doctor.check import Check, Status, guarded

_STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}
#: Written instead of a file: standard output.
_STDOUT = "-"


def doctor(config: AnyConfig | None = None, path: str | None = None) -> bool:
    """Look at everything, and print what was found and what to do.

    Args:
        config: A run of any kind; None looks at the machine alone.
        path: JSON file of the result; ``-``: standard output, and lines go to standard error.

    Returns:
        Whether nothing failed.

    Raises:
        StoreError: The JSON file cannot be written.
    """
    to_stdout = path == _STDOUT
    out = console if to_stdout else Console(highlight=False, soft_wrap=True)
    checks = []
    for check in examine(config):
        checks.append(check)
        _show(out, check)
    if path is not None:
        _write(checks, path)
    return all(check.status != "fail" for check in checks)


def examine(config: AnyConfig | None) -> Iterator[Check]:
    """All checks, in an order that never changes."""
    for name, look in _OF_THE_MACHINE.items():
        yield from guarded(name, partial(look, config))
    if config is None:
        return
    for name, look_at_run in _OF_A_RUN.items():
        yield from guarded(name, partial(look_at_run, config))


def _packages(config: AnyConfig | None) -> Iterator[Check]:
    from landslide_dist.stages.doctor.packages import packages

    return packages()


def _machine(config: AnyConfig | None) -> Iterator[Check]:
    from landslide_dist.stages.doctor.machine import machine
    from landslide_dist.stages.doctor.needs import Needs

    return machine(None if config is None else Needs.of(config))


def _accelerator(config: AnyConfig | None) -> Iterator[Check]:
    from landslide_dist.stages.doctor.accelerator import accelerator
    from landslide_dist.stages.doctor.needs import Needs

    return accelerator(None if config is None else Needs.of(config))


def _stores(config: AnyConfig) -> Iterator[Check]:
    from landslide_dist.stages.doctor.needs import Needs
    from landslide_dist.stages.doctor.stores import stores

    return stores(Needs.of(config))


def _inputs(config: AnyConfig) -> Iterator[Check]:
    from landslide_dist.stages.doctor.inputs import inputs
    from landslide_dist.stages.doctor.needs import Needs

    return inputs(Needs.of(config))


def _cubes(config: AnyConfig) -> Iterator[Check]:
    from landslide_dist.stages.doctor.cubes import cubes
    from landslide_dist.stages.doctor.needs import Needs

    return cubes(Needs.of(config))


def _cluster(config: AnyConfig) -> Iterator[Check]:
    from landslide_dist.stages.doctor.cluster import cluster
    from landslide_dist.stages.doctor.needs import Needs

    return cluster(Needs.of(config).cluster)


_OF_THE_MACHINE: dict[str, Callable[[AnyConfig | None], Iterator[Check]]] = {
    "packages": _packages,
    "machine": _machine,
    "torch": _accelerator,
}
_OF_A_RUN: dict[str, Callable[[AnyConfig], Iterator[Check]]] = {
    "stores": _stores,
    "inputs": _inputs,
    "cubes": _cubes,
    "cluster": _cluster,
}


def _show(out: Console, check: Check) -> None:
    line = Text.assemble(
        (f"{check.status:<4}", _STYLES[check.status]), f"  {check.name}: {check.found}"
    )
    out.print(line)
    if check.remedy:
        out.print(Text(f"      {check.remedy}"))


def _write(checks: Sequence[Check], path: str) -> None:
    text = json.dumps([asdict(check) for check in checks], indent=1, ensure_ascii=False)
    if path == _STDOUT:
        print(text)
        return
    try:
        Path(path).write_text(text + "\n", "utf-8")
    except OSError as error:
        raise StoreError(
            f"the result cannot be written to {path!r}: {error.strerror}; give --json another path"
        ) from error
