"""Small pictures of large rasters: one read a shard, shrunk at once.

A picture pixel stands for ``step x step`` raster pixels: their mean, whether any of them has a
value, or the one in their middle (codes and indices have no mean). Shards need not be multiples of
the step.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from landslide_dist.grid import Grid, Window
from landslide_dist.store import cube
from landslide_dist.store.location import open_group, store_errors

#: Longest side of a picture, pixels.
MAX_PX = 1200


@dataclass(frozen=True)
class Part:
    """A part of a split.

    Attributes:
        location: Group that holds ``split``.
        values: Its values there.
    """

    location: str
    values: frozenset[int]


@dataclass(frozen=True)
class Overview:
    """A region, or a window of it, at picture scale.

    Attributes:
        location: The cube, whose grid and shards are followed.
        window: Raster pixels that are shown.
        step: Raster pixels on a side of a picture pixel.
    """

    location: str
    window: Window
    step: int

    @classmethod
    def of(cls, location: str, max_px: int = MAX_PX, window: Window | None = None) -> "Overview":
        """The overview whose longer side has at most ``max_px`` pixels, by default of all."""
        shown = window or Window(0, 0, *cube.read_grid(location).shape)
        return cls(location, shown, -(-max(shown.shape) // max_px))

    @cached_property
    def grid(self) -> Grid:
        """Grid of the cube."""
        return cube.read_grid(self.location)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        return -(-self.window.height // self.step), -(-self.window.width // self.step)

    @property
    def pixel_m(self) -> float:
        """Side of a picture pixel, metres."""
        return self.grid.pixel_m * self.step

    def mean(self, name: str, location: str | None = None) -> NDArray[np.float32]:
        """Mean of the finite values; NaN where there are none.

        Args:
            name: Variable.
            location: Group that holds it, on the cube's grid; by default the cube.
        """
        total, count = np.zeros((2, *self.shape))
        for window, block in self._blocks(name, location):
            finite = np.isfinite(block)
            place = self._place(window)
            total[place] += self._fold(np.add, np.where(finite, block, 0.0), window)
            count[place] += self._fold(np.add, finite.astype(np.float64), window)
        return _mean(total, count)

    def shrunk(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean of the finite ones among values of all raster pixels of the window."""
        window = Window(0, 0, *self.window.shape)
        finite = np.isfinite(values)
        total = self._fold(np.add, np.where(finite, values, 0.0).astype(np.float64), window)
        count = self._fold(np.add, finite.astype(np.float64), window)
        return _mean(total, count)

    def holds(
        self,
        name: str,
        values: Collection[int],
        location: str | None = None,
        part: Part | None = None,
    ) -> NDArray[np.bool_]:
        """Where any raster pixel has one of these values, so that what is thin does not vanish.

        Args:
            name: Variable.
            values: The values.
            location: Group that holds it, on the cube's grid; by default the cube.
            part: Only its pixels count; None for all.
        """
        found = np.zeros(self.shape, dtype=bool)
        for window, block in self._blocks(name, location):
            hit = np.isin(block, sorted(values))
            if part is not None:
                hit &= np.isin(self._read("split", part.location, window), sorted(part.values))
            found[self._place(window)] |= self._fold(np.logical_or, hit, window)
        return found

    def middle(
        self, name: str, location: str | None = None, leading: int | None = None
    ) -> NDArray[Any]:
        """The raster pixel in the middle of each picture pixel.

        Args:
            name: Variable.
            location: Group that holds it, on the cube's grid; by default the cube.
            leading: Index of the leading dimension, of variables that have one.
        """
        out = np.zeros(self.shape, dtype=self._array(name, location).dtype)
        rows, columns = (
            np.minimum(np.arange(n) * self.step + self.step // 2, size - 1)
            for n, size in zip(self.shape, self.window.shape, strict=True)
        )
        for window, block in self._blocks(name, location, leading):
            i = np.flatnonzero((rows >= window.y0) & (rows < window.y1))
            j = np.flatnonzero((columns >= window.x0) & (columns < window.x1))
            out[np.ix_(i, j)] = block[np.ix_(rows[i] - window.y0, columns[j] - window.x0)]
        return out

    def _array(self, name: str, location: str | None) -> zarr.Array[Any]:
        return cube.array(open_group(location or self.location), name)

    def _blocks(
        self, name: str, location: str | None, leading: int | None = None
    ) -> Iterator[tuple[Window, NDArray[Any]]]:
        """The shown part of every shard: where it lies in the shown window, and its pixels."""
        for shard in cube.shard_windows(self.location):
            shown = shard.intersect(self.window)
            if shown.height and shown.width:
                window = shown.relative_to(self.window)
                yield window, self._read(name, location, window, leading)

    def _read(
        self, name: str, location: str | None, window: Window, leading: int | None = None
    ) -> NDArray[Any]:
        """Pixels of a window that is counted from the corner of the shown one."""
        y0, x0 = self.window.y0 + window.y0, self.window.x0 + window.x0
        index = Window(y0, x0, *window.shape).slices
        with store_errors(location or self.location):
            array = self._array(name, location)
            return np.asarray(array[index if leading is None else (leading, *index)])

    def _place(self, window: Window) -> tuple[slice, slice]:
        return (
            slice(window.y0 // self.step, (window.y1 - 1) // self.step + 1),
            slice(window.x0 // self.step, (window.x1 - 1) // self.step + 1),
        )

    def _fold(self, ufunc: np.ufunc, block: NDArray[Any], window: Window) -> NDArray[Any]:
        """Reduce the raster pixels of each picture pixel; the first and last may be cut."""
        for axis, (start, stop) in enumerate([(window.y0, window.y1), (window.x0, window.x1)]):
            first = -(-(start + 1) // self.step) * self.step
            cuts = [0, *range(first - start, stop - start, self.step)]
            block = ufunc.reduceat(block, cuts, axis=axis)
        return block


def _mean(total: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        return (total / np.where(count > 0, count, np.nan)).astype(np.float32)
