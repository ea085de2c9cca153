"""How long work stood still after a fault that a test caused, listed at the end of the tests."""

import time
from contextlib import contextmanager

import pytest

PROPERTY = "stood still, s"


@pytest.fixture
def recovery(record_property):
    """``with recovery("killed"): …``: a block that takes as long as the work stands still."""

    @contextmanager
    def measured(fault):
        begin = time.monotonic()
        yield
        record_property(PROPERTY, f"{time.monotonic() - begin:6.1f}  {fault}")

    return measured


def list_recoveries(terminal):
    """Write the list, where a test has measured something."""
    found = [
        f"{value}: {report.nodeid}"
        for report in terminal.getreports("passed")
        for name, value in report.user_properties
        if name == PROPERTY and report.when == "call"
    ]
    if found:
        terminal.section("seconds from a fault, or the next call, until work goes on")
        for line in found:
            terminal.write_line(line)
