"""Access to the S3 server is set as users set it, by the environment."""

import os

import fsspec
import pytest
import s3fs

from landslide_dist.store.location import delete

from ..services.fault_proxy import Faults, fault_proxy


@pytest.fixture
def identity(s3_server, monkeypatch):
    """Sets who we are, and which endpoint we talk to; the bucket is empty afterwards."""

    def use(keys, endpoint=None):
        for name, value in s3_server.environment(keys).items():
            monkeypatch.setenv(name, value)
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        s3fs.S3FileSystem.clear_instance_cache()
        fsspec.config.conf.pop("s3", None)

    use(s3_server.admin)
    yield use
    use(s3_server.admin)
    delete("s3://landslides/test")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def faults(s3_server, identity):
    """All requests of the test go through a proxy that follows these rules."""
    faults = Faults()
    with fault_proxy(s3_server.endpoint, faults) as endpoint:
        identity(s3_server.admin, endpoint)
        yield faults
        identity(s3_server.admin)


@pytest.fixture
def s3_environment(s3_server):
    """What a command line of its own needs."""
    return {**os.environ, **s3_server.environment(s3_server.admin)}
