"""``doctor``: Python, and the packages that this one needs."""

import importlib.util
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from landslide_dist.stages.doctor.check import Check, fail, ok, warn

_PACKAGE = "landslide-dist"
#: Versions that a report of a problem should name.
_NAMED = ("torch", "pytorch-lightning", "xarray", "dask", "zarr", "zarrs", "s3fs", "rasterio")
#: Extras of those who work on the package itself.
_NOT_FOR_USERS = {"test", "bench"}
#: Importing torch and torchvision takes seconds, on a cold file system many.
_IMPORT_S = 120.0


def packages() -> Iterator[Check]:
    """Python, the requirements of the package, and a torchvision that may be in the way."""
    yield ok("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _requirements()
    yield from _extras()
    yield from _torchvision()


def _requirements() -> Iterator[Check]:
    needed = [r for r in _declared() if r.marker is None or r.marker.evaluate({"extra": ""})]
    unmet = [requirement for requirement in needed if not _is_met(requirement)]
    for requirement in unmet:
        there = _version(requirement.name)
        found = "is not installed" if there is None else f"{there} is installed"
        yield fail(
            f"package {requirement.name}",
            f"{found}, {requirement.specifier or 'any version'} is needed",
            f"pip install '{requirement.name}{requirement.specifier}'",
        )
    if not unmet:
        named = ", ".join(f"{name} {_version(name)}" for name in _NAMED)
        own = metadata.version(_PACKAGE)
        yield ok("packages", f"{_PACKAGE} {own}, {named}; all {len(needed)} needed are there")


def _extras() -> Iterator[Check]:
    """Optional packages that are there, but too old or too new."""
    extras = metadata.metadata(_PACKAGE).get_all("Provides-Extra") or []
    for requirement in _declared():
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}):
            continue
        wanted_by = [e for e in extras if marker.evaluate({"extra": e})]
        there = _version(requirement.name)
        if there is None or not set(wanted_by) - _NOT_FOR_USERS or _is_met(requirement):
            continue
        yield warn(
            f"package {requirement.name}",
            f"{there} is installed, [{', '.join(wanted_by)}] needs {requirement.specifier}",
            f"pip install '{requirement.name}{requirement.specifier}'",
        )


def _torchvision() -> Iterator[Check]:
    """A torchvision of another torch cannot be imported, and Lightning's imports end with it."""
    if importlib.util.find_spec("torchvision") is None:
        return
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import torchvision"],
            capture_output=True, text=True, check=False, timeout=_IMPORT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        yield warn(
            "torchvision",
            f"was not imported within {_IMPORT_S:g} s",
            "look at the file system that the packages lie on",
        )
        return
    if done.returncode == 0:
        yield ok("torchvision", "can be imported; this package does not use it")
        return
    last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    yield fail(
        "torchvision",
        f"cannot be imported, and training imports it where it is there: {last}",
        "pip uninstall torchvision, or install the release that belongs to this torch",
    )


def _declared() -> list[Requirement]:
    listed = [Requirement(line) for line in metadata.requires(_PACKAGE) or []]
    return [requirement for requirement in listed if requirement.name != _PACKAGE]


def _is_met(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
