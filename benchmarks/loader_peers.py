"""Loaders of the same patches in the same order: ours, and those that others would write.

Each is a function ``(bench, shares) -> batches`` that opens its files anew at every call.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import rasterio
import torch
import xarray as xr
from loader_region import EVERYTHING, INPUTS, LABELS, Bench
from torch.utils.data import DataLoader, Dataset

from landslide_dist.batch import Batch
from landslide_dist.grid import Window
from landslide_dist.patches.cutter import part_target
from landslide_dist.patches.order import Share
from landslide_dist.patches.planes import Planes
from landslide_dist.patches.reader import GIB
from landslide_dist.patches.stream import PatchStream

#: Key of the planes of a batch that comes as channels, in a loader that stores them.
CHANNELS = "channels"

Sample = tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]
Loader = Callable[[Bench, Sequence[Share]], Iterator[Batch]]


def streamed(bench: Bench, shares: Sequence[Share]) -> Iterator[Batch]:
    """Ours from the store, within the memory that it is given."""
    return iter(stream(bench, shares, None))


def stream(bench: Bench, shares: Sequence[Share], held: Planes | None) -> PatchStream:
    """Ours; from memory where ``held`` has the region."""
    memory = bench.scale.memory_gib * GIB
    return PatchStream(
        bench.reader(), bench.cutter(), shares, memory,
        pin_memory=torch.cuda.is_available(), resident=held,
    )  # fmt: skip


class Samples(Dataset[Sample]):
    """Patches one by one, as a map-style data set of PyTorch has them.

    Attributes:
        bench: The region.
        context_px: What planes hold around a core.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.context_px = bench.scale.context_px

    def __getitem__(self, number: int) -> Sample:
        """Planes, labels of the core and its origin."""
        origin = self.bench.patches.origins[number]
        core = Window(*map(int, origin), self.bench.scale.core_px, self.bench.scale.core_px)
        planes = self.read(core.expand(self.context_px))
        landslide, split = (planes.pop(name, None) for name in LABELS)
        if split is not None:
            inner = np.s_[self.context_px : -self.context_px, self.context_px : -self.context_px]
            landslide = part_target(landslide[inner], split[inner], EVERYTHING)
        return planes, landslide, origin

    def read(self, window: Window) -> dict[str, np.ndarray]:
        """Planes of a window, and its labels."""
        raise NotImplementedError


class Sliced(Samples):
    """Plain slices of the Zarr cube, decoded by the package's own reader."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.reader = bench.reader()

    def read(self, window: Window) -> dict[str, np.ndarray]:  # noqa: D102
        return self.reader.read(window, (*INPUTS, *LABELS))


class Batcher(Samples):
    """xbatcher's windows over the cube as xarray opens it.

    Args:
        bench: The region.
        options: Of ``xarray.open_zarr``.
    """

    def __init__(self, bench: Bench, **options: Any) -> None:
        super().__init__(bench)
        places = {"cube": bench.location, "split": bench.trainer.context.split_location}
        opened = {name: xr.open_zarr(place, **options) for name, place in places.items()}
        data = opened["cube"].drop_vars("spatial_ref")[[*INPUTS, "landslide"]]
        data["split"] = opened["split"]["split"]
        scale = bench.scale
        sides = dict.fromkeys(("distance", "y", "x"), scale.read_px) | {"distance": 3}
        overlap = dict.fromkeys(("y", "x"), 2 * scale.context_px)
        self.windows = import_module("xbatcher").BatchGenerator(
            data, input_dims=sides, input_overlap=overlap
        )

    def read(self, window: Window) -> dict[str, np.ndarray]:  # noqa: D102
        row, column = window.y0 // window_step(self.bench), window.x0 // window_step(self.bench)
        data = self.windows[row * self.bench.scale.side_cores + column]
        return {name: data[name].to_numpy() for name in (*INPUTS, *LABELS)}


def window_step(bench: Bench) -> int:
    """From one window to the next."""
    return bench.scale.core_px


class Tiffs(Samples):
    """Windows of one GeoTIFF a variable, opened once and read through rasterio."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.files = {name: rasterio.open(bench.tiff(name)) for name in (*INPUTS, *LABELS)}

    def read(self, window: Window) -> dict[str, np.ndarray]:  # noqa: D102
        place = rasterio.windows.Window(window.x0, window.y0, window.width, window.height)
        return {
            name: file.read(None if file.count > 1 else 1, window=place)
            for name, file in self.files.items()
        }


class Dense(Samples):
    """Channels as they are stored: nothing is left to expand.

    Args:
        bench: The region.
        num_channels: The first so many are read.
    """

    def __init__(self, bench: Bench, num_channels: int = 160) -> None:
        super().__init__(bench)
        self.context_px = bench.scale.halo_px
        self.num_channels = num_channels

    def place(self, window: Window) -> Window:
        """The window in the file of the dense part."""
        return window.relative_to(self.bench.dense_window)


class DenseTiff(Dense):
    """All channels as bands of one GeoTIFF."""

    def __init__(self, bench: Bench, num_channels: int = 160) -> None:
        super().__init__(bench, num_channels)
        self.file = rasterio.open(bench.dense_tiff)
        with import_module("h5py").File(bench.published) as labels:
            self.landslide = labels["landslide"][:]

    def read(self, window: Window) -> dict[str, np.ndarray]:  # noqa: D102
        at = self.place(window)
        bands = list(range(1, self.num_channels + 1))
        place = rasterio.windows.Window(at.x0, at.y0, at.width, at.height)
        core = at.expand(-self.context_px)
        return {
            CHANNELS: self.file.read(bands, window=place),
            "landslide": self.landslide[core.slices],
        }


class Published(Dense):
    """The published layout: one HDF5 of all float32 planes, opened for every sample."""

    def read(self, window: Window) -> dict[str, np.ndarray]:  # noqa: D102
        at = self.place(window)
        with import_module("h5py").File(self.bench.published) as file:
            planes = [file["features"][(slice(None), *at.slices)]]
            if self.num_channels > len(planes[0]):
                planes.append(file["aligned"][(slice(None), *at.slices)])
            labels = file["landslide"][at.expand(-self.context_px).slices]
        return {CHANNELS: np.concatenate(planes) if len(planes) > 1 else planes[0],
                "landslide": labels}  # fmt: skip


def one_by_one(
    samples: Callable[[Bench], Samples], bench: Bench, shares: Sequence[Share], workers: int = 0
) -> Iterator[Batch]:
    """A data loader of PyTorch over the samples of each batch.

    Args:
        samples: Which.
        bench: The region.
        shares: The batches.
        workers: Processes of the data loader.
    """
    data = samples(bench)
    loader = DataLoader(
        data,
        batch_sampler=[share.patch.tolist() for share in shares],
        collate_fn=partial(collate, context_px=data.context_px),
        num_workers=workers,
        multiprocessing_context="forkserver" if workers else None,
    )
    return iter(loader)


def collate(samples: list[Sample], context_px: int) -> Batch:
    """Samples beside each other."""
    planes, targets, origins = zip(*samples, strict=True)
    stacked = {name: torch.from_numpy(np.stack([p[name] for p in planes])) for name in planes[0]}
    target, origin = (torch.from_numpy(np.stack(values)) for values in (targets, origins))
    return Batch(stacked, target, origin, context_px)


#: Loaders of compact planes.
COMPACT: dict[str, Loader] = {
    "streamed": streamed,
    "zarr slices": partial(one_by_one, Sliced),
    "xbatcher": partial(one_by_one, Batcher),
    "xbatcher, no Dask": partial(one_by_one, partial(Batcher, chunks=None)),
    "GeoTIFFs": partial(one_by_one, Tiffs),
}
#: Loaders of dense channels, and their number.
STORED: dict[str, Callable[..., Iterator[Batch]]] = {
    "published layout": partial(one_by_one, Published),
    "dense GeoTIFF": partial(one_by_one, DenseTiff),
}
