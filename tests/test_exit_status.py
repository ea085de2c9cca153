"""What the command line says to the program that called it."""

import errno

import pytest

from landslide_dist.cli import app as module
from landslide_dist.errors import ConfigError, DataError, ProcessError, StoreError


def busy():
    error = StoreError("the store is busy")
    error.__cause__ = OSError(errno.EBUSY, "reduce your request rate")
    return error


def full():
    error = StoreError("there is no room left")
    error.__cause__ = OSError(errno.ENOSPC, "no space left on device")
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError("no such model"), 2),
        (DataError("no CRS"), 2),
        (StoreError("being written by another run"), 2),
        (full(), 2),
        (busy(), 75),
        (ProcessError("another process is gone"), 75),
    ],
    ids=str,
)
def test_a_mistake_is_told_from_what_may_pass(monkeypatch, error, status):
    def fail():
        raise error

    monkeypatch.setattr(module, "app", fail)
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == status
