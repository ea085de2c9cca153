"""A trained model as a STAC item with the Machine Learning Model extension (MLM 1.4)."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pystac
import torch
from pystac.extensions import file
from pystac.extensions.mlm import (
    AssetGeneralMLMExtension,
    Hyperparameters,
    InputStructure,
    MLMExtension,
    ModelInput,
    ModelOutput,
    ResultStructure,
    TaskType,
)
from pystac.extensions.raster import DataType

from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.publish import PublishConfig
from landslide_dist.grid import Grid
from landslide_dist.inference.stac import MediaTypes, add_extension, new_item
from landslide_dist.models.export import OUTPUT
from landslide_dist.models.susceptibility import NetworkModel
from landslide_dist.schema import NO_IMAGE, OUTSIDE_CODE

_ARCHITECTURES = {
    "llr": "Logistic Regression",
    "nn": "Multi-Layer Perceptron",
    "lann": "Multi-Layer Perceptron with Locally Aligned Features",
    "cnn": "U-Net",
    "lacnn": "U-Net with Locally Aligned Features",
    "resunet": "Residual U-Net",
    "ndvi_difference": "Logistic Regression",
}
#: Name of the asset -> title, media type, kind of artifact, further roles.
_ARTIFACTS = {
    "checkpoint": (
        "Checkpoint of landslide-dist", MediaTypes.TORCH, "torch.save", ["mlm:checkpoint"]
    ),
    "torch": ("torch.export program", MediaTypes.TORCH, "torch.export.save", ["mlm:compiled"]),
    "onnx": ("ONNX graph", MediaTypes.ONNX, "onnx", ["mlm:compiled"]),
}  # fmt: skip


def model_item(
    identifier: str,
    model: NetworkModel,
    description: Mapping[str, Any],
    grid: Grid,
    files: Mapping[str, str],
    uphill_dtype: str,
    publish: PublishConfig,
) -> pystac.Item:
    """The item of a model.

    Args:
        identifier: Id of the item and ``mlm:name``.
        model: The model.
        description: Its :func:`landslide_dist.models.export.card`.
        grid: Of the region it was trained in.
        files: ``checkpoint``, ``torch`` and ``onnx`` -> path, of those that there are.
        uphill_dtype: Of the cube's ``uphill``.
        publish: What the user says.
    """
    item = new_item(identifier, grid, publish)
    kind = model.recipe.config.kind
    context_px, stride_px = description["exact_context_px"], description["stride_px"]
    item.properties["description"] = (
        f"{_purpose(model)}. Planes reach {context_px} px beyond the "
        f"core on each side; the core's origin and sides are multiples of {stride_px} px; pixels "
        f"are {description['pixel_m']:g} m wide."
    )
    bands = [_band(model, name, uphill_dtype) for name in model.inputs]
    item.properties["bands"] = bands
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=identifier,
        architecture=_ARCHITECTURES[kind],
        tasks=[TaskType.SEMANTIC_SEGMENTATION, TaskType.REGRESSION],
        input=[_input(model, band) for band in bands],
        output=[_output()],
        framework="PyTorch",
        framework_version=torch.__version__.partition("+")[0],
        total_parameters=sum(p.numel() for p in model.parameters()),
        hyperparameters=Hyperparameters.create(**_hyperparameters(model, description)),
    )
    # pystac leaves out what is None; MLM wants it said of models that start from nothing.
    pretrained = getattr(model.recipe.config, "init_from", None)
    item.properties["mlm:pretrained"] = pretrained is not None
    item.properties["mlm:pretrained_source"] = pretrained
    item.properties["mlm:accelerator"] = None
    for name, path in files.items():
        _add_artifact(item, name, path)
    return item


def _band(model: NetworkModel, name: str, uphill_dtype: str) -> dict[str, Any]:
    """The STAC 1.1 band of an input; statistics are those of the training pixels."""
    if name == "uphill":
        nodata = torch.iinfo(getattr(torch, uphill_dtype)).max
        return {"name": name, "data_type": uphill_dtype, "nodata": nodata}
    channels = model.recipe.channels
    if isinstance(channels, EventChannels) and name in channels.images:
        mean, std = model.recipe.statistics[name]
        missing: int | str = NO_IMAGE if channels.dtype == "uint16" else "nan"
        statistics = {"mean": mean, "stddev": std}
        return {
            "name": name, "data_type": channels.dtype, "nodata": missing, "statistics": statistics
        }  # fmt: skip
    if isinstance(channels, EventChannels):
        return {"name": name, "data_type": "float32", "nodata": "nan", "unit": "m"}
    if name in channels.continuous:
        mean, std = model.recipe.statistics[name]
        unit = {"slope": {"unit": "degree"}, "elevation": {"unit": "m"}}.get(name, {})
        statistics = {"mean": mean, "stddev": std}
        return {
            "name": name, "data_type": "float32", "nodata": "nan", **unit, "statistics": statistics
        }  # fmt: skip
    codes = channels.categorical[name].codes
    listed = ", ".join(f"{code} {meaning}" for code, meaning in codes.items())
    return {"name": name, "data_type": "uint8", "nodata": OUTSIDE_CODE, "description": listed}


def _input(model: NetworkModel, band: Mapping[str, Any]) -> ModelInput:
    shape, order = [-1, -1, -1], ["batch", "height", "width"]
    name = str(band["name"])
    channels = model.recipe.channels
    what = "Codes of a map; the model turns them into one-hot channels."
    if name == "uphill":
        shape.insert(1, len(model.recipe.radii_px))
        order.insert(1, "distance")
        what = "Position of the highest pixel in the ring of each looking distance."
    elif isinstance(channels, EventChannels) and name in channels.images:
        what = "An image's band; the model standardises it by the band's statistics."
    elif isinstance(channels, EventChannels):
        what = "The model takes slope and hillshade from it."
    elif name in channels.continuous:
        what = "In its own unit: the model standardises it by the band's statistics."
    structure = InputStructure.create(shape, order, DataType(str(band["data_type"])))
    return ModelInput.create(name, [name], structure, description=what)


def _purpose(model: NetworkModel) -> str:
    if isinstance(model.recipe.channels, EventChannels):
        return "Landslides of an event, from images before and after it and a surface model"
    return "Landslide susceptibility from terrain and maps"


def _output() -> ModelOutput:
    structure = ResultStructure.create([-1, -1, -1], ["batch", "height", "width"], DataType.FLOAT32)
    tasks = [TaskType.SEMANTIC_SEGMENTATION, TaskType.REGRESSION]
    return ModelOutput.create(OUTPUT, tasks, structure, description="Landslide probability, 0 to 1")


def _hyperparameters(model: NetworkModel, description: Mapping[str, Any]) -> dict[str, Any]:
    settings = model.recipe.config.model_dump(mode="json", exclude_none=True)
    names = (
        "temperature", "exact_context_px", "stride_px", "reach_px", "pixel_m",
        "looking_distances_m", "channels",
    )  # fmt: skip
    return {
        **settings,
        **{name: description[name] for name in names},
        "aligned_features": list(model.recipe.aligned_features),
    }


def _add_artifact(item: pystac.Item, name: str, path: str) -> None:
    title, media_type, artifact_type, roles = _ARTIFACTS[name]
    # STAC has bands in the properties only where assets have some of the same names.
    bands = [{"name": band["name"]} for band in item.properties["bands"]]
    roles = ["mlm:model", *roles]
    asset = pystac.Asset(path, title, None, media_type, roles, {"bands": bands})
    item.add_asset(name, asset)
    AssetGeneralMLMExtension.ext(asset).artifact_type = artifact_type
    content = Path(path).read_bytes()
    add_extension(item, file.SCHEMA_URI)
    # A multihash: 12 for SHA-256, 20 for its length of 32 bytes.
    asset.extra_fields["file:checksum"] = f"1220{hashlib.sha256(content).hexdigest()}"
    asset.extra_fields["file:size"] = len(content)
