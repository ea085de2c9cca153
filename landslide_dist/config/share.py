"""One of several equal shares of independent work, for jobs that do not know of each other."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from landslide_dist.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Every ``count``-th item, from number ``index`` on.

    Attributes:
        index: From 0, as array jobs of SLURM and indexed jobs of Kubernetes count.
        count: Of all shares.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read ``K/N``.

        Raises:
            ConfigError: It is none.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None or int(found[1]) >= int(found[2]):
            raise ConfigError(f"--part {text!r} is not of the form K/N with K from 0 to N - 1")
        return cls(int(found[1]), int(found[2]))

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """The items of this share; all shares together hold each of them once."""
        return items[self.index :: self.count]

    def takes(self, number: int) -> bool:
        """Whether the item of this number is in this share."""
        return number % self.count == self.index


ALL = Share(0, 1)
