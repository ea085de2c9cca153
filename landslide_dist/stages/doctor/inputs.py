"""``doctor``: input files by their headers, and cubes that are there already."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePath
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import xarray as xr
from PIL import Image
from pydantic import BaseModel
from pyogrio.errors import DataLayerError, DataSourceError

from landslide_dist.config.bias import BiasConfig, BiasRegion
from landslide_dist.config.chip_model import TransferConfig
from landslide_dist.config.chips import CroppedChips, PictureChips
from landslide_dist.config.cube import GridConfig
from landslide_dist.config.evaluate import RegionsConfig
from landslide_dist.config.imagery import BandFile, SafeSource, StackSource, StacSource
from landslide_dist.config.matching import ChipsReference, TableReference
from landslide_dist.config.model import TrainedModel
from landslide_dist.config.sources import (
    PointsSource,
    PublishedSource,
    RasterSource,
    VectorSource,
)
from landslide_dist.config.split import SplitRegions
from landslide_dist.errors import DataError
from landslide_dist.sources.band import GdalBand
from landslide_dist.sources.chips import files_matching, pictures
from landslide_dist.sources.files import reason, some
from landslide_dist.sources.raster import open_band
from landslide_dist.stages.doctor.check import Check, guarded, ok
from landslide_dist.stages.doctor.needs import Needs

#: What pyogrio, pandas, xarray, h5py, Pillow and fsspec raise for files that they cannot read.
_UNREADABLE = (
    OSError,
    ValueError,
    RuntimeError,
    DataSourceError,
    DataLayerError,
    pa.ArrowException,
)


def inputs(needs: Needs) -> Iterator[Check]:
    """Every file that the configuration names, each once, opened but not read through."""
    seen: set[str] = set()
    for prefix, config in needs.inputs():
        for place, part in _parts(config):
            look = _look_at(part)
            if look is None or (key := f"{type(part).__name__} {part!r}") in seen:
                continue
            seen.add(key)
            name = f"input {prefix}{place}"
            yield from guarded(name, partial(_look, name, look))
    if not seen:
        yield ok("inputs", "the configuration names no files")


def _look(name: str, look: Callable[[], str]) -> list[Check]:
    return [ok(name, look())]


def _parts(config: BaseModel, place: str = "") -> Iterator[tuple[str, BaseModel]]:
    """A configuration and all that it holds, with the names of their settings."""
    yield place, config
    for name in type(config).model_fields:
        yield from _parts_of_value(getattr(config, name), f"{place}.{name}".lstrip("."))


def _parts_of_value(value: Any, place: str) -> Iterator[tuple[str, BaseModel]]:
    if isinstance(value, BaseModel):
        yield from _parts(value, place)
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _parts_of_value(entry, f"{place}.{name}")
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            yield from _parts_of_value(entry, f"{place}.{number}")


def _look_at(part: BaseModel) -> Callable[[], str] | None:
    """How the files of a part are opened; None where it names none."""
    match part:
        case RasterSource():
            return lambda: _size(part.path, open_band(part).shape)
        case BandFile():
            return lambda: _image(part)
        case GridConfig() if part.like is not None:
            like = part.like
            return lambda: _gdal(like, 1, None)
        case VectorSource() | SplitRegions() | RegionsConfig():
            return lambda: _vector(part.path, part.layer)
        case BiasRegion() if part.polygon is not None:
            polygon, layer = part.polygon, part.layer
            return lambda: _vector(polygon, layer)
        case PointsSource():
            return lambda: _points(part)
        case BiasConfig():
            return lambda: _table(part.catalog)
        case PublishedSource():
            return lambda: _published(part)
        case StacSource():
            return lambda: _stac(part.path)
        case SafeSource():
            return lambda: "; ".join(_folders(path) for path in part.path)
        case StackSource():
            return lambda: _stack(part.path)
        case PictureChips():
            return lambda: f"{_pictures(part.landslide)}; {_pictures(part.other)}"
        case CroppedChips():
            return lambda: _crops(part.folder)
        case ChipsReference():
            return lambda: f"{part.folder}, {len(pictures(part.folder))} pictures"
        case TableReference():
            return lambda: "; ".join(
                _there(path)
                for path in dict.fromkeys(part.path.replace("{role}", r) for r in ("pre", "post"))
            )
        case TrainedModel() if part.init_from is not None:
            checkpoint = part.init_from
            return lambda: _there(checkpoint)
        case TransferConfig() if part.weights not in (None, "imagenet"):
            weights = str(part.weights)
            return lambda: _there(weights)
    return None


def _gdal(path: str, band: int, crs: str | None) -> str:
    return _size(path, GdalBand.open(path, band, crs, None).shape)


def _image(part: BandFile) -> str:
    """A file of an image, whose CRS may be given beside it: ingest says whether there is one."""
    try:
        return _gdal(part.path, part.band, None)
    except DataError:
        return _gdal(part.path, part.band, "EPSG:4326")


def _size(path: str, shape: tuple[int, int]) -> str:
    return f"{path}, {shape[0]} x {shape[1]} px"


def _vector(path: str, layer: str | None) -> str:
    if PurePath(path).suffix.lower() in (".parquet", ".geoparquet"):
        columns = _opened(path, pa.parquet.read_schema).names
        return f"{path}, {len(columns)} columns"
    layers = [str(name) for name in _opened(path, pyogrio.list_layers)[:, 0]]
    if layer is not None and layer not in layers:
        raise DataError(f"{path!r} has no layer {layer!r}; give one of {some(layers, 20)}")
    info = _opened(path, lambda file: pyogrio.read_info(file, layer=layer or layers[0]))
    return f"{path}, {info['features']} features"


def _points(source: PointsSource) -> str:
    if PurePath(source.path).suffix.lower() != ".csv":
        return _vector(source.path, source.layer)
    columns = list(_opened(source.path, lambda path: pd.read_csv(path, nrows=1)).columns)
    wanted = [source.x, source.y, *([source.label] if source.label else [])]
    if missing := [name for name in wanted if name not in columns]:
        raise DataError(f"{source.path!r} has no column {some(missing)}; it has {some(columns)}")
    return f"{source.path}, {len(columns)} columns"


def _table(path: str) -> str:
    columns = _opened(path, lambda file: pd.read_csv(file, nrows=1, encoding="latin-1")).columns
    return f"{path}, {len(columns)} columns"


def _published(source: PublishedSource) -> str:
    import h5py

    def shape(path: str) -> tuple[int, ...]:
        with h5py.File(path, "r") as file:
            return tuple(int(side) for side in file[f"{source.region}/data"].shape)

    try:
        return f"{source.path}, data of shape {_opened(source.path, shape)}"
    except KeyError as error:
        raise DataError(
            f"{source.path!r} has no array {source.region}/data; give sources.published.region"
        ) from error


def _stac(path: str) -> str:
    def kind(url: str) -> str:
        with fsspec.open(url, "rb") as file:
            return str(json.load(file).get("type"))

    return f"{path}, {_opened(path, kind)}"


def _folders(pattern: str) -> str:
    fs, inner = fsspec.core.url_to_fs(pattern)
    folders = _opened(pattern, lambda _: fs.glob(inner.rstrip("/")))
    whole = [folder for folder in folders if fs.exists(f"{folder}/MTD_MSIL2A.xml")]
    if not folders or len(whole) < len(folders):
        raise DataError(
            f"{pattern!r}: {len(whole)} of {len(folders)} folders are Level-2A products; "
            "give *.SAFE folders"
        )
    return f"{pattern}, {len(folders)} products"


def _stack(path: str) -> str:
    def names(file: str) -> list[str]:
        with xr.open_dataset(file, decode_times=False) as ds:
            return [str(name) for name in ds.data_vars]

    return f"{path}, variables {some(_opened(path, names))}"


def _pictures(pattern: str) -> str:
    files = files_matching(pattern)
    if not files:
        raise DataError(f"no picture matches {pattern!r}; correct the pattern")

    def size(_: str) -> tuple[int, int]:
        with Image.open(files[0].to_read()) as picture:
            return picture.size

    return f"{len(files)} of {pattern}, the first {_opened(files[0].path, size)}"


def _crops(folder: str) -> str:
    from landslide_dist.sources.landslide4sense import find_patches

    return f"{folder}, {len(find_patches(folder))} images with masks"


def _there(path: str) -> str:
    if not Path(path).exists():
        raise DataError(f"there is no {path!r}; correct the path")
    return path


def _opened(path: str, read: Callable[[str], Any]) -> Any:
    """What a reader gives; what it raises becomes one line that names the file.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    if "://" not in path and "*" not in path:
        _there(path)
    try:
        return read(path)
    except _UNREADABLE as error:
        raise DataError(f"{path!r} cannot be read: {reason(error)}; correct the path") from error
