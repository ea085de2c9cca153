"""How maps are predicted."""

from typing import Literal

from pydantic import Field, field_validator

from landslide_dist.config.base import Config


class PredictConfig(Config):
    """Tiled prediction and what is stored of it."""

    tile_px: int = Field(512, ge=16, description="core of a tile, rounded to the model's stride")
    context_px: int | None = Field(
        None,
        ge=0,
        description="pixels around a tile that the model sees; null: its exact halo. Less leaves "
        "seams; event mapping: tile_px 112 and context_px 56 are the paper's",
    )
    pair: int | None = Field(
        None, ge=0, description="event mapping: image pair that is mapped; null: the first"
    )
    batch_tiles: int = Field(4, ge=1, description="tiles of one forward pass")
    precision: Literal["32-true", "bf16-mixed"] = Field(
        "32-true", description="bf16-mixed is for GPUs; scores differ in the third digit"
    )
    dtype: Literal["float32", "float16", "uint8"] = Field(
        "float32", description="of stored probabilities; uint8 (steps of 1/250) is for viewing only"
    )
    calibrated: bool = Field(
        False, description="divide logits by the temperature that fits validation labels best"
    )
    ensembles: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="further maps, each the mean of some models of the run or checkpoint files; "
        "their spread is stored as probability_std",
    )
    dropout_draws: int = Field(
        0,
        ge=0,
        description="predictions of models that have dropout, drawn anew and averaged; "
        "their spread is stored as probability_std; 0: without dropout",
    )
    seed: int = Field(0, ge=0, description="seed of those draws")
    class_bounds: tuple[float, ...] = Field(
        (), description="ascending probabilities that divide susceptibility classes; empty: none"
    )
    on_cluster: bool = Field(
        True, description="predict on the run's Dask cluster; false: in this process, on its GPU"
    )
    cog: bool = Field(True, description="also write Cloud-Optimised GeoTIFFs")

    @property
    def tiles(self) -> dict[str, int]:
        """What probabilities depend on beside the model: nothing where its halo is exact."""
        if self.context_px is None:
            return {}
        return {"tile_px": self.tile_px, "context_px": self.context_px}

    @field_validator("class_bounds")
    @classmethod
    def _ascending(cls, bounds: tuple[float, ...]) -> tuple[float, ...]:
        inside = all(0 < bound < 1 for bound in bounds)
        if not inside or list(bounds) != sorted(set(bounds)) or len(bounds) > 20:
            raise ValueError(
                f"class_bounds {list(bounds)} are not ascending probabilities between 0 and 1"
            )
        return bounds

    @field_validator("ensembles")
    @classmethod
    def _have_members(cls, ensembles: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, members in ensembles.items():
            if not name.isidentifier():
                raise ValueError(f"names of ensembles are plain words; got {name!r}")
            one_file = len(members) == 1 and not members[0].isidentifier()
            if len(set(members)) < len(members) or (len(members) < 2 and not one_file):
                raise ValueError(
                    f"ensemble {name!r} needs two or more different members, or one checkpoint file"
                )
        return ensembles
