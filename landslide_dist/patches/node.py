"""The processes of one machine that train together, and memory that they share."""

import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import distributed

#: Begin of each array in shared memory; a cache line.
ALIGNMENT = 64

Layout = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]


@dataclass(frozen=True)
class Node:
    """This process among those of its machine.

    Attributes:
        number: Which machine.
        rank: Which of its processes this is.
        size: How many there are.
    """

    number: int = 0
    rank: int = 0
    size: int = 1


#: One process that shares with nobody.
ALONE = Node()


def fill_once(
    layout: Layout, fill: Callable[[dict[str, NDArray[Any]]], None], node: Node
) -> dict[str, NDArray[Any]]:
    """Arrays that one process of the node fills and all see.

    The memory has no name in any file system: whatever ends the processes, nothing stays behind.

    Args:
        layout: Name -> shape and dtype.
        fill: Writes all values; called in one process.
        node: The processes that share; each calls this.
    """
    if node.size == 1:
        arrays = {name: np.empty(shape, dtype) for name, (shape, dtype) in layout.items()}
        fill(arrays)
        return arrays
    offsets, total = _offsets(layout)
    place = (0, 0)
    if node.rank == 0:
        descriptor = os.memfd_create("landslide-dist planes")
        os.truncate(descriptor, total)
        place = (os.getpid(), descriptor)
        arrays = _mapped(descriptor, total, layout, offsets)
        fill(arrays)
    # Doubles as the barrier behind which the planes are whole.
    places: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(places, (node.number, node.rank, *place))
    if node.rank:
        pid, number = next(p[2:] for p in places if p[:2] == (node.number, 0))
        descriptor = os.open(f"/proc/{pid}/fd/{number}", os.O_RDWR)
        arrays = _mapped(descriptor, total, layout, offsets)
    distributed.barrier()
    os.close(descriptor)
    return arrays


def least(value: float) -> float:
    """The smallest value of any process; who decides by it decides like the others."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return float(min(values))


def _offsets(layout: Layout) -> tuple[dict[str, int], int]:
    offsets, total = {}, 0
    for name, (shape, dtype) in layout.items():
        offsets[name] = total
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        total += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, total


def _mapped(
    descriptor: int, total: int, layout: Layout, offsets: Mapping[str, int]
) -> dict[str, NDArray[Any]]:
    memory = mmap.mmap(descriptor, total)
    return {
        name: np.ndarray(shape, dtype, memory, offsets[name])
        for name, (shape, dtype) in layout.items()
    }
