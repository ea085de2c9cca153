import pytest

from landslide_dist.config import load
from landslide_dist.config.load import to_yaml
from landslide_dist.errors import ConfigError

MINIMAL = """
name: test
run_dir: runs/test
cube: {location: runs/test/cube.zarr}
sources: {synthetic: {seed: 3}}
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(MINIMAL)
    return path


def test_defaults_are_the_papers(path):
    models = load(path).models
    table = {
        n: (m.optimizer, m.learning_rate, m.epochs, m.batch_size)
        for n, m in models.items()
        if hasattr(m, "epochs")
    }
    assert table == {
        "llr": ("adam", 0.125, 10, 15),
        "nn": ("adam", 0.125, 10, 13),
        "lann": ("adam", 0.0156, 15, 10),
        "cnn": ("sgd", 0.125, 20, 12),
        "lacnn": ("adam", 0.001, 30, 9),
    }


def test_overrides_apply_in_order(path):
    config = load(path, ["sources.synthetic.seed=5", "split.kind=block", "split.kind=random"])
    assert config.sources.synthetic.seed == 5
    assert config.split.kind == "random"


def test_printed_config_reads_back_the_same(path, tmp_path):
    config = load(path, ["cube.looking_distances_m=[30, 90]"])
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    assert load(again) == config


def test_environment_fills_strings(path, monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "/data")
    config = load(path, ["run_dir=${SOMEWHERE}/runs", "cube.location=${NOT_SET_HERE:-x}.zarr"])
    assert (config.run_dir, config.cube.location) == ("/data/runs", "x.zarr")
    with pytest.raises(ConfigError, match=r"\$NOT_SET_HERE, which is not set"):
        load(path, ["run_dir=$NOT_SET_HERE"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("split.sedd=1", "split.sedd: Extra inputs are not permitted"),
        ("split.kind=blok", "split.kind: Input should be 'random'"),
        ("split.fractions=[0.5,0.1,0.1]", "do not sum to 1"),
        ("split.kind=kmeans_labels", "kmeans_labels needs folds"),
        ("cube.storage.shard_px=1000", "shard_px 1000 is not a multiple of chunk_px 512"),
        ("cube.looking_distances_m=[100, 30]", "must be positive and ascending"),
        ("cube.grid={like: a.tif}", "does not go with sources.synthetic"),
        ("split.block_px=750", "not a multiple of patches.core_px 500"),
        ("sources={}", "elevation is missing"),
        ("sources.elevation={path: a.tif}", "either synthetic or files"),
        ("nonsense", "not of the form a.b=value"),
        ("name.deeper=1", "'name' holds a value, not settings"),
    ],
)
def test_mistakes_are_one_line_that_names_the_field(path, override, message):
    with pytest.raises(ConfigError, match=".*") as caught:
        load(path, [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1, 2")
    with pytest.raises(ConfigError, match="is not YAML"):
        load(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(broken)
    broken.write_text("just words")
    with pytest.raises(ConfigError, match="holds no settings"):
        load(broken)
