"""How Zarr decodes: in Rust where that is faster and safe, otherwise in zarr-python.

`zarrs` decodes shards of a local disk about 1.5 times faster (benchmarks/bench_storage.py). It
writes the chunks of a shard in the order in which its threads happen to end, so it never writes
here: shards stay byte-identical. Its threads do not survive a fork: forked processes do without.
"""

import os
from typing import Self

import zarr
from zarr.abc.store import Store
from zarr.core.metadata import ArrayMetadata
from zarr.registry import register_pipeline
from zarr.storage import LocalStore
from zarrs import ZarrsCodecPipeline

from landslide_dist.store.location import S3_CONCURRENCY

_PROCESS = os.getpid()


class ReadInRust(ZarrsCodecPipeline):
    """Rust for what is opened to be read on a local disk, zarr-python for all else."""

    @classmethod
    def from_array_metadata_and_store(cls, array_metadata: ArrayMetadata, store: Store) -> Self:
        """Choose by the store; Zarr falls back to its own pipeline at ``NotImplementedError``."""
        if not (isinstance(store, LocalStore) and store.read_only) or os.getpid() != _PROCESS:
            raise NotImplementedError("zarr-python reads and writes this")
        return super().from_array_metadata_and_store(array_metadata, store)


def configure() -> None:
    """Set Zarr up before the first store is opened."""
    register_pipeline(ReadInRust)
    path = f"{ReadInRust.__module__}.{ReadInRust.__qualname__}"
    # Chunks without data are written too: they weigh next to nothing, and looking through every
    # chunk for a value that is not nodata costs a third of the time of writing the uphill index.
    zarr.config.set({"codec_pipeline.path": path, "array.write_empty_chunks": True})
    # One of many workers is told to keep to less.
    if "ZARR_ASYNC__CONCURRENCY" not in os.environ:
        zarr.config.set({"async.concurrency": S3_CONCURRENCY})
