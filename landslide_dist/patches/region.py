"""Where the planes of a region are kept while models train: on the device, the host, or the store.

Held planes are cut without reading; on the host all processes of a node share them. A region that
fits nowhere is streamed. Whatever is chosen, the patches and their order are the same.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landslide_dist.errors import ConfigError
from landslide_dist.grid import Window
from landslide_dist.patches.cutter import part_target
from landslide_dist.patches.node import ALONE, Node, fill_once, least
from landslide_dist.patches.planes import TARGET, Planes, as_tensor, beyond
from landslide_dist.patches.reader import GIB, HostReader, PatchReader

Residency = Literal["device", "host", "stream"]
#: Share of a device's free memory that planes may take; the rest is the model's.
DEVICE_SHARE = 0.5
LABELS = ("landslide", "split")
#: Blocks that are read at a time when a region is loaded.
FILLING_THREADS = 4


@dataclass(frozen=True)
class RegionData:
    """What there is to keep.

    Attributes:
        reader: Gives ``landslide``, ``split`` and ``variables``.
        variables: What models read.
        parts: ``SplitConfig.parts()``.
        shape: Rows and columns of the raster.
        windows: Blocks that cover it once, or all of it that holds anything.
    """

    reader: PatchReader
    variables: Sequence[str]
    parts: Mapping[str, frozenset[int]]
    shape: tuple[int, int]
    windows: Sequence[Window]

    def layout(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Shape and dtype of every plane: the variables', and the target of each part."""
        # Beyond the raster, where nothing is read from the store.
        pixel = self.reader.read(Window(-1, -1, 1, 1), self.variables)
        layout = {
            name: ((*plane.shape[:-2], *self.shape), plane.dtype) for name, plane in pixel.items()
        }
        return layout | {part: (self.shape, np.dtype(np.uint8)) for part in self.parts}

    def nbytes(self) -> int:
        """Memory of every plane."""
        return sum(
            int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            for shape, dtype in self.layout().values()
        )

    def fill(self, planes: Mapping[str, Tensor]) -> None:
        """Read everything into tensors of :meth:`layout`, a few blocks at a time."""
        names = [name for name in self.variables if name in planes]
        if sum(window.height * window.width for window in self.windows) < math.prod(self.shape):
            # Between the regions of a mosaic there is nothing to read, as beyond a raster.
            for plane in planes.values():
                plane.fill_(beyond(plane.dtype))

        def fill_block(window: Window) -> None:
            read = self.reader.read(window, (*names, *LABELS))
            for name in names:
                planes[name][(..., *window.slices)] = as_tensor(read[name])
            for part, values in self.parts.items():
                target = part_target(read["landslide"], read["split"], values)
                planes[part][window.slices] = torch.from_numpy(target)

        with ThreadPoolExecutor(FILLING_THREADS, thread_name_prefix="fill") as pool:
            deque(pool.map(fill_block, self.windows), maxlen=0)


class Region:
    """The planes of a region, kept where they fit.

    Args:
        data: What there is to keep.
        residency: Where; ``auto`` takes the first of device, host and stream that has room.
        host_memory_gib: Memory of a node that planes may take.
    """

    def __init__(
        self,
        data: RegionData,
        residency: Literal["auto", "device", "host", "stream"] = "auto",
        host_memory_gib: float = 4.0,
    ) -> None:
        self.data = data
        self.host_memory_gib = host_memory_gib
        self._wanted = residency
        self._kept: dict[str, Planes] | None = None
        self.residency: Residency | None = None

    def settle(self, device: torch.device, node: Node = ALONE) -> Residency:
        """Load the planes to where they stay; a settled region stays as it is.

        Args:
            device: Where the model is.
            node: The processes that train together on this machine; all of them call this.

        Raises:
            ConfigError: There is no room at the place that was asked for.
        """
        if self.residency is None:
            self.residency = self._choose(device)
            if self.residency != "stream":
                self._kept = self._load(device, node)
        return self.residency

    def planes(self, part: str) -> Planes | None:
        """All planes with the target of a part; None where the region is streamed."""
        return None if self._kept is None else self._kept[part]

    def _choose(self, device: torch.device) -> Residency:
        needed, wanted = self.data.nbytes(), self._wanted
        on_device = device.type == "cuda"
        room = {"host": self.host_memory_gib * GIB, "device": 0.0}
        if on_device:
            # Free memory differs between processes; what is loaded together is decided together.
            room["device"] = DEVICE_SHARE * least(torch.cuda.mem_get_info(device)[0])
        if wanted == "device" and not on_device:
            wanted = "host"
        if wanted == "auto":
            return next((place for place in ("device", "host") if needed <= room[place]), "stream")
        if wanted != "stream" and needed > room[wanted]:
            remedy = "training.host_memory_gib" if wanted == "host" else "another device"
            raise ConfigError(
                f"training.residency {wanted} needs {needed / GIB:.2f} GiB for the planes and "
                f"there are {room[wanted] / GIB:.2f}; give {remedy} or residency stream"
            )
        return wanted

    def _load(self, device: torch.device, node: Node) -> dict[str, Planes]:
        data, layout = self.data, self.data.layout()
        planes: dict[str, Tensor] = {}
        if isinstance(data.reader, HostReader) and self.residency == "host":
            # They are in memory already; only the targets are missing.
            planes = {name: as_tensor(data.reader.planes[name]) for name in data.variables}
            layout = {part: layout[part] for part in data.parts}
        if self.residency == "device":
            for name, (shape, dtype) in layout.items():
                dtype_of_torch = torch.from_numpy(np.empty(0, dtype)).dtype
                planes[name] = torch.empty(shape, dtype=dtype_of_torch, device=device)
            data.fill(planes)
        else:
            arrays = fill_once(layout, lambda arrays: data.fill(_tensors(arrays)), node)
            planes |= _tensors(arrays)
        inputs = {name: planes[name] for name in data.variables}
        whole = Window(0, 0, *data.shape)
        return {part: Planes(whole, inputs | {TARGET: planes[part]}) for part in data.parts}


def _tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: as_tensor(array) for name, array in arrays.items()}
