"""``open_cluster``: from a configuration to a Dask client, closed on the way out."""

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client, LocalCluster

from landslide_dist.config.training import ClusterConfig
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console


@contextmanager
def open_cluster(config: ClusterConfig | None) -> Iterator[Client | None]:
    """Give a Dask client, or None where the run uses threads of its own process.

    Args:
        config: Kind and size of the cluster; None for no cluster.

    Raises:
        ConfigError: The scheduler's address is missing or nobody answers there.
    """
    if config is None:
        yield None
        return
    with _connect(config) as client:
        console.print(f"Dask dashboard: {client.dashboard_link}")
        yield client


@contextmanager
def _connect(config: ClusterConfig) -> Iterator[Client]:
    if config.kind == "local":
        with (
            LocalCluster(
                n_workers=config.workers,
                threads_per_worker=config.threads_per_worker,
                memory_limit=f"{config.memory_gib}GiB",
                dashboard_address="127.0.0.1:0",
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    if config.address is None:
        raise ConfigError("cluster.address is missing: give the scheduler's, e.g. tcp://host:8786")
    try:
        client = Client(config.address, timeout="30s")
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {config.address!r}: {error}") from error
    with client:
        client.wait_for_workers(config.workers, timeout=300)
        yield client
