"""How a variable lies in Zarr: chunks, shards, codecs, and what a block of it weighs."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from zarr.codecs import BloscCodec, BloscShuffle

from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Window
from landslide_dist.schema import Variable

#: What the C library keeps of freed memory for each of a pipeline's threads.
_ALLOCATOR = 1.5


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


def worker_bytes(
    inputs: Iterable[Variable],
    outputs: Iterable[Variable],
    scratch_bytes_per_pixel: int,
    block_px: int,
    halo_px: int = 0,
) -> int:
    """Bytes that one computing thread holds at most, besides what the process holds at rest.

    A block is computed while the next is read and the last is written: inputs of two, outputs of
    two, and what the computation needs besides. Decoding holds the compressed shards and the
    chunks in flight; encoding a shard holds contiguous copies of its chunks, all of them
    compressed, the shard they are joined to and the bytes that are sent. Incompressible data make
    each of these as large as the block.

    Args:
        inputs: What is read, with the halo.
        outputs: What is written.
        scratch_bytes_per_pixel: Of the computation, for each pixel of the block with its halo.
        block_px: Side of a block.
        halo_px: Reach beyond it.
    """
    wide, core = (block_px + 2 * halo_px) ** 2, block_px**2
    read = sum(v.bytes_per_pixel for v in inputs) * wide
    written = [v.bytes_per_pixel * core for v in outputs]
    decoding, encoding = 2 * read, 4 * max(written, default=0)
    held = 2 * read + 2 * sum(written) + scratch_bytes_per_pixel * wide + decoding + encoding
    return int(_ALLOCATOR * held)


def read_cost(
    window: Window, halo_px: int, storage: StorageConfig, shape: tuple[int, int]
) -> tuple[int, int]:
    """Requests and decoded pixels of one variable's block with its halo.

    A shard of which all chunks are needed is one request; of the others the index is read, then
    each chunk that the halo touches.
    """
    side, chunk_px = shard_px(storage, shape), storage.chunk_px
    wanted = window.expand(halo_px).clip(shape)
    requests = pixels = 0
    for y0 in range(wanted.y0 // side * side, wanted.y1, side):
        for x0 in range(wanted.x0 // side * side, wanted.x1, side):
            shard = Window(y0, x0, side, side)
            part = wanted.intersect(shard.clip(shape))
            rows = -(-part.y1 // chunk_px) - part.y0 // chunk_px
            columns = -(-part.x1 // chunk_px) - part.x0 // chunk_px
            is_whole = rows * columns == (side // chunk_px) ** 2
            requests += 1 if is_whole else 1 + rows * columns
            pixels += rows * columns * chunk_px**2
    return requests, pixels
