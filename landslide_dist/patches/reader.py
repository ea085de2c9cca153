"""Where compact planes come from: a cube's store, or memory once they are read.

A window may reach beyond the raster. There floats are NaN and integers their dtype's maximum, which
is ``OUTSIDE_CODE`` of a category, ``UNLABELLED`` of ``landslide`` and ``split``, and "none" of
``uphill``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, store_errors

GIB = 2**30


class PatchReader(Protocol):
    """Cuts windows out of the variables of a region."""

    def read(
        self, window: Window, variables: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a window that may reach beyond the raster.

        Args:
            window: Pixels to read.
            variables: Which ones; by default all that the reader has.

        Returns:
            Variable -> array ``(..., window.height, window.width)`` of its own dtype, not to be
            written to.
        """
        ...


class ZarrReader:
    """Reads from stores, each opened at the first read; picklable.

    Args:
        locations: Variable -> location of the cube that holds it.
    """

    def __init__(self, locations: Mapping[str, str]) -> None:
        self.locations = dict(locations)
        self._arrays: dict[str, zarr.Array[Any]] = {}

    def read(
        self, window: Window, variables: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a window; see :class:`PatchReader`."""
        planes = {}
        for name in self.locations if variables is None else variables:
            array = self.array(name)
            with store_errors(self.locations[name]):
                planes[name] = cube.read_window(array, window, beyond(array.dtype))
        return planes

    def array(self, name: str) -> zarr.Array[Any]:
        """The stored array of a variable.

        Raises:
            StoreError: It is not there.
        """
        if name not in self._arrays:
            self._arrays[name] = cube.array(open_group(self.locations[name]), name)
        return self._arrays[name]

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens its own stores: connections and locks do not travel.
        return {"locations": self.locations, "_arrays": {}}


class HostReader:
    """Cuts windows from whole planes in memory.

    Args:
        planes: Variable -> array ``(..., y, x)`` of the whole raster; made read-only.
    """

    def __init__(self, planes: Mapping[str, NDArray[Any]]) -> None:
        self.planes = {name: plane.view() for name, plane in planes.items()}
        for plane in self.planes.values():
            plane.flags.writeable = False

    def read(
        self, window: Window, variables: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a window; see :class:`PatchReader`."""
        return {
            name: cube.read_window(self.planes[name], window, beyond(self.planes[name].dtype))
            for name in (self.planes if variables is None else variables)
        }


def open_reader(locations: Mapping[str, str], host_memory_gib: float) -> PatchReader:
    """A reader of variables: from memory where all of them fit, else from their stores.

    Args:
        locations: Variable -> location of the cube that holds it.
        host_memory_gib: Memory that planes may take.

    Raises:
        StoreError: A cube or a variable is not there, or cannot be read.
    """
    reader = ZarrReader(locations)
    arrays = {name: reader.array(name) for name in locations}
    if sum(array.nbytes for array in arrays.values()) > host_memory_gib * GIB:
        return reader
    planes = {}
    for name, array in arrays.items():
        with store_errors(locations[name]):
            planes[name] = np.asarray(array[...])
    return HostReader(planes)


def beyond(dtype: np.dtype[Any]) -> float:
    """What a variable of this dtype is beyond the raster."""
    return float("nan") if dtype.kind == "f" else int(np.iinfo(dtype).max)
