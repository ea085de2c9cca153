from pathlib import Path

import pytest

from landslide_dist.config import load
from landslide_dist.config.load import load_any
from landslide_dist.stages.demo import demo_config

ROOT = Path(__file__).parents[2]
RUNS = sorted(p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "cluster")


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_every_shipped_config_parses(path, monkeypatch):
    monkeypatch.setenv("LANDSLIDE_DATA", "/data")
    config = load_any(path)
    assert config.name
    assert "$" not in config.model_dump_json()


def test_the_demo_parses_and_takes_overrides(tmp_path):
    config = demo_config(tmp_path, ["sources.synthetic.seed=7"])
    assert config.sources.synthetic.seed == 7
    assert config.run_dir == str(tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "cluster").glob("*.yaml")))
def test_every_cluster_file_parses(path, monkeypatch):
    monkeypatch.setenv("LANDSLIDE_DATA", "/data")
    monkeypatch.setenv("DASK_SCHEDULER_HOST", "10.0.0.5")
    config = load(ROOT / "configs" / "susceptibility" / "synthetic.yaml", cluster=path)
    assert config.cluster.kind == path.stem
