"""What raw raster values mean: metres and other units, or codes of a category list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.schema import Variable
from landslide_dist.sources.files import some

Key = TypeVar("Key", int, str)


@dataclass(frozen=True)
class Quantity:
    """Continuous values: those out of range become NaN, the others are scaled.

    Attributes:
        valid_range: Smallest and largest value that counts, before scaling.
        scale: Factor.
    """

    valid_range: tuple[float, float] | None
    scale: float

    def __call__(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Raw values, and where they are data, to float32 with NaN."""
        valid = valid & _in_range(values, self.valid_range)
        if self.scale != 1.0:
            values = values.astype(np.float64) * self.scale
        # Where a value is not data it may be too large for float32.
        return np.where(valid, values, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Codes:
    """Raster values to the codes of a variable.

    Attributes:
        path: File, for messages.
        variable: Its flags are the codes there are; its nodata is what no value becomes.
        mapping: Raster value -> code; None: values are codes.
        valid_range: Smallest and largest value that counts.
    """

    path: str
    variable: Variable
    mapping: Mapping[int, int] | None
    valid_range: tuple[float, float] | None

    def __call__(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Raw values, and where they are data, to codes.

        Raises:
            DataError: There are values that are no whole numbers or have no code.
        """
        valid = valid & _in_range(values, self.valid_range)
        codes = np.full(values.shape, self.variable.nodata, np.uint8)
        present, inverse = np.unique(values[valid], return_inverse=True)
        codes[valid] = self._code_of(present)[inverse]
        return codes

    def _code_of(self, present: NDArray[Any]) -> NDArray[np.uint8]:
        if present.dtype.kind == "f":
            broken = present[~np.isfinite(present) | (present != np.floor(present))]
            if broken.size:
                raise DataError(
                    f"{self.path!r} holds {some(broken)} where {self.variable.name!r} needs whole "
                    "numbers; give the source's nodata, or another band"
                )
        table = self.mapping
        if table is None:
            table = {code: code for code in self.variable.flags}
        values = [int(value) for value in present.tolist()]
        unknown = [value for value in values if value not in table]
        if unknown:
            problem = (
                "not among its codes; add them to the categories or give a mapping"
                if self.mapping is None
                else "not in its mapping; add them there"
            )
            raise DataError(
                f"{self.path!r} holds values of {self.variable.name!r} that are {problem}: "
                f"{some(unknown)}"
            )
        return np.array([table[value] for value in values], np.uint8)


def resolve_codes(mapping: Mapping[Key, int | str], variable: Variable) -> dict[Key, int]:
    """A configured mapping with category names replaced by their codes.

    Raises:
        ConfigError: A name or code is not one of the variable's.
    """
    # Lists may have an "unknown" of their own beside code 0: the last of a name counts.
    named = {meaning: code for code, meaning in variable.flags.items()}
    resolved = {}
    for key, target in mapping.items():
        code = named.get(target) if isinstance(target, str) else target
        if code is None or code not in variable.flags:
            raise ConfigError(
                f"the mapping of {variable.name!r} sends {key!r} to {target!r}, which is no "
                "category of it; see its categories"
            )
        resolved[key] = code
    return resolved


def _in_range(
    values: NDArray[Any], valid_range: tuple[float, float] | None
) -> NDArray[np.bool_] | bool:
    if valid_range is None:
        return True
    inside: NDArray[np.bool_] = (values >= valid_range[0]) & (values <= valid_range[1])
    return inside
