"""What a stranger's file can do here: nothing but be refused; and what is never written down."""

import pickle
import re
from pathlib import Path

import pytest
import torch
import yaml

from landslide_dist.config import load
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.models import checkpoint
from landslide_dist.models.backbone import build_backbone
from landslide_dist.sources.files import describe
from landslide_dist.store.location import scheme_of
from landslide_dist.training.resume import Resume

PACKAGE = Path(__file__).parents[1] / "landslide_dist"


class Intruder:
    """Unpickling it runs a command."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(params=["pickle", "torch"])
def intrusion(request, tmp_path):
    """A file that runs code where it is unpickled without care, and the mark that it leaves."""
    mark, path = tmp_path / "intruded", tmp_path / "best.ckpt"
    if request.param == "pickle":
        path.write_bytes(pickle.dumps(Intruder(mark)))
    else:
        torch.save({"weights": Intruder(mark), "fingerprint": "x"}, path)
    return path, mark


@pytest.mark.parametrize(
    "read",
    [
        lambda path: checkpoint.load(str(path)),
        lambda path: checkpoint.load_chip_model(str(path)),
        lambda path: Resume(path, "x", None, False).found(),
        lambda path: build_backbone("resnet50", str(path.rename(path.with_suffix(".pth")))),
    ],
    ids=["checkpoint", "chip model", "training state", "pretrained weights"],
)
@pytest.mark.filterwarnings("ignore:.*pickle.*")
def test_a_strangers_checkpoint_is_refused_and_runs_nothing(intrusion, read):
    path, mark = intrusion
    with pytest.raises(DataError, match=r"best\."):
        read(path)
    assert not mark.exists()


def test_the_intruder_of_these_tests_is_a_real_one(tmp_path):
    pickle.loads(pickle.dumps(Intruder(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


def test_yaml_makes_no_objects(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(f"name: !!python/object/apply:pathlib.Path.touch [{tmp_path}/mark]")
    with pytest.raises(ConfigError, match="is not YAML"):
        load(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("url", ["http://x/cube.zarr", "ftp://x/y", "github://a:b@c/d", "zip://x"])
def test_stores_have_schemes_that_are_known(url):
    with pytest.raises(StoreError, match="has scheme"):
        scheme_of(url)


@pytest.mark.parametrize("url", ["github://a:b@c/d", "simplecache::http://x/y", "ssh://host/file"])
def test_so_have_inputs(url):
    with pytest.raises(DataError, match="has scheme"):
        describe(url)


def test_nothing_in_the_package_unpickles_or_unpacks_a_file_without_care():
    careless = re.compile(
        r"yaml\.(unsafe_|full_)?load\(|pickle\.loads?\(|weights_only=False|allow_pickle=True"
        r"|extractall\(|\beval\(|\bexec\(|shell=True|os\.system\("
    )
    found = {
        str(path.relative_to(PACKAGE)): line.strip()
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        # A network is put into evaluation mode by a method of that name.
        if careless.search(line.replace(".eval(", ""))
    }
    assert found == {}
    loads = [
        line
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text().splitlines()
        if "torch.load(" in line
    ]
    assert len(loads) == 3
    assert all("weights_only=True" in line for line in loads)


def test_shipped_files_name_no_credentials():
    root = PACKAGE.parent
    for path in [*root.glob("configs/**/*.yaml"), *root.glob("deploy/**/*.y*ml")]:
        tree = (
            str(list(yaml.safe_load_all(path.read_text()))) if "templates" not in str(path) else ""
        )
        assert not re.search(r"(SECRET|PASSWORD|TOKEN)[A-Z_]*'?: '[^$<{]", tree), path
