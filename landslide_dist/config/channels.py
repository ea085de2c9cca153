"""Which channels a run's models see, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landslide_dist.config.categories import Categories
from landslide_dist.config.run import RunConfig
from landslide_dist.errors import DataError


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
    def meanings(self) -> tuple[str, ...]:
        """:attr:`names`, with what is 1 where its map has no value marked as such."""
        unknown = {
            f"{variable}={categories.codes[categories.unknown]}"
            for variable, categories in self.categorical.items()
            if categories.unknown is not None
        }
        return tuple(f"{name} or no value" if name in unknown else name for name in self.names)

    @property
    def variables(self) -> tuple[str, ...]:
        """Cube variables that hold these channels."""
        return (*self.continuous, *self.categorical)

    def check_readable_by(self, model: "Channels") -> None:
        """Refuse a model that would read a cube of these channels wrongly.

        A model finds variables by their names and reads codes by its own lists: the cube may have
        more variables, and fewer categories. A code that the model does not know would leave all
        channels of its variable 0, which no category did in training.

        Args:
            model: Channels that the model was trained on.

        Raises:
            DataError: A variable is missing; a code, or a pixel without a value, means something
                else to the model.
        """
        needed = {"continuous": model.continuous, "categorical": tuple(model.categorical)}
        there = {"continuous": self.continuous, "categorical": tuple(self.categorical)}
        for kind, variables in needed.items():
            for variable in variables:
                if variable not in there[kind]:
                    raise DataError(
                        f"the model reads the {kind} variable {variable!r}, which this cube does "
                        f"not have: give it in sources.{kind}, or another checkpoint"
                    )
        for variable, known in model.categorical.items():
            _check_codes(variable, known, self.categorical[variable])

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


def _check_codes(variable: str, known: Categories, of_cube: Categories) -> None:
    setting = f"sources.categorical.{variable}.categories"
    for code, name in of_cube.codes.items():
        if known.codes.get(code) != name:
            raise DataError(
                f"code {code} of {variable!r} is {name!r} in this cube but {_name(known, code)} to "
                f"the model: ingest the cube with the model's codes ({setting}), or give a "
                "checkpoint that was trained with these"
            )
    if known.unknown != of_cube.unknown:
        raise DataError(
            f"a pixel of {variable!r} without a value is {_name(of_cube, of_cube.unknown)} in this "
            f"cube but {_name(known, known.unknown)} to the model: set {setting}.unknown to "
            f"{'null' if known.unknown is None else known.unknown}, or give another checkpoint"
        )


def _name(categories: Categories, code: int | None) -> str:
    """Name of a code as a message shows it."""
    name = None if code is None else categories.codes.get(code)
    return "no category" if name is None else repr(name)
