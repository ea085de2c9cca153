"""Code lists of categorical variables: the shipped INSPIRE lists, or the user's own."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from landslide_dist.config.base import Config


class Categories(Config):
    """Codes 1 .. 254 of one categorical map and their names; 0 is always "no value"."""

    codes: dict[int, str] = Field(description="code -> name")
    unknown: int | None = Field(
        None, description="code whose channel is 1 where the map has no value; null: all zeros"
    )

    @field_validator("codes")
    @classmethod
    def _codes_fit_a_byte(cls, codes: dict[int, str]) -> dict[int, str]:
        wrong = [code for code in codes if not 1 <= code <= 254]
        if wrong or not codes:
            raise ValueError(f"codes are 1 to 254 and at least one; got {wrong or 'none'}")
        if blank := [code for code, name in codes.items() if not name.strip()]:
            raise ValueError(f"codes {blank} have no name; give each one")
        if len(set(codes.values())) != len(codes):
            raise ValueError("two codes have the same name")
        return dict(sorted(codes.items()))

    @model_validator(mode="after")
    def _unknown_is_listed(self) -> "Categories":
        if self.unknown is not None and self.unknown not in self.codes:
            raise ValueError(f"unknown: {self.unknown} is not one of the codes")
        return self

    def code_of(self, name: str) -> int | None:
        """The code of a category name, or None."""
        return next((code for code, known in self.codes.items() if known == name), None)


@cache
def inspire() -> Mapping[str, Categories]:
    """The INSPIRE lists of the published data set: 44, 5, 5 and 38 classes."""
    text = resources.files("landslide_dist.config").joinpath("inspire.yaml").read_text("utf-8")
    lists: dict[str, Any] = yaml.safe_load(text)
    return {name: Categories.model_validate(entry) for name, entry in lists.items()}


@cache
def synthetic() -> Mapping[str, Categories]:
    """The classes that occur in a synthetic region: a few of each INSPIRE list."""
    present = {
        "lithology": (6, 8, 11, 12, 13, 15, 18, 20),
        "land_cover": (1, 2, 3, 4, 5),
        "rock_family": (1, 2, 3, 4, 5),
        "rock_age": (13, 16, 24, 26, 29, 36),
    }
    return {
        name: Categories(
            codes={code: inspire()[name].codes[code] for code in codes},
            unknown=inspire()[name].unknown,
        )
        for name, codes in present.items()
    }
