"""Cubes: the template first, then independent blocks, then opened as one dataset.

A cube is a Zarr v3 group that ``xarray.open_zarr`` and rioxarray understand. Each shard has one
writer: :func:`write_block` takes whole shards only.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import xarray as xr
import zarr
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.errors import DataError, StoreError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import Variable
from landslide_dist.store import layout
from landslide_dist.store.location import codec_errors, open_group, place_of, store_errors

#: Attributes of every cube; with these alone, its creation was cut short.
_BASIC = {"Conventions": "CF-1.11", "coordinates": "spatial_ref", "creator": "landslide_dist"}

#: Name -> values, numbers or text.
Coordinates = Mapping[str, Sequence[float] | Sequence[str]]


def create(
    location: str,
    grid: Grid,
    variables: Iterable[Variable],
    storage: StorageConfig,
    attrs: Mapping[str, Any],
    coords: Coordinates | None = None,
) -> None:
    """Write the metadata of a new cube: coordinates, CRS and empty variables.

    Args:
        location: Path or URL; whatever group is there is replaced.
        grid: The grid of all variables.
        variables: What the cube holds.
        storage: Chunks, shards and compression.
        attrs: Attributes of the group, e.g. provenance; plain data without times of the run.
        coords: Values of leading coordinates, e.g. ``distance``.
    """
    with store_errors(location):
        group = open_group(location, "w", _BASIC)
        _write_axes(group, grid)
    add_variables(location, variables, storage, coords, attrs)


def add_variables(
    location: str,
    variables: Iterable[Variable],
    storage: StorageConfig,
    coords: Coordinates | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> None:
    """Add empty variables to a cube, replacing those of the same name."""
    with store_errors(location):
        group = open_group(location, "r+")
        shape = _shape(group)
        for name, values in (coords or {}).items():
            _write_axis(group, name, np.asarray(values), schema.COORDINATE_ATTRIBUTES[name])
        auxiliary = schema.COORDINATE_DIMENSION.keys() & (coords or {}).keys()
        if auxiliary:
            group.attrs["coordinates"] = " ".join(["spatial_ref", *sorted(auxiliary)])
        for variable in variables:
            group.create_array(**layout.array_layout(variable, storage, shape), overwrite=True)
        with _quiet_consolidation():
            whole = zarr.consolidate_metadata(group.store)
        # Written last and at once: who finds these attributes finds the arrays as well.
        whole.attrs.update(attrs or {})


def is_cut_short(location: str) -> bool:
    """Whether a group is a cube whose creation was killed: nothing is in it yet."""
    attributes = open_group(location).attrs.asdict()
    return attributes.get("creator") == _BASIC["creator"] and attributes.keys() <= _BASIC.keys()


def open_cube(location: str) -> xr.Dataset:
    """Open a cube lazily, one Dask chunk a shard, and check it against the schema.

    Raises:
        StoreError: There is no group, or it cannot be reached.
        DataError: It breaks the data contract.
    """
    group = open_group(location)
    with store_errors(location), _quiet_consolidation():
        # A Dask chunk smaller than a shard would read, and could write, part of a shard.
        ds: xr.Dataset = xr.open_zarr(group.store, chunks=_shard_chunks(group), consolidated=True)
    schema.validate(ds, location)
    return ds


def read_grid(location: str) -> Grid:
    """The grid of a cube."""
    group = open_group(location)
    with store_errors(location):
        if "spatial_ref" not in group:
            raise DataError(f"{location!r} is a Zarr group but not a cube: it has no spatial_ref")
        attributes = group["spatial_ref"].attrs
        left, width, _, top, _, height = map(float, str(attributes["GeoTransform"]).split())
        return Grid(
            str(attributes["crs_wkt"]), Affine(width, 0, left, 0, height, top), _shape(group)
        )


def array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array of a cube by name.

    Raises:
        StoreError: It is not there; names those that are.
    """
    node = group.get(name)
    if not isinstance(node, zarr.Array):
        raise StoreError(
            f"the cube {group.store} has no variable {name!r} "
            f"(it has {', '.join(sorted(group.array_keys()))}); run the stage that makes it"
        )
    return node


def shard_windows(location: str) -> list[Window]:
    """The blocks of a cube: one whole shard each, smaller at the edges, in row order."""
    group = open_group(location)
    grid = read_grid(location)
    sizes = {a.shards[-1] for _, a in group.arrays() if a.shards is not None}
    if len(sizes) != 1:
        raise StoreError(f"variables of {location!r} have shards of {sorted(sizes)} px; one is due")
    return list(grid.windows(sizes.pop()))


def read_window(
    array: zarr.Array[Any] | NDArray[Any], window: Window, fill: float, at: tuple[int, ...] = ()
) -> NDArray[Any]:
    """Read a window that may reach beyond the raster.

    Args:
        array: Array of dims ``(..., y, x)``, stored or in memory.
        window: Pixels to read.
        fill: Value of pixels beyond the raster.
        at: Positions along the first leading dimensions, which are left out of the result.

    Returns:
        Array of shape ``(..., window.height, window.width)`` in the array's dtype.

    Raises:
        StoreError: The store fails, or a shard is damaged.
    """
    inside = window.clip((array.shape[-2], array.shape[-1]))
    if inside == window:
        return _read(array, window, at)
    out = np.full((*array.shape[len(at) : -2], *window.shape), fill, dtype=array.dtype)
    if inside.height and inside.width:
        out[(..., *inside.relative_to(window).slices)] = _read(array, inside, at)
    return out


def _read(
    array: zarr.Array[Any] | NDArray[Any], window: Window, at: tuple[int, ...]
) -> NDArray[Any]:
    if isinstance(array, np.ndarray):
        return np.asarray(array[at][(..., *window.slices)])
    with codec_errors(place_of(array)):
        return np.asarray(array[_selection(array, window, at)])


def _selection(
    array: zarr.Array[Any], window: Window, at: tuple[int, ...] = ()
) -> tuple[int | slice, ...]:
    """All leading indices of a window, spelled out: an ellipsis takes slower paths."""
    return (*at, *(slice(None) for _ in array.shape[len(at) : -2]), *window.slices)


def write_block(array: zarr.Array[Any], window: Window, data: NDArray[Any]) -> None:
    """Write whole shards.

    Args:
        array: Array of dims ``(..., y, x)``.
        window: Pixels to write; its edges lie on shard borders or on the raster's edge.
        data: Values of shape ``(..., window.height, window.width)``, of the array's dtype.

    Raises:
        StoreError: The window cuts a shard (two writers of one shard would corrupt it), or the
            data do not fit.
    """
    _check_whole_shards(array, window)
    expected = (*array.shape[:-2], *window.shape)
    if data.shape != expected or data.dtype != array.dtype:
        raise StoreError(
            f"block of {array.name} is {data.dtype} {data.shape}, due is {array.dtype} {expected}"
        )
    with codec_errors(place_of(array)):
        array[_selection(array, window)] = data


def _check_whole_shards(array: zarr.Array[Any], window: Window) -> None:
    shards = array.shards if array.shards is not None else array.chunks
    for start, stop, size, shard in zip(
        (window.y0, window.x0), (window.y1, window.x1), array.shape[-2:], shards[-2:], strict=True
    ):
        if start % shard or (stop % shard and stop != size):
            raise StoreError(
                f"{window} cuts a shard of {array.name} ({shard} px): write whole ones"
            )


def _write_axes(group: zarr.Group, grid: Grid) -> None:
    for axis, values, standard_name in (
        ("y", grid.y, "projection_y_coordinate"),
        ("x", grid.x, "projection_x_coordinate"),
    ):
        attributes = {"standard_name": standard_name, "units": "m", "axis": axis.upper()}
        _write_axis(group, axis, values, attributes)
    reference = group.create_array("spatial_ref", shape=(), dtype="int64", dimension_names=())
    reference.attrs.update(CRS.from_user_input(grid.crs).to_cf())
    reference.attrs["GeoTransform"] = " ".join(repr(float(v)) for v in grid.transform.to_gdal())


def _write_axis(
    group: zarr.Group, name: str, values: NDArray[Any], attributes: Mapping[str, str]
) -> None:
    is_text = values.dtype.kind == "U"
    array = group.create_array(
        name,
        shape=values.shape,
        # Text of any length; text of a fixed length is not part of the Zarr v3 specification.
        dtype="string" if is_text else values.dtype,
        chunks=values.shape,
        dimension_names=(schema.COORDINATE_DIMENSION.get(name, name),),
        attributes=dict(attributes),
        overwrite=True,
    )
    array[:] = values.astype(object) if is_text else values


def _shape(group: zarr.Group) -> tuple[int, int]:
    return array(group, "y").shape[0], array(group, "x").shape[0]


def _shard_chunks(group: zarr.Group) -> dict[str, int]:
    chunks: dict[str, int] = {}
    for _, node in group.arrays():
        if node.shards is not None:
            dims = cast("tuple[str, ...]", node.metadata.to_dict()["dimension_names"])
            chunks.update(zip(dims, node.shards, strict=True))
    return chunks


@contextmanager
def _quiet_consolidation() -> Iterator[None]:
    """Zarr warns that v3 does not specify consolidated metadata; xarray reads it, and we use it.

    And of folders without arrays: some object stores go on listing those that were removed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        warnings.filterwarnings("ignore", message="Object at .* is not recognized as a component")
        yield
