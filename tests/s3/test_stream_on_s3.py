"""Patches streamed from a real S3 server, by threads and by worker processes."""

import multiprocessing
from itertools import islice
from multiprocessing import forkserver

import pytest

from landslide_dist.grid import Window
from landslide_dist.patches.reader import HostReader, ZarrReader

from ..patches.small import assert_equal, datamodule, planes, write

pytestmark = pytest.mark.s3

LOCATION = "s3://landslides/test/stream.zarr"


@pytest.fixture
def reader(identity):
    """The region on S3, which this process has already read of: a forked worker would hang."""
    reader = ZarrReader(write(LOCATION))
    reader.read(Window(0, 0, 50, 50))
    return reader


@pytest.fixture(scope="module")
def expected():
    return list(datamodule(HostReader(planes()), "host").train_dataloader())


@pytest.mark.parametrize("num_threads", [1, 3])
def test_threads_give_the_batches_of_the_region_in_memory(reader, expected, num_threads):
    data = datamodule(reader, "stream", num_threads=num_threads)
    assert_equal(list(data.train_dataloader()), expected)


def test_a_region_that_does_not_fit_is_read_patch_by_patch(reader, expected):
    data = datamodule(reader, "auto", host_memory_gib=1e-6)
    batches = iter(data.train_dataloader())
    # Reading each patch on its own takes long.
    assert_equal(list(islice(batches, 3)), expected[:3])
    batches.close()
    assert data.region.residency == "stream"


@pytest.fixture
def new_forkserver():
    """One that knows the keys of this server: it keeps the environment that it began in."""
    forkserver._forkserver._stop()
    yield
    forkserver._forkserver._stop()


def test_workers_give_the_batches_of_the_region_in_memory(reader, expected, new_forkserver):
    data = datamodule(
        reader, "stream", num_workers=2, worker_start="forkserver", worker_timeout_s=120
    )
    assert_equal(list(data.train_dataloader()), expected)
    assert multiprocessing.active_children() == []


def test_the_region_is_loaded_into_memory_once(reader, expected):
    data = datamodule(reader, "host")
    assert_equal(list(data.train_dataloader()), expected)
    assert data.region.residency == "host"
