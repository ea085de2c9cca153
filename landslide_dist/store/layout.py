"""How a variable lies in Zarr: chunks, shards, codecs, and what a block of it weighs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from zarr.codecs import BloscCodec, BloscShuffle

from landslide_dist.config.cube import StorageConfig
from landslide_dist.schema import Variable


def shard_px(storage: StorageConfig, shape: tuple[int, int]) -> int:
    """Side of a shard: as configured, or the whole raster in whole chunks where that is less."""
    chunks = -(-max(shape) // storage.chunk_px)
    return min(storage.shard_px, chunks * storage.chunk_px)


def array_layout(
    variable: Variable, storage: StorageConfig, shape: tuple[int, int]
) -> dict[str, Any]:
    """Arguments of ``zarr.Group.create_array`` for a variable on a raster of ``shape``.

    A shard holds all leading indices (one writer fills them together); a chunk holds one, so that
    a reader of one band or distance decodes only that.
    """
    leading = variable.leading_shape
    shard = shard_px(storage, shape)
    itemsize = np.dtype(variable.dtype).itemsize
    return {
        "name": variable.name,
        "shape": (*leading, *shape),
        "dtype": variable.dtype,
        "chunks": (*(1 for _ in leading), storage.chunk_px, storage.chunk_px),
        "shards": (*leading, shard, shard),
        "compressors": BloscCodec(
            typesize=itemsize,
            cname="zstd",
            clevel=storage.compression_level,
            # Heights, slopes and ring positions: bits of equal significance side by side encode
            # three times as fast. Codes come in patches of equal bytes already.
            shuffle=BloscShuffle.noshuffle if variable.flags else BloscShuffle.bitshuffle,
        ),
        "fill_value": variable.nodata,
        "dimension_names": variable.dims,
        "attributes": variable.attributes(),
    }


def block_bytes(
    inputs: Iterable[Variable], outputs: Iterable[Variable], block_px: int, halo_px: int = 0
) -> int:
    """Bytes one block task holds at most: inputs with halo, outputs, and a shard being encoded.

    The encoder of a shard keeps all its compressed chunks until the shard is whole; incompressible
    data make that as large as the block itself.
    """
    read = sum(v.bytes_per_pixel for v in inputs) * (block_px + 2 * halo_px) ** 2
    written = [v.bytes_per_pixel * block_px**2 for v in outputs]
    return int(read + sum(written) + max(written, default=0))
