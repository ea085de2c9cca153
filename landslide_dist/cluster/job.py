"""dask-jobqueue's SLURM cluster, with jobs that say when they are closed."""

import itertools
import signal
from typing import Any

from distributed.core import Status

# Importing dask-jobqueue makes an interrupt end the process with status 0, as if all had gone well.
_on_interrupt = signal.getsignal(signal.SIGINT)
from dask_jobqueue.slurm import SLURMCluster, SLURMJob  # noqa: E402

signal.signal(signal.SIGINT, _on_interrupt)


class OwnSlurmJob(SLURMJob):
    """A job whose status follows it.

    The base class leaves the status as it was, and the cluster, which asserts on its own way out
    that every job is closed, then hides the error that made it close.
    """

    async def close(self) -> None:
        """Cancel the job."""
        await super().close()  # type: ignore[no-untyped-call]
        self.status = Status.closed


class OwnSlurmCluster(SLURMCluster):
    """Submits :class:`OwnSlurmJob`, each under a name of its own.

    The base class gives the name of a lost job to the next one, and seconds later cancels what has
    that name and no worker yet: the replacement, while it still waits in the queue.
    """

    job_cls = OwnSlurmJob

    def __init__(self, **options: Any):
        self._numbers = itertools.count()
        super().__init__(**options)

    def _new_worker_name(self, worker_number: int) -> str:
        return f"{self._name}-{next(self._numbers)}"
