"""Checkpoints: there and back, written whole or not at all, refused in one line."""

import pickle

import pytest
import torch

from landslide_dist import __version__
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models import checkpoint

METADATA = {
    "looking_distances_m": (20.0, 50.0),
    "pixel_m": 10.0,
    "split_hash": "0123456789ab",
    "cube": {"inputs": [{"path": "dem.tif", "size": 12, "mtime": "2026-01-01T00:00:00"}]},
    "model": "some name",
}
KINDS = ["naive", "random", "llr", "nn", "lann", "cnn", "lacnn"]


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind, make, region, tmp_path):
    model = make(kind=kind).train()
    path = tmp_path / "new" / "folder" / "model.pt"
    checkpoint.save(path, model, METADATA)
    again, metadata = checkpoint.load(path)
    assert not again.training
    context_px = model.exact_context_px
    with torch.no_grad():
        assert torch.equal(again(region.whole(context_px)), model(region.whole(context_px)))
    assert metadata["looking_distances_m"] == [20.0, 50.0]
    assert metadata["cube"] == METADATA["cube"]
    assert metadata["model"] == "some name"
    assert metadata["package_version"] == __version__
    assert metadata["config"]["kind"] == kind
    assert again.recipe == model.recipe
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("kind", ["lann", "lacnn"])
def test_a_model_of_some_distances(kind, make, region, tmp_path):
    model = make(kind=kind, aligned={"looking_distances_m": [50]})
    checkpoint.save(tmp_path / "model.pt", model, METADATA)
    again, metadata = checkpoint.load(tmp_path / "model.pt")
    assert again.recipe == model.recipe
    assert metadata["aligned_radii_px"] == [5]
    assert metadata["looking_distances_m"] == [20.0, 50.0]
    whole = region.whole(model.exact_context_px)
    with torch.no_grad():
        assert torch.equal(again(whole), model(whole))
        assert not torch.equal(again(whole), make(kind=kind)(whole))


@pytest.mark.parametrize("kind", ["llr", "lann"])
def test_a_recipe_from_before_distances_could_be_chosen(kind, make, region):
    model = make(kind=kind)
    bundle = checkpoint.to_dict(model, METADATA)
    del bundle["metadata"]["aligned_radii_px"]
    bundle["metadata"]["config"].get("aligned", {}).pop("looking_distances_m", None)
    again, _ = checkpoint.from_dict(bundle, "m")
    assert again.recipe == model.recipe
    assert torch.equal(again(region.whole(5)), model(region.whole(5)))


def test_inside_another_file(make, region, tmp_path):
    model = make(kind="lann")
    torch.save({"epoch": 3, "ours": checkpoint.to_dict(model, METADATA)}, tmp_path / "last.ckpt")
    outer = torch.load(tmp_path / "last.ckpt", weights_only=True)
    again, _ = checkpoint.from_dict(outer["ours"], "last.ckpt")
    assert torch.equal(again(region.whole(5)), model(region.whole(5)))


def test_the_bundle_is_a_copy(make):
    model = make(kind="llr")
    bundle = checkpoint.to_dict(model, METADATA)
    before = bundle["weights"]["network.output.weight"].clone()
    model.network.output.weight.data += 1
    assert torch.equal(bundle["weights"]["network.output.weight"], before)


def test_metadata_must_be_whole_and_plain(make):
    model = make(kind="llr")
    with pytest.raises(ValueError, match=r"lacks \['cube'\]"):
        checkpoint.to_dict(model, {k: v for k, v in METADATA.items() if k != "cube"})
    with pytest.raises(ValueError, match=r"repeats \['share'\]"):
        checkpoint.to_dict(model, {**METADATA, "share": 0.5})
    with pytest.raises(ValueError, match="not plain data"):
        checkpoint.to_dict(model, {**METADATA, "pixel_m": torch.tensor(10.0)})


def test_a_failed_write_leaves_the_old_file(make, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    checkpoint.save(path, make(kind="llr"), METADATA)
    before = path.read_bytes()

    def fail(bundle, file):
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(path, make(kind="llr"), METADATA)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.pt' cannot be read: No such file"):
        checkpoint.load(tmp_path / "none.pt")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        checkpoint.load(tmp_path)


class Foreign:
    """A class that a checkpoint must not bring in."""


def damage(path, kind):
    whole = path.read_bytes()
    content = {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "text": b"hello, this is not a checkpoint\n" * 10,
        "pickle": pickle.dumps(Foreign()),
        "flipped": whole[:300] + bytes(64) + whole[364:],
    }[kind]
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["empty", "truncated", "text", "pickle", "flipped"])
def test_a_damaged_file(kind, make, tmp_path):
    path = tmp_path / "model.pt"
    checkpoint.save(path, make(kind="nn"), METADATA)
    damage(path, kind)
    with pytest.raises(DataError, match=r"checkpoint '.*model\.pt' is damaged"):
        checkpoint.load(path)


def test_a_file_of_something_else(make, tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(DataError, match="is not a landslide-dist model"):
        checkpoint.load(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(DataError, match="is not a landslide-dist model"):
        checkpoint.load(path)


def test_an_incomplete_or_newer_bundle(make):
    bundle = checkpoint.to_dict(make(kind="nn"), METADATA)
    with pytest.raises(DataError, match="format version 2"):
        checkpoint.from_dict({**bundle, "format_version": 2}, "m")
    weights = dict(list(bundle["weights"].items())[1:])
    with pytest.raises(DataError, match="does not hold a whole model"):
        checkpoint.from_dict({**bundle, "weights": weights}, "m")
    metadata = {**bundle["metadata"], "config": {"kind": "oracle"}}
    with pytest.raises(DataError, match="does not hold a whole model"):
        checkpoint.from_dict({**bundle, "metadata": metadata}, "m")
