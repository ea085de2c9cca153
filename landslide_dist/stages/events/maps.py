"""What pages show of an event: its images, labels or inventory, and the map of a model."""

from collections.abc import Callable

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy import ndimage

from landslide_dist.evaluation.events import EventMap
from landslide_dist.evaluation.overview import Part
from landslide_dist.evaluation.panel import telling_window, window_at
from landslide_dist.grid import Window
from landslide_dist.patches.pair import ROLES
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import NO_IMAGE, PROBABILITY, UNLABELLED
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.events.train import PLANES
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

#: Longer side of the ground that is shown; of a larger event the window with most landslides.
SHOWN_PX = 1536
#: Shares of the pixels of a band that are darker than black and brighter than white.
STRETCH = (0.02, 0.98)

Predict = Callable[[Window], NDArray[np.float32]]


def tested_map(context: RunContext, predict: Predict) -> EventMap:
    """An event and what a model says of its test part; labels of other parts are left out.

    Args:
        context: The event's run.
        predict: Probability of a window.
    """
    window = Window(0, 0, *context.grid.shape)
    parts = context.config.split.parts()
    if max(window.shape) > SHOWN_PX:
        test = Part(context.split_location, parts["test"])
        window = telling_window(context.config.cube.location, SHOWN_PX, test)
    labels = context.reader(PLANES).read(window, ("landslide", "split"))
    tested = np.isin(labels["split"], sorted(parts["test"]))
    landslide = np.where(tested, labels["landslide"], np.uint8(UNLABELLED))
    return _event_map(context, window, landslide, predict(window))


def found_map(context: RunContext, predict: Predict, landslides: gpd.GeoDataFrame) -> EventMap:
    """An event and what was mapped of it: the outlines of the inventory stand for labels.

    Args:
        context: The event's run.
        predict: Probability of a window.
        landslides: The inventory; of a large event the surroundings of the largest are shown.
    """
    window = Window(0, 0, *context.grid.shape)
    if max(window.shape) > SHOWN_PX and len(landslides):
        largest = landslides.loc[landslides["area_m2"].idxmax()]
        centre = largest.centroid_x_m, largest.centroid_y_m
        window = window_at(context.config.cube.location, SHOWN_PX, centre)
    probability = predict(window)
    mapped = np.zeros(window.shape, dtype=np.uint8)
    if len(landslides):
        transform = context.grid.window_transform(window)
        mapped = rasterize(
            landslides.geometry, out_shape=window.shape, transform=transform, dtype=np.uint8
        )
    mapped[np.isnan(probability)] = UNLABELLED
    return _event_map(context, window, mapped, probability)


def stored(map_location: str) -> Predict:
    """Probabilities of a map that is predicted already."""

    def read(window: Window) -> NDArray[np.float32]:
        rows, columns = window.slices
        probability = cube.open_cube(map_location)[PROBABILITY.name]
        return probability.isel(y=rows, x=columns).to_numpy().astype(np.float32)

    return read


def areas_m2(context: RunContext) -> NDArray[np.float64]:
    """Area of every landslide of an event's inventory, as it was rasterised."""
    whole = Window(0, 0, *context.grid.shape)
    array = cube.array(open_group(context.config.cube.location), "landslide")
    landslide = cube.read_window(array, whole, UNLABELLED) == 1
    bodies, _ = ndimage.label(landslide, structure=np.ones((3, 3)))
    num_pixels = np.bincount(bodies.ravel())[1:]
    return np.asarray(num_pixels * context.grid.pixel_m**2, dtype=np.float64)


def _event_map(
    context: RunContext,
    window: Window,
    landslide: NDArray[np.uint8],
    probability: NDArray[np.float32],
) -> EventMap:
    reader = context.reader(PLANES[:1], split=False)
    pre, post = (_picture(context, reader, role, window) for role in ROLES)
    name, pixel_m = context.config.name, context.grid.pixel_m
    return EventMap(name, pixel_m, pre, post, landslide, probability)


def _picture(
    context: RunContext, reader: PatchReader, role: str, window: Window
) -> NDArray[np.float32]:
    """Red, green and blue of an image, or its first band three times, stretched to [0, 1]."""
    assert context.pair is not None
    bands = [band for band in ("red", "green", "blue") if band in context.pair.bands]
    chosen = bands if len(bands) == 3 else [context.pair.bands[0]] * 3
    planes = reader.read(window, tuple(dict.fromkeys(f"{role}_{band}" for band in chosen)))
    picture = np.stack([planes[f"{role}_{band}"] for band in chosen], axis=-1).astype(np.float32)
    picture[picture == NO_IMAGE] = np.nan
    for band in range(3):
        known = picture[..., band][np.isfinite(picture[..., band])]
        if known.size:
            low, high = np.quantile(known, STRETCH)
            picture[..., band] = (picture[..., band] - low) / max(high - low, 1e-6)
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float32)
