"""Which tiles serve an output shard; pure integers.

All tiles of a run have one size, and their cores begin on the model's pooling grid in raster
coordinates: pooling cells are then those of the whole raster, and a tile's core equals the whole
image's (see ``SusceptibilityModel.exact_context_px``). The batches of a shard depend on the shard
alone, so that any number of workers computes the same bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from landslide_dist.grid import Window
from landslide_dist.kernels.tiling import aligned_core, tiles


@dataclass(frozen=True)
class TilePlan:
    """How shards are cut into batches of tiles.

    Attributes:
        core_px: Side of a tile's core, a multiple of the model's stride.
        stride_px: The model's pooling grid.
        batch_tiles: Tiles of one forward pass.
    """

    core_px: int
    stride_px: int
    batch_tiles: int

    @classmethod
    def of(cls, tile_px: int, stride_px: int, batch_tiles: int) -> "TilePlan":
        """A plan whose tiles are ``tile_px`` wide, rounded up to the pooling grid."""
        return cls(aligned_core(tile_px, stride_px), stride_px, batch_tiles)

    def batches(self, shard: Window) -> Iterator[list[Window]]:
        """Cores that cover a shard, in row order; they may reach beyond it."""
        y0 = shard.y0 // self.stride_px * self.stride_px
        x0 = shard.x0 // self.stride_px * self.stride_px
        cores = [
            Window(y, x, self.core_px, self.core_px)
            for y, x in tiles((shard.y1 - y0, shard.x1 - x0), self.core_px, (y0, x0))
        ]
        for start in range(0, len(cores), self.batch_tiles):
            yield cores[start : start + self.batch_tiles]
