"""Numbers of a run that is under way, for Prometheus: off unless the command asks for them."""

import os
from typing import TYPE_CHECKING

from landslide_dist.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import Gauge

_PREFIX = "landslide_dist"

_HELP = {
    "done": "items of the work that are finished",
    "total": "items of the work",
    "stage_seconds": "wall time of finished stages",
    "loss": "of the last epoch",
    "epoch": "epochs that are over",
    "learning_rate": "of the last epoch",
    "patches_per_second": "of all processes, trained on since the start",
    "between_steps_ratio": "share of the training that lies between steps: patches, augmentation",
}

_gauges: "dict[str, Gauge] | None" = None


def serve(port: int, address: str = "127.0.0.1") -> None:
    """Answer at ``http://address:port/metrics`` until the process ends.

    Processes of one training on one machine take ports one after the other.

    Args:
        port: Of the first process.
        address: 0.0.0.0 where another machine is to ask.

    Raises:
        ConfigError: prometheus-client is missing, or the port is taken.
    """
    global _gauges  # noqa: PLW0603 - what a process tells of itself there is once
    try:
        from prometheus_client import start_http_server
    except ImportError as error:
        raise ConfigError(
            "--metrics-port needs a package that is missing: pip install 'landslide-dist[metrics]'"
        ) from error
    own = port + int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)
    try:
        start_http_server(own, address)
    except OSError as error:
        raise ConfigError(
            f"--metrics-port {own}: {error.strerror}; give one that is free"
        ) from error
    _gauges = {}


def gauge(name: str, value: float, **labels: str) -> None:
    """Set a number; nothing happens where nobody asked for them.

    Args:
        name: One of those this module describes.
        value: It is now.
        labels: Of what; always the same ones for one name.
    """
    if _gauges is None:
        return
    if name not in _gauges:
        from prometheus_client import Gauge

        _gauges[name] = Gauge(f"{_PREFIX}_{name}", _HELP[name], sorted(labels))
    _gauges[name].labels(**labels).set(value)
