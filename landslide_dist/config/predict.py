"""How maps are predicted."""

from pydantic import Field

from landslide_dist.config.base import Config


class PredictConfig(Config):
    """Tiled prediction."""

    tile_px: int = Field(512, ge=16, description="core of a tile, rounded to the model's stride")
    batch_tiles: int = Field(4, ge=1, description="tiles of one forward pass")
    cog: bool = Field(True, description="also write a Cloud-Optimised GeoTIFF")
