"""A Dask scheduler that is already there."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from distributed import Client

from landslide_dist.cluster.threads import ThreadLimits
from landslide_dist.config.cluster import RunningCluster
from landslide_dist.errors import ConfigError


@contextmanager
def connect_running(config: RunningCluster) -> Iterator[Client]:
    """Connect, wait for the workers and limit their threads while they work for this run.

    Raises:
        ConfigError: Nobody answers at the address, too few workers join, or they lack this package.
    """
    try:
        client = Client(
            config.address, timeout=min(config.connect_timeout_s, config.start_timeout_s)
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise ConfigError(f"no Dask scheduler answers at {config.address!r}: {error}") from error
    with client:
        _wait(client, config)
        try:
            client.register_plugin(ThreadLimits())
        except ImportError as error:
            raise ConfigError(
                f"the workers at {config.address!r} lack a package ({error}): install "
                "landslide-dist there, the same version"
            ) from error
        try:
            yield client
        finally:
            # Where the scheduler itself is gone there is nothing to take back.
            with suppress(OSError, TimeoutError):
                client.unregister_worker_plugin(ThreadLimits.name)


def _wait(client: Client, config: RunningCluster) -> None:
    try:
        client.wait_for_workers(config.workers, timeout=config.start_timeout_s)
    except TimeoutError as error:
        raise ConfigError(
            f"{len(client.nthreads())} of {config.workers} workers have joined "
            f"{config.address!r} after {config.start_timeout_s:g} s: start more, or lower "
            "cluster.workers"
        ) from error
