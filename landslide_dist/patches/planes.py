"""Decoded planes of a window, on the host or on a device; patches are cut out of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landslide_dist.grid import Window

#: Name of the plane that holds the labels of a part, and 255 where they are of another.
TARGET = "target"


@dataclass(frozen=True)
class Planes:
    """Compact planes of one window.

    Attributes:
        window: What they cover; it may reach beyond the raster.
        tensors: Cube variable, or ``TARGET`` -> tensor ``(..., window.height, window.width)``.
    """

    window: Window
    tensors: Mapping[str, Tensor]

    @property
    def nbytes(self) -> int:
        """Memory of all planes."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def on_host(self) -> bool:
        """Whether they lie in the memory of the host."""
        return all(tensor.device.type == "cpu" for tensor in self.tensors.values())

    def cut(self, name: str, window: Window, out: Tensor) -> None:
        """Copy a window of a plane, whatever lies beyond it being beyond the raster.

        Args:
            name: Which plane.
            window: Pixels to copy.
            out: ``(..., window.height, window.width)`` of the plane's dtype, on its device.
        """
        inside = window.intersect(self.window)
        if inside != window:
            out.fill_(beyond(out.dtype))
        if inside.height and inside.width:
            part = self.tensors[name][(..., *inside.relative_to(self.window).slices)]
            out[(..., *inside.relative_to(window).slices)] = part


def beyond(dtype: torch.dtype) -> float:
    """What a plane of this dtype is beyond the raster; see :mod:`landslide_dist.patches.reader`."""
    return float("nan") if dtype.is_floating_point else torch.iinfo(dtype).max


def as_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over the memory of an array, which may be read-only: patches are copies."""
    return torch.from_numpy(array if array.flags.writeable else np.asarray(_Writable(array)))


class _Writable:
    """The same memory, said to be writable.

    Torch warns of an array that is not, and silencing a warning in one thread meddles with others.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = array.__array_interface__ | {"data": (address, False)}
        self.array = array
