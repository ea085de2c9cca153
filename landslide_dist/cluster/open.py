"""``open_cluster``: from a configuration to a Dask client, closed on the way out."""

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import NoReturn

from distributed import Client

from landslide_dist.cluster.threads import no_profiler
from landslide_dist.config.cluster import (
    ClusterConfig,
    KubernetesCluster,
    LocalCluster,
    RunningCluster,
    SlurmCluster,
)
from landslide_dist.progress import console


@contextmanager
def open_cluster(config: ClusterConfig | None) -> Iterator[Client | None]:
    """Give a Dask client, or None where the run uses threads of its own process.

    What was started for the run ends with it, also when it fails, is interrupted or told to end.

    Args:
        config: Kind and size of the cluster; None for no cluster.

    Raises:
        ConfigError: A package or command is missing, nothing answers, or no worker comes.
    """
    if config is None:
        yield None
        return
    with _signals_unwind(), no_profiler(), _connect(config) as client:
        console.print(f"Dask dashboard: {client.dashboard_link}")
        yield client


def _connect(config: ClusterConfig) -> AbstractContextManager[Client]:
    match config:
        case LocalCluster():
            from landslide_dist.cluster.local import connect_local

            return connect_local(config)
        case RunningCluster():
            from landslide_dist.cluster.running import connect_running

            return connect_running(config)
        case SlurmCluster():
            from landslide_dist.cluster.slurm import connect_slurm

            return connect_slurm(config)
        case KubernetesCluster():
            from landslide_dist.cluster.kubernetes import connect_kubernetes

            return connect_kubernetes(config)


@contextmanager
def _signals_unwind() -> Iterator[None]:
    """Turn the signals that end a process into an exception, so that workers are released.

    Their default action ends Python on the spot: batch jobs and pods would go on at the user's
    cost. A handler that somebody else has set is left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in taken:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
