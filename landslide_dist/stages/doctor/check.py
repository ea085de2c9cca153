"""What one look of ``doctor`` finds, and how looks are kept from ending the others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from landslide_dist.errors import LandslideDistError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One line of the result.

    Attributes:
        name: What was looked at.
        status: ``warn``: the run may do without; ``fail``: it cannot.
        found: What was found.
        remedy: What to do about it; empty where nothing needs doing.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Check:
    """Nothing needs doing."""
    return Check(name, "ok", found)


def warn(name: str, found: str, remedy: str) -> Check:
    """The run may do without, more slowly or with more care."""
    return Check(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    """The run cannot do without."""
    return Check(name, "fail", found, remedy)


def refused(
    name: str,
    error: LandslideDistError,
    remedy: str = "",
    otherwise: str = "correct the setting or the file that it names",
) -> Check:
    """A failure in the words of an error, which says after its last semicolon what to do.

    Args:
        name: What was looked at.
        error: What was raised.
        remedy: What to do, instead of what the error says.
        otherwise: What to do where the error does not say it.
    """
    message = one_line(error)
    found, _, advice = message.rpartition("; ")
    return fail(
        name,
        found or message,
        remedy or (advice if found else otherwise),
    )


def guarded(name: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    """What a look finds, and a failure where it raises.

    Args:
        name: What is looked at, should it raise.
        look: Gives checks, one after another.
    """
    checks: list[Check] = []
    try:
        checks.extend(look())
    except LandslideDistError as error:
        checks.append(refused(name, error))
    except Exception as error:
        # Whatever is broken here, the user came to hear about all of it.
        found = f"looking failed with {type(error).__name__}: {one_line(error)}"
        checks.append(fail(name, found, "mend what it names; if it names nothing, report it"))
    return checks


def amount(num_bytes: float) -> str:
    """Bytes as people read them."""
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"


def one_line(error: object) -> str:
    """What an exception says."""
    return " ".join(str(error).split()) or type(error).__name__
