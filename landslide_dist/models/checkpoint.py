"""A model as a file: weights and plain data, readable without running any code of its own.

The same bundle is a file (:func:`save`, :func:`load`) and an entry of a Lightning checkpoint
(:func:`to_dict`, :func:`from_dict`).
"""

import io
import pickle
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from landslide_dist import __version__
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models.build import assemble
from landslide_dist.models.chip import ChipModel, ChipRecipe, empty_chip_model
from landslide_dist.models.recipe import Recipe
from landslide_dist.models.susceptibility import SusceptibilityModel
from landslide_dist.whole_file import whole_file

_Model = TypeVar("_Model", bound=nn.Module)
_FORMAT = "landslide_dist model"
_CHIP_FORMAT = "landslide_dist chip model"
_FORMATS = (_FORMAT, _CHIP_FORMAT)
_FORMAT_VERSION = 1
#: How torch reports damaged and foreign files.
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
#: What the trainer knows and the model does not; see :func:`to_dict`.
REQUIRED = ("looking_distances_m", "pixel_m", "split_hash", "cube")


def to_dict(model: SusceptibilityModel, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle of a model.

    Args:
        model: Any model of :mod:`landslide_dist.models.build`.
        metadata: Plain data (as JSON would hold it) kept beside the recipe: at least
            ``looking_distances_m``, ``pixel_m``, ``split_hash`` and ``cube``, the provenance of
            the cube it was trained on.

    Returns:
        ``format``, ``format_version``, ``weights`` (on the CPU, copied) and ``metadata``: the
        recipe's entries, those given, and ``package_version``.

    Raises:
        ValueError: ``metadata`` lacks an entry, has one of the recipe's names, or is not plain.
    """
    missing = [name for name in REQUIRED if name not in metadata]
    if missing:
        raise ValueError(f"metadata lacks {missing}")
    return _bundle(model, model.recipe.to_dict(), metadata, _FORMAT)


def _bundle(
    model: nn.Module, recipe: Mapping[str, Any], metadata: Mapping[str, Any], format_: str
) -> dict[str, Any]:
    if repeated := sorted(recipe.keys() & metadata.keys()):
        raise ValueError(f"metadata repeats {repeated}")
    return {
        "format": format_,
        "format_version": _FORMAT_VERSION,
        "weights": {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in model.state_dict().items()
        },
        "metadata": {**recipe, **_plain(metadata), "package_version": __version__},
    }


def from_dict(bundle: Mapping[str, Any], origin: str) -> tuple[SusceptibilityModel, dict[str, Any]]:
    """The model of a bundle.

    Args:
        bundle: What :func:`to_dict` made.
        origin: Where it comes from, for the message.

    Returns:
        The model, on the CPU in eval mode, and the metadata.

    Raises:
        DataError: It is no such bundle, of a newer version, or incomplete.
    """
    return _model(bundle, origin, _FORMAT, lambda plain: assemble(Recipe.from_dict(plain)))


def _model(
    bundle: Any, origin: str, format_: str, build: Callable[[Mapping[str, Any]], _Model]
) -> tuple[_Model, dict[str, Any]]:
    found = bundle.get("format") if isinstance(bundle, Mapping) else None
    if found in _FORMATS and found != format_:
        raise DataError(
            f"checkpoint {origin!r} holds a {found}, not a {format_}: name one of the other task"
        )
    if found != format_:
        raise DataError(f"checkpoint {origin!r} is not a landslide-dist model; train writes them")
    if bundle.get("format_version") != _FORMAT_VERSION:
        raise DataError(
            f"checkpoint {origin!r} has format version {bundle.get('format_version')}, this is "
            f"version {_FORMAT_VERSION}; install the version of landslide-dist that wrote it"
        )
    try:
        metadata = dict(bundle["metadata"])
        model = build(metadata)
        model.load_state_dict(bundle["weights"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"checkpoint {origin!r} does not hold a whole model ({type(error).__name__}: {reason});"
            " train it again"
        ) from error
    return model.eval(), metadata


def save(path: str | Path, model: SusceptibilityModel, metadata: Mapping[str, Any]) -> None:
    """Write a model; the file is there whole or not at all.

    Args:
        path: Local file; its folder is made.
        model: The model.
        metadata: See :func:`to_dict`.
    """
    bundle = to_dict(model, metadata)
    with whole_file(path) as unfinished:
        torch.save(bundle, unfinished)


def load(path: str | Path) -> tuple[SusceptibilityModel, dict[str, Any]]:
    """Read a model.

    Args:
        path: File written by :func:`save`.

    Returns:
        The model, on the CPU in eval mode, and its metadata.

    Raises:
        ConfigError: There is no such file.
        DataError: The file is damaged or is something else.
    """
    return from_dict(_read(path), str(path))


def save_chip_model(path: str | Path, model: ChipModel, metadata: Mapping[str, Any]) -> None:
    """Write a classifier of chips; the file is there whole or not at all.

    Args:
        path: Local file; its folder is made.
        model: The classifier.
        metadata: Plain data kept beside its recipe.
    """
    bundle = _bundle(model, model.recipe.to_dict(), metadata, _CHIP_FORMAT)
    with whole_file(path) as unfinished:
        torch.save(bundle, unfinished)


def load_chip_model(path: str | Path) -> tuple[ChipModel, dict[str, Any]]:
    """Read a classifier of chips: the model, on the CPU in eval mode, and its metadata.

    Raises:
        ConfigError: There is no such file.
        DataError: The file is damaged or is something else.
    """

    def build(plain: Mapping[str, Any]) -> ChipModel:
        return empty_chip_model(ChipRecipe.from_dict(plain))

    return _model(_read(path), str(path), _CHIP_FORMAT, build)


def start_weights(model: nn.Module, start: nn.Module, path: str) -> None:
    """Give a fresh model the weights of another, read from a file.

    Raises:
        DataError: Their names or shapes are others.
    """
    try:
        model.load_state_dict(start.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"init_from {path!r}: its weights do not fit this model ({reason}); start from a "
            "checkpoint of the same kind and size"
        ) from error


def fingerprint(path: str | Path) -> str | None:
    """``model_hash`` of a checkpoint of either kind; None where there is no such file.

    Raises:
        DataError: The file is damaged or is something else.
    """
    if not Path(path).exists():
        return None
    bundle = _read(path)
    found = bundle.get("metadata", {}) if isinstance(bundle, Mapping) else {}
    value = found.get("model_hash")
    return None if value is None else str(value)


def amend(path: str | Path, entries: Mapping[str, Any]) -> None:
    """Add entries to the metadata of a model that is written already.

    Args:
        path: File written by :func:`save`.
        entries: Plain data; they replace entries of the same name.

    Raises:
        ConfigError: There is no such file.
        DataError: The file is damaged or is something else.
    """
    bundle = _read(path)
    from_dict(bundle, str(path))
    bundle["metadata"] = {**bundle["metadata"], **_plain(entries)}
    with whole_file(path) as unfinished:
        torch.save(bundle, unfinished)


def _read(path: str | Path) -> Any:
    origin = str(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"checkpoint {origin!r} cannot be read: {error.strerror}; train the model first or "
            "correct the path"
        ) from error
    try:
        with warnings.catch_warnings():
            # Foreign pickles make torch warn before it refuses them.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise DataError(
            f"checkpoint {origin!r} is damaged or not a landslide-dist model; train it again"
        ) from error


def _plain(value: Any) -> Any:
    """Mappings, sequences, strings and numbers alone, so that ``weights_only`` reads them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or type(value) in (str, bool, int, float):
        return value
    raise ValueError(f"{value!r} of type {type(value).__name__} is not plain data")
