"""Sentinel-2 images of a cube: which bands, which scenes, and how they become time steps."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from landslide_dist.config.base import Config

#: Common name of a band -> its number in Sentinel-2 products.
BAND_IDS = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "swir16": "B11",
    "swir22": "B12",
}

#: What pictures show, in their order.
COLOURS = ("red", "green", "blue")

#: Digital number that is subtracted, or where to learn it from.
BoaOffset = Literal["metadata"] | Annotated[int, Field(ge=0, le=10_000)]


class StacSource(Config):
    """Scenes that a STAC Item, ItemCollection, Collection or Catalog lists."""

    kind: Literal["stac"]
    path: str = Field(description="JSON file, http(s):// or s3:// URL; $NAME from the environment")


class SafeSource(Config):
    """Level-2A products as the Copernicus archives hand them out."""

    kind: Literal["safe"]
    path: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
        Field(min_length=1),
    ] = Field(description="*.SAFE folders or globs of them, local or s3://")


class StackSource(Config):
    """One netCDF file with a time dimension and a variable a band."""

    kind: Literal["stack"]
    path: str = Field(description="file path; $NAME is taken from the environment")
    time: str = Field("time", description="the file's name of the time dimension")
    dims: dict[Literal["y", "x"], str] | None = Field(
        None, description="y and x -> the file's dimension names"
    )
    variables: dict[str, str] = Field(
        default_factory=dict, description="band -> variable; others: by number, e.g. B04"
    )
    scl: str | None = Field("SCL", description="variable of the scene classification; null: none")
    crs: str | None = Field(None, description="CRS of the file where it states none")
    nodata: float | None = Field(
        None, description="value without data beside 0 and what the file states"
    )


class BandFile(Config):
    """One band of a raster file."""

    path: str = Field(description="file path or URL; $NAME is taken from the environment")
    band: int = Field(1, ge=1, description="band number in the file, from 1")


_File = Annotated[
    BandFile, BeforeValidator(lambda given: {"path": given} if isinstance(given, str) else given)
]


class FilesSource(Config):
    """One image as plain raster files."""

    kind: Literal["files"]
    bands: dict[str, _File] = Field(description="band -> path, or path and band number")
    scl: _File | None = Field(None, description="scene classification; null: only nodata masks")
    acquired: date | None = Field(None, alias="date", description="UTC day; null: not known")
    crs: str | None = Field(None, description="CRS of the files where they state none")
    nodata: float | None = Field(
        None, description="value without data beside 0 and what the files state"
    )


ImageSource = Annotated[
    StacSource | SafeSource | StackSource | FilesSource, Field(discriminator="kind")
]


class ImageConfig(Config):
    """One time step of the cube."""

    role: Literal["pre", "post"] = Field(description="before or after the event")
    pair: int = Field(0, ge=0, description="a pre and a post image of one number belong together")
    window: tuple[date, date] | None = Field(
        None, description="first and last day of scenes that count; null: all on the role's side"
    )
    composite: Literal["nearest", "median"] = Field(
        "nearest", description="the clear acquisition nearest to the event, or median of all"
    )
    min_clear: float = Field(
        0.9, ge=0, le=1, description="smallest clear share of the grid that is accepted"
    )
    boa_offset: BoaOffset | None = Field(
        None, description="of this image alone, e.g. where a catalogue is known to err"
    )
    source: ImageSource

    @model_validator(mode="after")
    def _window_has_days(self) -> "ImageConfig":
        if self.window is not None and self.window[0] > self.window[1]:
            raise ValueError(f"window ends ({self.window[1]}) before it begins ({self.window[0]})")
        return self


class ReflectanceConfig(Config):
    """Images that become `reflectance` and `valid`."""

    bands: tuple[str, ...] = Field(
        ("red", "green", "blue"), min_length=1, description="common names, in channel order"
    )
    event_date: date | None = Field(
        None, description="scenes before it are pre, after it post, on it neither"
    )
    boa_offset: BoaOffset = Field(
        "metadata", description="metadata, or digital number to subtract, e.g. 1000, or 0"
    )
    masked_classes: tuple[Annotated[int, Field(ge=0, le=11)], ...] = Field(
        (0, 1, 3, 8, 9, 10, 11), description="SCL classes that are not valid"
    )
    images: tuple[ImageConfig, ...] = Field(
        min_length=1, description="each becomes one time step, in this order"
    )

    @field_validator("bands")
    @classmethod
    def _known_bands(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [band for band in bands if band not in BAND_IDS]
        if unknown or len(set(bands)) < len(bands):
            raise ValueError(
                f"{unknown or list(bands)} cannot be bands: give some of {', '.join(BAND_IDS)}, "
                "each once"
            )
        return bands

    @model_validator(mode="after")
    def _images_fit(self) -> "ReflectanceConfig":
        places = [(image.role, image.pair) for image in self.images]
        if twice := sorted({place for place in places if places.count(place) > 1}):
            raise ValueError(
                f"two images are {twice[0][0]} of pair {twice[0][1]}; number the pairs"
            )
        for position, image in enumerate(self.images):
            self._check_image(f"images.{position}", image)
        return self

    def _check_image(self, name: str, image: ImageConfig) -> None:
        event, window = self.event_date, image.window
        if event is not None and window is not None:
            beside = window[0] >= event if image.role == "pre" else window[1] <= event
            if beside:
                raise ValueError(f"{name}: no day of its window is {_SIDES[image.role]} {event}")
        named: dict[str, Any] = {}
        if isinstance(image.source, FilesSource):
            named = dict(image.source.bands)
            if missing := [band for band in self.bands if band not in named]:
                raise ValueError(f"{name}: source.bands lacks {', '.join(missing)}")
        elif isinstance(image.source, StackSource):
            named = dict(image.source.variables)
        if unknown := [band for band in named if band not in BAND_IDS]:
            raise ValueError(f"{name}: {unknown} are not bands; there are {', '.join(BAND_IDS)}")


_SIDES = {"pre": "before", "post": "after"}
