import pytest

from landslide_dist.patches.reader import HostReader

from .small import planes


@pytest.fixture(scope="session")
def reader():
    return HostReader(planes())
