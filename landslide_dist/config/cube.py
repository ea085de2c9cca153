"""The cube: where it lies, on which grid, in which chunks, and what is derived from it."""

from pydantic import Field, field_validator, model_validator

from landslide_dist.config.base import Config
from landslide_dist.config.matching import MatchingConfig


class GridConfig(Config):
    """The target grid: like a raster, or CRS + pixel size + bounds."""

    like: str | None = Field(
        None, description="raster whose grid is taken; a CRS or pixel size given beside it rules"
    )
    crs: str | None = Field(None, description="projected CRS in metres, e.g. EPSG:32632")
    pixel_m: float | None = Field(None, gt=0, description="pixel size, metres")
    bounds: tuple[float, float, float, float] | None = Field(
        None, description="left, bottom, right, top in the CRS"
    )

    @model_validator(mode="after")
    def _complete(self) -> "GridConfig":
        if self.like is None and None in (self.crs, self.pixel_m, self.bounds):
            raise ValueError("give like: RASTER, or all of crs, pixel_m and bounds")
        return self


class StorageConfig(Config):
    """Zarr layout: one shard is one block of work and has one writer."""

    chunk_px: int = Field(512, ge=16, description="side of the smallest readable piece")
    shard_px: int = Field(2048, ge=16, description="side of a shard, a multiple of chunk_px")
    compression_level: int = Field(
        1, ge=0, le=9, description="zstd level; 3 saves a tenth and encodes at a third of the speed"
    )

    @model_validator(mode="after")
    def _shards_hold_whole_chunks(self) -> "StorageConfig":
        if self.shard_px % self.chunk_px:
            raise ValueError(
                f"shard_px {self.shard_px} is not a multiple of chunk_px {self.chunk_px}"
            )
        return self


class CubeConfig(Config):
    """One region's Zarr group."""

    location: str = Field(description="path, file:// or s3:// URL of the Zarr group")
    grid: GridConfig | None = Field(None, description="target grid; not for synthetic regions")
    storage: StorageConfig = StorageConfig()
    looking_distances_m: tuple[float, ...] = Field(
        (30.0, 100.0, 300.0), description="distances at which the highest neighbour is looked for"
    )
    matching: MatchingConfig | None = Field(
        None, description="store `matched`: the images with a reference's distribution of values"
    )

    @field_validator("looking_distances_m")
    @classmethod
    def _ascending(cls, distances: tuple[float, ...]) -> tuple[float, ...]:
        if any(d <= 0 for d in distances) or list(distances) != sorted(set(distances)):
            raise ValueError(f"{distances} must be positive and ascending")
        return distances
