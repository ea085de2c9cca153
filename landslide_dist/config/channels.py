"""Which channels a run's models see, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landslide_dist.config.categories import Categories
from landslide_dist.config.run import RunConfig


@dataclass(frozen=True)
class Channels:
    """Channel order: slope, the one-hot groups, elevation, extra continuous variables.

    With the INSPIRE lists that is the paper's order of 94 (LACNN paper, section 3).

    Attributes:
        categorical: Code list of each categorical variable, in order.
        extra: Extra continuous variables, in order.
    """

    categorical: Mapping[str, Categories]
    extra: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: RunConfig) -> "Channels":
        """The channels of a run."""
        return cls(config.categories(), tuple(config.sources.continuous))

    @property
    def continuous(self) -> tuple[str, ...]:
        """Continuous variables in channel order; the first, slope, precedes the one-hot groups."""
        return ("slope", "elevation", *self.extra)

    @property
    def names(self) -> tuple[str, ...]:
        """One name a channel: ``slope``, ``lithology=clay``, ..., ``elevation``, extras."""
        one_hot = [
            f"{variable}={name}"
            for variable, categories in self.categorical.items()
            for name in categories.codes.values()
        ]
        return ("slope", *one_hot, "elevation", *self.extra)

    @property
    def variables(self) -> tuple[str, ...]:
        """Cube variables that hold these channels."""
        return (*self.continuous, *self.categorical)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings."""
        return {
            "categorical": {
                variable: categories.model_dump(mode="json")
                for variable, categories in self.categorical.items()
            },
            "extra": list(self.extra),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Channels":
        """The inverse of :meth:`to_dict`."""
        categorical = plain["categorical"]
        return cls(
            {name: Categories.model_validate(entry) for name, entry in categorical.items()},
            tuple(plain["extra"]),
        )
