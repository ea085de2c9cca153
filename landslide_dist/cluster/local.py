"""Worker processes of this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import distributed
from distributed import Client

from landslide_dist.cluster.threads import worker_environment
from landslide_dist.config.cluster import LocalCluster


@contextmanager
def connect_local(config: LocalCluster) -> Iterator[Client]:
    """Start the workers; they end with the context."""
    with (
        _own_environment(),
        distributed.LocalCluster(
            n_workers=config.workers,
            threads_per_worker=config.threads_per_worker,
            memory_limit=f"{config.memory_gib}GiB",
            dashboard_address="127.0.0.1:0",
            env=worker_environment(config.threads_per_worker),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@contextmanager
def _own_environment() -> Iterator[None]:
    """Take back what Dask's nannies set here for their workers.

    They set ``OMP_NUM_THREADS=1`` in their own process, which is this one: later stages of the same
    run would train on a single core.
    """
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            del os.environ[name]
