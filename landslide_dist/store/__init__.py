"""The only place that opens a Zarr store: where it is, how it lies, who writes which block."""

from landslide_dist.store.codecs import configure

configure()
