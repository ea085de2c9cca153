"""How a map of probabilities becomes an inventory of landslides."""

from typing import Literal

from pydantic import Field, field_validator

from landslide_dist.config.base import Config


class InventoryConfig(Config):
    """What counts as one landslide.

    In this order: threshold, opening, closing, holes, connected bodies, smallest area, outline.
    """

    threshold: float | Literal["best"] = Field(
        0.5,
        description="probability from which a pixel is landslide; best: of the highest MCC on "
        "the validation part, as `evaluate` found it",
    )
    opening_px: int = Field(
        0, ge=0, le=10, description="radius of an opening, which removes what is narrower"
    )
    closing_px: int = Field(
        0, ge=0, le=10, description="radius of a closing, which bridges what is narrower"
    )
    fill_holes_m2: float = Field(0, ge=0, description="holes of less area are filled")
    connectivity: Literal[4, 8] = Field(
        8, description="neighbours of a pixel: 4 sides, or 8 with the corners"
    )
    min_area_m2: float = Field(0, ge=0, description="landslides of less area are left out")
    simplify_m: float = Field(
        0, ge=0, description="how far an outline may leave the edges of its pixels"
    )

    @field_validator("threshold")
    @classmethod
    def _is_probability(cls, threshold: float | str) -> float | str:
        if isinstance(threshold, float) and not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold:g} is not a probability between 0 and 1")
        return threshold
