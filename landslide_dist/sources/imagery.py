"""Images of an event as blocks of the cube: scenes are found, chosen and composited.

In order of the path: ``stac``, ``safe``, ``stack`` (what there is: ``scene``), ``acquisition``
(onto the grid, granules over another), then here the choice of acquisitions and their composite.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist import schema
from landslide_dist.config.imagery import (
    BoaOffset,
    FilesSource,
    ImageConfig,
    ReflectanceConfig,
    SafeSource,
    StacSource,
)
from landslide_dist.errors import DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import Variable
from landslide_dist.sources.acquisition import Acquisition, Block, group
from landslide_dist.sources.scene import Scene, Span, plain_files
from landslide_dist.sources.tiles import TILE_PX

#: Day of an image whose source does not tell it.
UNKNOWN_DAY = "unknown"


@dataclass(frozen=True)
class TimeStep:
    """One image of the cube.

    Attributes:
        image: How it is configured.
        acquisitions: What it is made of: one, or those of a median.
        clear_share: Share of the grid's pixels that are clear, counted on its overview.
    """

    image: ImageConfig
    acquisitions: tuple[Acquisition, ...]
    clear_share: float

    @property
    def day(self) -> str:
        """ISO date; of a median the middle acquisition's, of an even number the earlier."""
        day = self.acquisitions[(len(self.acquisitions) - 1) // 2].day
        return UNKNOWN_DAY if day is None else day.isoformat()

    def read(self, window: Window) -> Block:
        """Reflectance, shape (band, height, width), and where it is clear."""
        if self.image.composite == "nearest":
            return self.acquisitions[0].read(window)
        num_bands = len(self.acquisitions[0].bands)
        values = np.zeros((num_bands, *window.shape), np.uint16)
        clear = np.zeros(window.shape, np.bool_)
        # In pieces: all acquisitions of a piece are in memory at once.
        for piece in _pieces(window):
            blocks = [acquisition.read(piece) for acquisition in self.acquisitions]
            inner = piece.relative_to(window).slices
            values[:, *inner], clear[inner] = _median(blocks)
        return values, clear

    def provenance(self) -> dict[str, Any]:
        """What the image was made of, without the signatures that URLs may carry."""
        granules = [granule for one in self.acquisitions for granule in one.granules]
        scenes = [granule.scene for granule in granules]
        # Granules may share a file.
        files = {path: told for granule in granules for path, told in granule.files.items()}
        return {
            "role": self.image.role,
            "pair": self.image.pair,
            "composite": self.image.composite,
            "date": self.day,
            "clear_share": self.clear_share,
            "scenes": [
                {
                    "name": scene.name,
                    "date": UNKNOWN_DAY if scene.day is None else scene.day.isoformat(),
                    "boa_offset": dict(scene.offsets),
                }
                for scene in scenes
            ],
            "files": [_unsigned(entry) for told in files.values() for entry in told()],
        }


@dataclass(frozen=True)
class Imagery:
    """All images of a cube, readable block by block; picklable, opens files in ``read``.

    Attributes:
        steps: One a time step.
        bands: Common names, in channel order.
    """

    steps: tuple[TimeStep, ...]
    bands: tuple[str, ...]

    @property
    def variables(self) -> tuple[Variable, Variable]:
        """``reflectance`` and ``valid``."""
        times = len(self.steps)
        return schema.reflectance(times, len(self.bands)), schema.valid(times)

    @property
    def coords(self) -> Mapping[str, tuple[str, ...] | tuple[int, ...]]:
        """``time`` (ISO dates, or ``unknown``), ``role`` and ``pair`` along time; ``band``."""
        return {
            "time": tuple(step.day for step in self.steps),
            "role": tuple(step.image.role for step in self.steps),
            "pair": tuple(step.image.pair for step in self.steps),
            "band": self.bands,
        }

    def read(self, window: Window) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """One block of the target grid; it never depends on the window it is read in.

        Args:
            window: Lies inside the grid.

        Returns:
            Reflectance x 10000, shape (time, band, height, width), 0 without data; 1 where it is
            clear, shape (time, height, width). Masked pixels of one acquisition keep their
            reflectance; a median has none where no acquisition is clear.

        Raises:
            DataError: A file cannot be read, or holds no digital numbers or no classes.
        """
        blocks = [step.read(window) for step in self.steps]
        values, clear = zip(*blocks, strict=True)
        return np.stack(values), np.stack(clear).astype(np.uint8)

    def provenance(self) -> list[dict[str, Any]]:
        """Scenes, days, offsets, clear share and versions of files of every time step."""
        return [step.provenance() for step in self.steps]


def open_images(config: ReflectanceConfig, grid: Grid) -> Imagery:
    """Find and choose the scenes of every image; reads classifications, but no reflectance.

    Raises:
        ConfigError: An offset is not known.
        DataError: A file is missing or broken; no acquisition lies in the window, on the grid, or
            is clear enough.
    """
    steps = tuple(
        _open_step(f"images.{i}", config, image, grid) for i, image in enumerate(config.images)
    )
    return Imagery(steps, config.bands)


def _open_step(name: str, config: ReflectanceConfig, image: ImageConfig, grid: Grid) -> TimeStep:
    span = _span(config, image)
    offset = config.boa_offset if image.boa_offset is None else image.boa_offset
    scenes = _scenes(image, config.bands, offset, span)
    acquisitions = group(scenes, grid, config.bands, config.masked_classes)
    label = f"{name} ({image.role}, pair {image.pair})"
    choose = _nearest if image.composite == "nearest" else _all
    return choose(label, image, acquisitions, span)


def _span(config: ReflectanceConfig, image: ImageConfig) -> Span:
    """The image's window, cut at the event: its day itself is neither before nor after."""
    first, last = image.window or (None, None)
    event, day = config.event_date, timedelta(days=1)
    if event is not None and image.role == "pre":
        last = event - day if last is None else min(last, event - day)
    if event is not None and image.role == "post":
        first = event + day if first is None else max(first, event + day)
    return Span(first, last)


def _scenes(
    image: ImageConfig, bands: tuple[str, ...], offset: BoaOffset, span: Span
) -> list[Scene]:
    source = image.source
    if isinstance(source, FilesSource):
        return plain_files(source, bands, offset, span)
    if isinstance(source, StacSource):
        from landslide_dist.sources.stac import stac_scenes

        return stac_scenes(source, bands, offset, span)
    if isinstance(source, SafeSource):
        from landslide_dist.sources.safe import safe_scenes

        return safe_scenes(source, bands, offset, span)
    from landslide_dist.sources.stack import stack_scenes

    return stack_scenes(source, bands, offset, span)


def _nearest(
    label: str, image: ImageConfig, acquisitions: Sequence[Acquisition], span: Span
) -> TimeStep:
    """The last acquisition before, or the first after, that is clear enough."""
    inward = reversed(acquisitions) if image.role == "pre" else iter(acquisitions)
    best: TimeStep | None = None
    for acquisition in inward:
        step = TimeStep(image, (acquisition,), float(acquisition.overview().mean()))
        if step.clear_share >= image.min_clear and acquisition.granules:
            return step
        if best is None or step.clear_share > best.clear_share:
            best = step
    assert best is not None  # a source without scenes has been refused
    raise _too_cloudy(label, image, best, f"the best of {len(acquisitions)} acquisitions", span)


def _all(
    label: str, image: ImageConfig, acquisitions: Sequence[Acquisition], span: Span
) -> TimeStep:
    """Every acquisition on the grid, for a median."""
    there = tuple(acquisition for acquisition in acquisitions if acquisition.granules)
    if there:
        clear = np.logical_or.reduce([acquisition.overview() for acquisition in there])
        step = TimeStep(image, there, float(clear.mean()))
        if step.clear_share >= image.min_clear:
            return step
    else:
        step = TimeStep(image, tuple(acquisitions), 0.0)
    raise _too_cloudy(label, image, step, f"the median of {len(there)} acquisitions", span)


def _too_cloudy(label: str, image: ImageConfig, step: TimeStep, what: str, span: Span) -> DataError:
    if not any(acquisition.granules for acquisition in step.acquisitions):
        names = step.acquisitions[0].scenes[0].name
        return DataError(
            f"{label}: no scene of {span} has pixels on the grid (e.g. {names!r}); "
            "give scenes of this region"
        )
    return DataError(
        f"{label}: {what} of {span}, of {step.day}, is clear on {step.clear_share:.1%} of the "
        f"grid, less than min_clear {image.min_clear:g}; widen the window, lower min_clear or use "
        "composite: median"
    )


def _median(blocks: Sequence[Block]) -> Block:
    """Per pixel and band over the clear ones, half to even; 0 where none is clear."""
    clear = np.stack([block[1] for block in blocks])
    values = np.stack([block[0] for block in blocks])
    # Masked ones sort last, so that the first `count` are those that are clear.
    values[~np.broadcast_to(clear[:, None], values.shape)] = np.iinfo(np.uint16).max
    values.sort(axis=0)
    count = clear.sum(axis=0, dtype=np.intp)[None, None]
    low = np.take_along_axis(values, np.maximum(count - 1, 0) // 2, axis=0)[0]
    high = np.take_along_axis(values, count // 2, axis=0)[0]
    middle = np.rint((low.astype(np.float64) + high) / 2).astype(np.uint16)
    any_clear = count[0, 0] > 0
    return np.where(any_clear, middle, 0).astype(np.uint16), any_clear


def _pieces(window: Window) -> Iterator[Window]:
    """Cut along the tiles in which bands are warped: none is computed twice."""
    for y0 in range(window.y0 // TILE_PX * TILE_PX, window.y1, TILE_PX):
        for x0 in range(window.x0 // TILE_PX * TILE_PX, window.x1, TILE_PX):
            yield Window(y0, x0, TILE_PX, TILE_PX).intersect(window)


def _unsigned(entry: dict[str, Any]) -> dict[str, Any]:
    """URLs may be signed; signatures are secrets and change with every run."""
    path = entry["path"]
    return entry | {"path": path.partition("?")[0] if "://" in path else path}
