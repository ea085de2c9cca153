"""What users bring: rasters, vector maps, points, a study area; the paper's; or a synthetic one."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from landslide_dist.config.base import Config
from landslide_dist.config.categories import Categories, inspire
from landslide_dist.config.imagery import ReflectanceConfig
from landslide_dist.config.synthetic import SyntheticEvent

Resampling = Literal["nearest", "mode", "bilinear", "average"]


class RasterSource(Config):
    """One band of a raster file: GeoTIFF, COG or whatever GDAL reads, or netCDF by xarray."""

    kind: Literal["raster"] = "raster"
    path: str = Field(description="file path or URL; $NAME is taken from the environment")
    band: int = Field(1, ge=1, description="band number, from 1")
    variable: str | None = Field(None, description="netCDF variable name; selects xarray's reader")
    dims: dict[str, str] | None = Field(
        None, description="netCDF: y and x -> the file's dimension names"
    )
    select: dict[str, int] = Field(
        default_factory=dict, description="netCDF: position along each other dimension"
    )
    crs: str | None = Field(None, description="CRS of the file where it states none")
    nodata: float | None = Field(
        None, description="value without data beside the file's own statement (nodata or mask)"
    )
    valid_range: tuple[float, float] | None = Field(
        None, description="values outside become nodata, as out-of-range rules"
    )
    scale: float = Field(1.0, description="multiplies the values, after valid_range")
    resampling: Resampling | None = Field(
        None,
        description="null: bilinear or average for continuous maps (average when shrinking), "
        "nearest or mode for categorical ones (mode when shrinking)",
    )
    mapping: dict[int, int | str] | None = Field(
        None, description="categorical: raster value -> code or category name; null: values = codes"
    )


class VectorSource(Config):
    """Polygons (or lines) of a GeoPackage, Shapefile, GeoJSON or GeoParquet, rasterised."""

    kind: Literal["vector"]
    path: str = Field(description="file path; $NAME is taken from the environment")
    layer: str | None = Field(None, description="layer of a file with several")
    where: str | None = Field(None, description="OGR SQL filter, e.g. \"type = 'slide'\"")
    crs: str | None = Field(None, description="CRS of the file where it states none")
    attribute: str | None = Field(None, description="categorical: attribute that holds the class")
    mapping: dict[str, int | str] | None = Field(
        None, description="attribute value -> code or category name; null: the names themselves"
    )
    unmapped: Literal["error", "unknown"] = Field(
        "error", description="what an attribute value without a code means"
    )
    all_touched: bool = Field(False, description="burn every pixel touched, not only centres")


class PointsSource(Config):
    """Labelled points: CSV with coordinates, or a vector file of points."""

    kind: Literal["points"]
    path: str = Field(description="CSV or vector file; $NAME is taken from the environment")
    layer: str | None = Field(None, description="layer of a vector file with several")
    x: str = Field("x", description="CSV column of eastings (or longitudes)")
    y: str = Field("y", description="CSV column of northings (or latitudes)")
    crs: str | None = Field(None, description="CRS of the columns; needed for a CSV")
    label: str | None = Field(None, description="column of 1 and 0; null: every point is 1")
    buffer_m: float = Field(0.0, ge=0.0, description="label all pixels within this distance")
    conflict: Literal["error", "landslide"] = Field(
        "error",
        alias="prefer",
        description="two labels in one pixel: an error, or prefer: landslide",
    )


class SyntheticSource(Config):
    """A made-up region: one whose landslide probability is known exactly, or one with images.

    See sources.synthetic and, with ``event``, sources.synthetic_event.
    """

    seed: int = Field(0, description="two seeds are two regions")
    height: int = Field(1024, ge=32, description="rows")
    width: int = Field(1024, ge=32, description="columns")
    pixel_m: float = Field(10.0, gt=0, description="pixel size, metres")
    base_rate: float = Field(0.1, gt=0, lt=1, description="about the share of landslide pixels")
    inventory: Literal["pixels", "polygons"] = Field(
        "pixels",
        description="independent draws per pixel, or landslide polygons; an event has polygons",
    )
    event: SyntheticEvent | None = Field(
        None, description="images of a landslide event instead of maps and a known probability"
    )


class PublishedElevation(Config):
    """How the standardised elevation of a published file becomes metres: x std_m + mean_m."""

    mean_m: float = Field(description="mean that was subtracted; 0 where the file is in metres")
    std_m: float = Field(gt=0, description="deviation divided by; 1 where the file is in metres")
    valid_range: tuple[float, float] = Field(
        (-500.0, 9000.0), description="metres outside become nodata"
    )


class PublishedSource(Config):
    """The HDF5 file of the LACNN paper: features, classes one-hot, and landslides, 94 + 1 planes.

    Its arrays have neither CRS nor transform: cube.grid gives them, at the file's size.
    """

    kind: Literal["veneto-hdf5"]
    path: str = Field(description="file path; $NAME is taken from the environment")
    region: str = Field("Veneto", description="group that holds `data` and `gt`")
    elevation: PublishedElevation | None = Field(
        None, description="how feature 93 becomes metres; null: sources.elevation is read instead"
    )
    filled_columns_px: int = Field(
        0, ge=0, description="columns at the right that only mirror others: no data"
    )


def _raster_by_default(source: Any) -> Any:
    """A source without ``kind`` is a raster."""
    return {"kind": "raster", **source} if isinstance(source, dict) else source


class CategoricalVariable(Config):
    """A categorical map and its code list."""

    source: Annotated[
        Annotated[RasterSource | VectorSource, Field(discriminator="kind")],
        BeforeValidator(_raster_by_default),
    ]
    categories: Categories | Literal["inspire"] = Field(
        "inspire", description="the shipped INSPIRE list of this variable's name, or codes"
    )


class ContinuousVariable(Config):
    """An extra continuous channel."""

    source: RasterSource
    units: str = Field(description="CF units, e.g. 1/m")


class Sources(Config):
    """Everything that `ingest` reads."""

    synthetic: SyntheticSource | None = Field(None, description="a made-up region; excludes files")
    published: PublishedSource | None = Field(
        None, description="the paper's data set; only elevation and reflectance go beside it"
    )
    elevation: RasterSource | None = Field(None, description="digital elevation model, metres")
    categorical: dict[str, CategoricalVariable] = Field(
        default_factory=dict, description="categorical maps, in channel order"
    )
    continuous: dict[str, ContinuousVariable] = Field(
        default_factory=dict, description="extra continuous channels, after elevation"
    )
    inventory: Annotated[
        Annotated[RasterSource | VectorSource | PointsSource, Field(discriminator="kind")] | None,
        BeforeValidator(_raster_by_default),
    ] = Field(None, description="landslides: polygons, points or a 0/1 raster")
    study_area: VectorSource | None = Field(
        None, description="polygon outside which nothing is labelled"
    )
    reflectance: ReflectanceConfig | None = Field(None, description="Sentinel-2 images of an event")

    @field_validator("categorical", "continuous")
    @classmethod
    def _names_are_free(cls, entries: dict[str, Any]) -> dict[str, Any]:
        reserved = {"elevation", "slope", "uphill", "landslide", "split", "true_probability"}
        reserved |= {"reflectance", "valid"}
        wrong = [n for n in entries if n in reserved or not n.isidentifier()]
        if wrong:
            raise ValueError(f"{wrong} cannot be variable names here")
        return entries

    @model_validator(mode="after")
    def _files_or_synthetic(self) -> "Sources":
        given = self.elevation or self.categorical or self.continuous or self.inventory
        if self.synthetic is not None and (given or self.reflectance or self.published):
            raise ValueError("give either synthetic or files, not both")
        if self.published is not None:
            self._check_published(self.published)
        if self.study_area is not None and self.inventory is None:
            raise ValueError("study_area bounds the labels of an inventory; give inventory too")
        for name, variable in self.categorical.items():
            if variable.categories == "inspire" and name not in inspire():
                raise ValueError(
                    f"categorical.{name}: there is no INSPIRE list of that name "
                    f"({', '.join(inspire())}); give categories.codes"
                )
        return self

    def _check_published(self, published: PublishedSource) -> None:
        if self.categorical or self.continuous or self.inventory:
            raise ValueError(
                "published brings its own maps and landslides; "
                "only elevation and reflectance go beside it"
            )
        if (self.elevation is None) == (published.elevation is None):
            raise ValueError(
                "give either published.elevation, how feature 93 of the file becomes metres, "
                "or elevation, the DEM itself"
            )
