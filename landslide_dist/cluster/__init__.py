"""Dask clusters by configuration."""

from landslide_dist.cluster.open import open_cluster

__all__ = ["open_cluster"]
