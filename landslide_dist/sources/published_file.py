"""The file of :mod:`~landslide_dist.sources.published` as such: planes and labels by the piece."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.sources import PublishedSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.sources.files import describe, reason
from landslide_dist.sources.netcdf import HDF5_LOCK

if TYPE_CHECKING:
    import h5py

NUM_FEATURES = 94
PAD_PX = 64
#: What one read may hold, bytes, unless a row of the file's chunks is more.
_PIECE_BYTES = 2**26


@dataclass(frozen=True)
class PublishedFile:
    """The two arrays of a file, addressed in pixels of the grid.

    Attributes:
        path: The file.
        region: Its group.
        mapped: The grid without the columns that are filled by mirroring.
        chunk: Planes and rows that the file stores together.
        labels_pad_px: Padding of the labels: they have that of the features, or none.
    """

    path: str
    region: str
    mapped: Window
    chunk: tuple[int, int]
    labels_pad_px: int

    @classmethod
    def open(cls, config: PublishedSource, grid: Grid) -> "PublishedFile":
        """Look at a file without reading pixels.

        Raises:
            ConfigError: h5py is not installed; the grid has another size, or no mapped column.
            DataError: The file is missing or broken, or its arrays are not as published.
        """
        with _opened(config.path) as file:
            features = _array(file, config, "data")
            labels = _array(file, config, "gt")
            shape, chunks, labels_shape = features.shape, features.chunks, labels.shape
        padded = _check_features(config, shape, grid)
        height, width = grid.shape
        mapped = Window(0, 0, height, width - config.filled_columns_px)
        if mapped.width < 1:
            raise ConfigError(
                f"sources.published.filled_columns_px {config.filled_columns_px} leaves nothing of "
                f"{width} columns"
            )
        if labels_shape[-2:] not in (grid.shape, padded) or labels_shape[:-2] not in ((), (1,)):
            raise DataError(
                f"{config.path!r}: {config.region}/gt has shape {labels_shape}, which is neither "
                f"the features' {padded} nor {grid.shape} without their padding"
            )
        labels_pad_px = PAD_PX if labels_shape[-2:] == padded else 0
        planes, rows = (1, 1) if chunks is None else chunks[:2]
        return cls(config.path, config.region, mapped, (planes, rows), labels_pad_px)

    def features(self, first: int, count: int, window: Window) -> Iterator["Piece"]:
        """Planes ``first`` to ``first + count`` of a window, as whole chunks of the file.

        Yields:
            Pieces that cover planes and window once; planes in ascending order at each pixel.
        """
        chunk_planes, chunk_rows = self.chunk
        if not window.width:
            return
        row_bytes = min(chunk_planes, count) * window.width * np.dtype(np.float32).itemsize
        strip_rows = max(1, _PIECE_BYTES // (row_bytes * chunk_rows)) * chunk_rows
        padded = _shifted(window, PAD_PX)
        for y0, y1 in _spans(padded.y0, padded.y1, strip_rows):
            strip = Window(y0, padded.x0, y1 - y0, padded.width)
            for start, stop in _spans(first, first + count, chunk_planes):
                values = self._read("data", (slice(start, stop), *strip.slices))
                yield Piece(start, _shifted(strip, -PAD_PX), values)

    def labels(self, window: Window) -> NDArray[Any]:
        """Raw labels of a window, shape (height, width)."""
        return self._read("gt", (..., *_shifted(window, self.labels_pad_px).slices)).reshape(
            window.shape
        )

    def provenance(self) -> list[dict[str, Any]]:
        """The file."""
        return describe(self.path)

    def _read(self, name: str, index: tuple[Any, ...]) -> NDArray[Any]:
        with _opened(self.path) as file:
            values: NDArray[Any] = file[f"{self.region}/{name}"][index]
        return values


@dataclass(frozen=True, eq=False)
class Piece:
    """Some planes of a window.

    Attributes:
        first: Number of the first plane.
        window: Pixels of the grid.
        values: Shape (planes, height, width).
    """

    first: int
    window: Window
    values: NDArray[Any]


@contextmanager
def _opened(path: str) -> "Iterator[h5py.File]":
    """A file, while no other thread uses the HDF5 library."""
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            "sources.published needs h5py (the file's compression is h5py's own): "
            "pip install 'landslide-dist[hdf5]'"
        ) from error
    with HDF5_LOCK:
        try:
            with h5py.File(path, "r") as file:
                yield file
        except (OSError, RuntimeError) as error:
            raise DataError(f"{path!r} cannot be read as HDF5: {reason(error)}") from error


def _array(file: "h5py.File", config: PublishedSource, name: str) -> "h5py.Dataset":
    full_name = f"{config.region}/{name}"
    found = file.get(full_name)
    if found is None or not hasattr(found, "chunks"):  # a group
        raise DataError(
            f"{config.path!r} has no array {full_name!r}; it has groups "
            f"{', '.join(file) or 'none'}: give sources.published.region"
        )
    return found


def _check_features(config: PublishedSource, shape: tuple[int, ...], grid: Grid) -> tuple[int, int]:
    """Rows and columns of the features with their padding."""
    if len(shape) != 3 or shape[0] != NUM_FEATURES:
        raise DataError(
            f"{config.path!r}: {config.region}/data has shape {shape}; "
            f"({NUM_FEATURES}, rows, columns) is published"
        )
    rows, columns = (side - 2 * PAD_PX for side in shape[1:])
    if (rows, columns) != grid.shape:
        raise ConfigError(
            f"{config.path!r} has {rows} x {columns} px inside its padding of {PAD_PX}, cube.grid "
            f"{grid.height} x {grid.width}; give bounds of that size"
        )
    return shape[1], shape[2]


def _shifted(window: Window, by_px: int) -> Window:
    return Window(window.y0 + by_px, window.x0 + by_px, window.height, window.width)


def _spans(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Parts of [start, stop) that break at multiples of ``step``."""
    while start < stop:
        end = min(stop, (start // step + 1) * step)
        yield start, end
        start = end
