"""Made-up landslide events with satellite images."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from landslide_dist.config.base import Config

_Palette = Literal["red", "ochre", "brown", "grey", "pale", "dark"]
SyntheticBand = Literal["red", "green", "blue", "nir"]
#: Name -> reflectance of bare soil in red, green and blue.
SOILS: dict[_Palette, tuple[float, float, float]] = {
    "red": (0.34, 0.19, 0.12),
    "ochre": (0.38, 0.29, 0.17),
    "brown": (0.25, 0.19, 0.13),
    "grey": (0.285, 0.258, 0.235),
    "pale": (0.45, 0.40, 0.32),
    "dark": (0.155, 0.115, 0.095),
}
_Share = Annotated[float, Field(ge=0, le=1)]


class SyntheticEvent(Config):
    """Landslides of one trigger, and images from before and after; see sources.synthetic_event."""

    trigger: Literal["earthquake", "rainfall"] = Field(
        "earthquake",
        description="earthquake: compact slides of steep upper slopes; "
        "rainfall: long ones that start in hollows",
    )
    single: bool = Field(False, description="one very large slide, in the middle of the raster")
    area_px: tuple[int, int] = Field(
        (10, 1280), description="smallest and largest area of a slide, pixels; not of a single one"
    )
    relief: float = Field(1.0, gt=0, le=4, description="stretches heights; 1: slopes to 45 degrees")
    climate: Literal["tropical", "temperate", "boreal", "dry"] = Field(
        "temperate", description="colours of forest and grass"
    )
    vegetation: float = Field(0.85, ge=0, le=1, description="about the green share before")
    soil: _Palette | tuple[_Share, _Share, _Share] = Field(
        "brown", description="bare soil: a palette, or reflectance of red, green and blue"
    )
    farmland: float = Field(
        0.5, ge=0, le=1, description="share of gentle ground that is fields, ploughed now and then"
    )
    season: float = Field(
        0.3,
        ge=-1,
        le=1,
        description="above 0 the images after are of a drier season with a lower sun, below 0 "
        "those before; 0: the same season",
    )
    cloud: float = Field(
        0.03, ge=0, lt=0.9, description="share of each image under clouds and their shadows"
    )
    haze: float = Field(0.2, ge=0, le=1, description="about the strength of haze in an image")
    noise: float = Field(0.006, ge=0, le=0.1, description="about the noise of reflectance, 1 sigma")
    num_pairs: int = Field(1, ge=1, le=4, description="pairs of images, each of another sensor")
    bands: tuple[SyntheticBand, ...] = Field(
        ("red", "green", "blue"), min_length=1, description="common names, in channel order"
    )

    @field_validator("area_px")
    @classmethod
    def _areas_are_a_range(cls, area_px: tuple[int, int]) -> tuple[int, int]:
        if not 4 <= area_px[0] < area_px[1] <= 5000:
            raise ValueError(
                f"area_px {list(area_px)} is not a range; give e.g. [10, 1280], within 4 to 5000"
            )
        return area_px

    @field_validator("bands")
    @classmethod
    def _bands_once(cls, bands: tuple[SyntheticBand, ...]) -> tuple[SyntheticBand, ...]:
        if len(set(bands)) < len(bands):
            raise ValueError(f"bands {list(bands)}: give each once")
        return bands

    @property
    def soil_colour(self) -> tuple[float, float, float]:
        """Reflectance of bare soil in red, green and blue."""
        return SOILS[self.soil] if isinstance(self.soil, str) else self.soil
