"""One image pair of an event's cube as planes, and the labels that it shows clearly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.event_channels import EventChannels
from landslide_dist.errors import DataError
from landslide_dist.grid import Window
from landslide_dist.patches.reader import PatchReader, ZarrReader
from landslide_dist.schema import NO_IMAGE, UNLABELLED
from landslide_dist.store import cube
from landslide_dist.store.location import store_errors

#: Variables with a value for each image, which a pair makes planes of.
OF_IMAGES = ("reflectance", "matched", "valid")
ROLES = ("pre", "post")


@dataclass(frozen=True)
class Pair:
    """Which images belong together.

    Attributes:
        number: Of the pair in its cube.
        pre: Position of the image before along ``time``.
        post: Position of the one after.
        bands: Common names of the bands.
        images: Variable that holds them: ``reflectance``, or ``matched``.
        dtype: Of its planes.
    """

    number: int
    pre: int
    post: int
    bands: tuple[str, ...]
    images: str
    dtype: str

    @property
    def times(self) -> tuple[int, int]:
        """Positions along ``time``, as in ``ROLES``."""
        return self.pre, self.post

    def channels(self, pixel_m: float) -> EventChannels:
        """What models see of it."""
        return EventChannels(self.bands, pixel_m, self.images, self.dtype)


def find_pairs(location: str, images: str = "reflectance") -> tuple[Pair, ...]:
    """The pairs of a cube, by number.

    Args:
        location: Of the cube.
        images: Variable that holds the images.

    Raises:
        DataError: It holds no images, or none of a pair's sides.
    """
    ds = cube.open_cube(location)
    if images not in ds:
        remedy = "give sources.reflectance" if images == "reflectance" else "run derive"
        raise DataError(f"cube {location!r} has no {images!r}: {remedy}")
    places: dict[int, dict[str, int]] = {}
    for time, (role, number) in enumerate(
        zip(ds["role"].values.tolist(), ds["pair"].values.tolist(), strict=True)
    ):
        places.setdefault(int(number), {})[str(role)] = time
    bands = tuple(str(band) for band in ds["band"].values)
    dtype = "float32" if ds[images].dtype.kind == "f" else "uint16"
    for number, of_pair in places.items():
        if missing := [role for role in ROLES if role not in of_pair]:
            raise DataError(
                f"pair {number} of cube {location!r} has no {missing[0]} image; give one with "
                f"role {missing[0]} and pair {number}"
            )
    return tuple(
        Pair(number, places[number]["pre"], places[number]["post"], bands, images, dtype)
        for number in sorted(places)
    )


class PairReader:
    """Planes of one pair: ``pre_red``, ..., and the variables of the cube that have one plane.

    A pixel counts where both images are clear. Where they are not, images read as nodata and labels
    as unlabelled, so that nothing of a cloud reaches a loss, a score or a neighbour. Images are
    uint16, or float32 where the cube's are. Picklable.

    Args:
        reader: Of the cube and, where there is one, of the split.
        pair: Which images.
    """

    def __init__(self, reader: ZarrReader, pair: Pair) -> None:
        self.reader = reader
        self.pair = pair
        self.image_names = pair.channels(1.0).images

    @property
    def variables(self) -> tuple[str, ...]:
        """All planes."""
        single = (name for name in self.reader.locations if name not in OF_IMAGES)
        return (*self.image_names, *single)

    def read(
        self, window: Window, variables: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Read a window; see :class:`~landslide_dist.patches.reader.PatchReader`."""
        wanted = self.variables if variables is None else tuple(variables)
        single = [name for name in wanted if name not in self.image_names]
        planes = self.reader.read(window, single)
        of_labels = [name for name in ("landslide", "split") if name in planes]
        if of_labels or len(single) < len(wanted):
            clear = self._clear(window)
            for name in of_labels:
                planes[name] = np.where(clear, planes[name], np.uint8(UNLABELLED))
        if len(single) < len(wanted):
            images = self._images(window, clear)
            planes |= {name: images[name] for name in wanted if name in images}
        return {name: planes[name] for name in wanted}

    def _clear(self, window: Window) -> NDArray[np.bool_]:
        before, after = (self._of_time("valid", window, time, 0) for time in self.pair.times)
        return np.asarray((before == 1) & (after == 1))

    def _images(self, window: Window, clear: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        nodata = np.nan if self.pair.dtype == "float32" else NO_IMAGE
        bands: list[NDArray[Any]] = []
        for time in self.pair.times:
            # uint8 as well: its 255 is a value here, and not what lies beyond the raster.
            image = self._of_time(self.pair.images, window, time, nodata).astype(self.pair.dtype)
            bands += list(np.where(clear, image, image.dtype.type(nodata)))
        return dict(zip(self.image_names, bands, strict=True))

    def _of_time(self, name: str, window: Window, time: int, fill: float) -> NDArray[Any]:
        array = self.reader.array(name)
        with store_errors(self.reader.locations[name]):
            return cube.read_window(array, window, fill, at=(time,))


def pair_reader(locations: Mapping[str, str], pair: Pair | None) -> PatchReader:
    """A reader of variables; with a pair also of its planes, and of labels where it is clear.

    Args:
        locations: Variable -> location of the cube that holds it; ``elevation`` is one of them.
        pair: Of the cube of ``elevation``; None of a cube without images.
    """
    if pair is None:
        return ZarrReader(locations)
    images = dict.fromkeys((pair.images, "valid"), locations["elevation"])
    return PairReader(ZarrReader({**locations, **images}), pair)


def known(planes: Mapping[str, NDArray[Any]], images: Sequence[str]) -> NDArray[np.bool_]:
    """Pixels that can be predicted: those with ground, and with every image.

    Args:
        planes: ``elevation`` and the images, ``(y, x)``.
        images: Which planes are of images.
    """
    inside: NDArray[np.bool_] = np.isfinite(planes["elevation"])
    for plane in (planes[name] for name in images):
        if plane.dtype.kind == "f":
            inside &= np.isfinite(plane)
        else:
            inside &= (plane != NO_IMAGE) & (plane != np.iinfo(plane.dtype).max)
    return inside
