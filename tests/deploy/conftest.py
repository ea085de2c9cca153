"""Helm for the tests of this folder."""

import pytest
import yaml

from ..services.helm import helm  # noqa: F401 - a fixture
from .variants import BASE, REGION, merged


@pytest.fixture
def values(tmp_path):
    """Options of Helm: a cluster file, changed, and a run."""

    def options(changes=None, run=REGION):
        path = tmp_path / "cluster.yaml"
        path.write_text(yaml.safe_dump(merged(BASE, changes or {})))
        return ["-f", path, "--set-file", f"run={run}"]

    return options
