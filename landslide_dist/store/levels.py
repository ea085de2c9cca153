"""Levels of detail of rasters: where they lie, on which grid, what is known of them.

Level 0 is the source itself. A pixel of level n stands for ``2 ** n`` pixels on a side of it,
counted from its upper-left corner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import zarr
from affine import Affine
from numpy.typing import NDArray

from landslide_dist.errors import DataError
from landslide_dist.grid import Grid
from landslide_dist.kernels.reduction import halved
from landslide_dist.store import cube

#: How two by two pixels become one; see :mod:`landslide_dist.store.pyramid`.
Reduction = Literal["mean", "mode", "sample", "clear"]
#: Longer side of the coarsest level at most: about one screen.
SCREEN_PX = 512


@dataclass(frozen=True)
class Raster:
    """A variable of a cube or a prediction."""

    location: str
    variable: str


@dataclass(frozen=True)
class Pyramid:
    """Rasters of one grid and their levels.

    Attributes:
        location: Zarr group of the levels above 0.
        rasters: Level 0; of ``sample`` the first says which pixels are valid; of ``clear`` there
            are two, images and where they are clear.
        reduction: How two by two pixels become one.
        grid: Of level 0.
    """

    location: str
    rasters: tuple[Raster, ...]
    reduction: Reduction
    grid: Grid

    @classmethod
    def of(cls, location: str, rasters: Sequence[Raster], reduction: Reduction) -> "Pyramid":
        """The pyramid at a location, whether it has been built or not."""
        return cls(location, tuple(rasters), reduction, cube.read_grid(rasters[0].location))

    @property
    def num_levels(self) -> int:
        """Levels, level 0 included."""
        return levels_of(self.grid.shape)

    def raster(self, index: int, level: int) -> Raster:
        """Where one of the rasters lies at a level."""
        source = self.rasters[index]
        return source if level == 0 else replace(source, location=f"{self.location}/{level}")

    def level_grid(self, level: int) -> Grid:
        """Grid of a level."""
        return coarser(self.grid, level)


def levels_of(shape: tuple[int, int]) -> int:
    """Levels of a raster, itself included: the last is the first that fits a screen."""
    levels = 1
    while max(shape) > SCREEN_PX:
        shape = halved(shape)
        levels += 1
    return levels


def coarser(grid: Grid, level: int) -> Grid:
    """The grid with pixels of ``2 ** level`` pixels on a side, from the same upper-left corner."""
    step = 2**level
    shape = (-(-grid.height // step), -(-grid.width // step))
    return Grid(grid.crs, grid.transform @ Affine.scale(step), shape)


def dimensions(array: zarr.Array[Any]) -> tuple[str, ...]:
    """Names of an array's dimensions."""
    return tuple(array.metadata.to_dict().get("dimension_names") or ())  # type: ignore[arg-type]


def coordinate(group: zarr.Group, name: str) -> list[Any]:
    """Values of a coordinate."""
    values: list[Any] = np.asarray(cube.array(group, name)[:]).tolist()
    return values


def flags_of(attributes: Mapping[str, Any]) -> dict[int, str]:
    """Code -> meaning of a categorical variable; empty of another.

    Raises:
        DataError: There are more names than codes, or fewer: which is whose is not known.
    """
    codes = [int(code) for code in attributes.get("flag_values", ())]
    names = str(attributes.get("flag_meanings", "")).split()
    if len(names) != len(codes):
        raise DataError(
            f"{attributes.get('long_name')!r} has {len(names)} names for {len(codes)} codes: which "
            "is whose is not known; ingest the cube again with --overwrite"
        )
    return {code: name.replace("_", " ") for code, name in zip(codes, names, strict=True)}


def decoded(array: zarr.Array[Any], block: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float32 and NaN where they are stored scaled or in half precision; codes as is."""
    scale = array.attrs.get("scale_factor")
    if scale is not None:
        values = np.where(block == array.attrs["nodata"], np.nan, block * float(str(scale)))
        return values.astype(np.float32)
    return block.astype(np.float32) if block.dtype == np.float16 else block


def decoded_dtype(array: zarr.Array[Any]) -> np.dtype[Any]:
    """Of what :func:`decoded` gives."""
    return decoded(array, np.zeros((0, 0), dtype=array.dtype)).dtype


def nodata_of(array: zarr.Array[Any]) -> float:
    """Of decoded values: NaN of floats, the attribute of codes, or what no code is."""
    if decoded_dtype(array).kind == "f":
        return float("nan")
    return float(str(array.attrs.get("nodata", -1)))
