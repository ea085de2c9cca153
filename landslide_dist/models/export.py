"""A trained model as a file that runs without this package: torch.export and ONNX.

The file holds everything from a cube's compact planes to the probability: standardisation, one-hot
codes, the uphill look, the network and the temperature. What else a user must know, above all how
much context the planes need, is written into it as JSON (:func:`card`).
"""

import json
import logging
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from landslide_dist.batch import Batch
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.errors import ConfigError
from landslide_dist.models.susceptibility import NetworkModel, SusceptibilityModel
from landslide_dist.schema import OUTSIDE_CODE
from landslide_dist.whole_file import whole_file

#: Name of the JSON of :func:`card` in both kinds of file.
CARD = "landslide_dist.json"
OUTPUT = "probability"
#: ONNX operators; those of this version are understood by runtimes since 2023.
ONNX_OPSET = 18


class ProbabilityOfPlanes(nn.Module):
    """Compact planes in, probability out.

    Args:
        model: A trained model.
        temperature: What logits are divided by.
    """

    def __init__(self, model: NetworkModel, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self.context_px = model.exact_context_px

    def forward(self, planes: dict[str, Tensor]) -> Tensor:
        """Predict the cores of some windows.

        Args:
            planes: The model's inputs, in their order, ``(sample, y, x)`` (``uphill``: ``(sample,
                distance, y, x)``) in the cube's dtype, over a core and ``context_px`` around it.
                The core's sides and origin are multiples of the model's ``stride_px``.

        Returns:
            ``(sample, y, x)`` float32 over the core.
        """
        plane = planes[self.model.inputs[0]]
        height, width = plane.shape[-2:]
        inner = slice(self.context_px, height - self.context_px)
        # Only the shape of a target counts, and models that are exported ask for no origin.
        core = plane[:, inner, self.context_px : width - self.context_px]
        batch = Batch(planes, core, core, self.context_px)
        return torch.sigmoid(self.model(batch) / self.temperature)


def card(
    model: SusceptibilityModel, metadata: Mapping[str, Any], temperature: float = 1.0
) -> dict[str, Any]:
    """What a user of an exported model must know, as plain data.

    Args:
        model: The model.
        metadata: Of its checkpoint.
        temperature: What its logits are divided by.
    """
    return {
        "inputs": list(model.inputs),
        "output": OUTPUT,
        "exact_context_px": model.exact_context_px,
        "stride_px": model.stride_px,
        "reach_px": model.reach_px,
        "halo_px": model.halo_px,
        "outside_code": OUTSIDE_CODE,
        "channels": list(model.encoder.names) if isinstance(model, NetworkModel) else [],
        "temperature": temperature,
        "looking_distances_m": list(metadata["looking_distances_m"]),
        "pixel_m": metadata["pixel_m"],
        "checkpoint": metadata.get("model_hash"),
        "package_version": metadata.get("package_version"),
        "recipe": model.recipe.to_dict(),
    }


def to_program(
    model: SusceptibilityModel, uphill_dtype: torch.dtype, temperature: float = 1.0
) -> ExportedProgram:
    """Trace a model for any number of windows of any size.

    Args:
        model: The model, on the CPU in eval mode.
        uphill_dtype: Of the cube's ``uphill``, uint8 or uint16.
        temperature: What its logits are divided by.

    Raises:
        ConfigError: It is a baseline, which has nothing to export.
    """
    if not isinstance(model, NetworkModel):
        raise ConfigError(
            f"a model of kind {model.recipe.config.kind!r} has no weights and reads no planes; "
            "export one that is trained"
        )
    module = ProbabilityOfPlanes(model, temperature).eval()
    stride, around = model.stride_px, 2 * model.exact_context_px
    sample, rows, columns = (Dim(name, min=1) for name in ("sample", "rows", "columns"))
    # Cores are whole cells of the pooling grid, which is what exact tiles need anyway.
    sizes = [stride * side + around if stride * side else side for side in (rows, columns)]
    planes = example_planes(model, uphill_dtype, 2, (3 * stride, 4 * stride))
    shapes = {
        name: {0: sample, plane.ndim - 2: sizes[0], plane.ndim - 1: sizes[1]}
        for name, plane in planes.items()
    }
    with torch.no_grad(), _quiet():
        return torch.export.export(module, (planes,), dynamic_shapes=(shapes,))


def example_planes(
    model: NetworkModel, uphill_dtype: torch.dtype, num_samples: int, core: tuple[int, int]
) -> dict[str, Tensor]:
    """Planes of zeros with the context that a model needs.

    Args:
        model: The model.
        uphill_dtype: Of the cube's ``uphill``.
        num_samples: Windows.
        core: Rows and columns of their cores.
    """
    shape = tuple(side + 2 * model.exact_context_px for side in core)
    planes = {}
    for name in model.inputs:
        dtype, leading = plane_of(model, name, uphill_dtype)
        planes[name] = torch.zeros((num_samples, *leading, *shape), dtype=dtype)
    return planes


def plane_of(
    model: NetworkModel, name: str, uphill_dtype: torch.dtype
) -> tuple[torch.dtype, tuple[int, ...]]:
    """Dtype of an input, and its dimensions before y and x."""
    channels = model.recipe.channels
    if name == "uphill":
        return uphill_dtype, (len(model.recipe.radii_px),)
    if isinstance(channels, EventChannels):
        return (getattr(torch, channels.dtype) if name in channels.images else torch.float32), ()
    return (torch.float32 if name in channels.continuous else torch.uint8), ()


def save_program(
    path: str | Path, program: ExportedProgram, description: Mapping[str, Any]
) -> None:
    """Write a ``.pt2`` file, whose extra file ``landslide_dist.json`` is the description."""
    with whole_file(path) as unfinished:
        torch.export.save(program, unfinished, extra_files={CARD: json.dumps(description)})


def save_onnx(path: str | Path, program: ExportedProgram, description: Mapping[str, Any]) -> None:
    """Write an ONNX file, whose metadata property ``landslide_dist.json`` is the description.

    Raises:
        ConfigError: The packages that write ONNX are not installed.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"ONNX needs {error.name}: pip install 'landslide-dist[export]'"
        ) from error
    with torch.no_grad(), _quiet():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=ONNX_OPSET,
            input_names=description["inputs"],
            output_names=[OUTPUT],
            verbose=False,
        )
    assert converted is not None
    converted.model.metadata_props[CARD] = json.dumps(description)
    with whole_file(path) as unfinished:
        converted.save(str(unfinished), external_data=False)


def read_card(path: str | Path) -> dict[str, Any]:
    """The :func:`card` in a ``.pt2`` or ONNX file; empty where none can be read.

    Raises:
        ConfigError: It is an ONNX file and the package that reads them is not installed.
    """
    text = _text_in_onnx(path) if Path(path).suffix == ".onnx" else _text_in_program(path)
    description: dict[str, Any] = json.loads(text)
    return description


def _text_in_program(path: str | Path) -> str:
    # The archive is a zip: the weights and the graph need not be loaded.
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(f"/extra/{CARD}"):
                    return archive.read(name).decode()
    except zipfile.BadZipFile:
        pass
    return "{}"


def _text_in_onnx(path: str | Path) -> str:
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            f"{str(path)!r} is read by {error.name}: pip install 'landslide-dist[export]', or "
            "delete the file"
        ) from error
    content = Path(path).read_bytes()
    try:
        properties = onnx.load_model_from_string(content).metadata_props
    except Exception:  # damage raises an error of protobuf, which publishes no types
        return "{}"
    texts: dict[str, str] = {entry.key: entry.value for entry in properties}
    return texts.get(CARD, "{}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Tracing announces what concerns the code of torch and onnxscript alone."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
