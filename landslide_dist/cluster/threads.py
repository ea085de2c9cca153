"""How many threads a Dask worker may start: as many as it has tasks, and no more.

A worker computes ``threads`` blocks at a time, each in a thread of its own. Left alone, BLAS,
OpenMP and Blosc would start a thread a core *within each of them*: n workers on n cores then keep
n x n threads busy, and the machine spends its time switching between them. So libraries get one
thread, and parallelism comes from blocks alone.

Dask's own profiler is off too. A hundred times a second it looks at the stacks of all threads, by a
function of Python that in 3.11 now and then stops the process for ever if another thread starts at
that moment (python/cpython#106883), and those that read ahead and write behind do.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import dask
from distributed import Worker, WorkerPlugin

#: Thread pools of the libraries that the block tasks use, directly or through numpy and scipy.
_LIBRARIES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "BLOSC_NTHREADS",
    "GDAL_NUM_THREADS",
)

#: Requests that a worker has under way at a store, all its tasks together: they wait for the
#: network, not for a core, but hundreds of workers would make a store throttle them.
_REQUESTS = 10


#: Setting of Dask, in this process and in the workers.
_PROFILER = "distributed.worker.profile.enabled"


@contextmanager
def no_profiler() -> Iterator[None]:
    """Scheduler and workers that this process starts have no profiler."""
    with dask.config.set({_PROFILER: False}):
        yield


def worker_environment(threads: int) -> dict[str, str]:
    """Environment of a worker that computes ``threads`` blocks at a time.

    Zarr encodes and decodes in a pool of its own, by default of 4 threads more than cores; its
    ``async.concurrency`` counts for each call, that is for each block.
    """
    others = {
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
        "ZARR_THREADING__MAX_WORKERS": str(threads),
        "ZARR_ASYNC__CONCURRENCY": str(max(1, _REQUESTS // threads)),
    }
    return dict.fromkeys(_LIBRARIES, "1") | others


class ThreadLimits(WorkerPlugin):
    """The same limits in workers that somebody else started, for as long as this run uses them."""

    name = "landslide-dist-threads"

    def setup(self, worker: Worker) -> None:
        """Limit what is loaded, and by the environment what will be."""
        import numpy as np  # noqa: F401 - its BLAS must be loaded to be limited
        import zarr
        from threadpoolctl import threadpool_limits

        environment = worker_environment(worker.state.nthreads)
        self._before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        self._limits = ExitStack()
        for name in ("profile", "profile-cycle"):
            if name in worker.periodic_callbacks:
                worker.periodic_callbacks[name].stop()
                self._limits.callback(worker.periodic_callbacks[name].start)
        self._limits.enter_context(threadpool_limits(1))
        self._limits.enter_context(
            zarr.config.set(
                {
                    "threading.max_workers": int(environment["ZARR_THREADING__MAX_WORKERS"]),
                    "async.concurrency": int(environment["ZARR_ASYNC__CONCURRENCY"]),
                }
            )
        )

    def teardown(self, worker: Worker) -> None:
        """Leave a shared worker as it was found."""
        self._limits.close()
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
