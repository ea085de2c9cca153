import pytest

from landslide_dist.config import load
from landslide_dist.errors import ConfigError

RUN = """
name: t
run_dir: runs
cube: {location: cube.zarr, grid: {crs: "EPSG:32632", pixel_m: 10, bounds: [0, 0, 100, 100]}}
sources:
  elevation: {path: dem.tif}
  categorical:
    rock: {source: {path: rock.tif}, categories: {codes: {1: clay, 2: CODE}}}
"""


@pytest.mark.parametrize("name", ['""', '" "', '"\\t"', '"\\u00a0"'])
def test_classes_have_names(tmp_path, name):
    path = tmp_path / "run.yaml"
    path.write_text(RUN.replace("CODE", "sand stone"))
    assert load(path).categories()["rock"].codes == {1: "clay", 2: "sand stone"}
    path.write_text(RUN.replace("CODE", name))
    with pytest.raises(ConfigError, match=r"rock.*codes \[2\] have no name; give each one"):
        load(path)
