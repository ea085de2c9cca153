"""The only place that opens a Zarr store: where it is, how it lies, who writes which block."""

import zarr

from landslide_dist.store.location import S3_CONCURRENCY

zarr.config.set({"async.concurrency": S3_CONCURRENCY})
