"""What the page of event experiments shows of the ground: images, labels, the combined model."""

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
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.patches.reader import PatchReader
from landslide_dist.schema import NO_IMAGE, UNLABELLED
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.train_events import PLANES
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

#: Longer side of the ground that is shown; of a larger event the window with most landslides.
SHOWN_PX = 1536
#: Shares of the pixels of a band that are darker than black and brighter than white.
STRETCH = (0.02, 0.98)

#: Trained model on an event: (model, event) -> predictor.
Predictors = Callable[[str, str], TiledPredictor]


def event_map(predictors: Predictors, event: str, context: RunContext) -> EventMap:
    """One event under the first model of the runs; labels of other parts than test are left out."""
    window = _window(context)
    reader = context.reader(PLANES)
    model = next(iter(context.config.models))
    planes = reader.read(window, ("landslide", "split"))
    tested = np.isin(planes["split"], sorted(context.config.split.parts()["test"]))
    pre, post = (_picture(context, reader, role, window) for role in ("pre", "post"))
    return EventMap(
        event,
        context.grid.pixel_m,
        pre,
        post,
        np.where(tested, planes["landslide"], np.uint8(UNLABELLED)),
        predictors(model, event).probability(window),
    )


def found_map(context: RunContext, map_location: str, landslides: gpd.GeoDataFrame) -> EventMap:
    """A mapped event: what was predicted, and the outlines of the inventory as labels.

    Args:
        context: The event's run.
        map_location: Zarr group of its probability.
        landslides: The inventory; of a large event the surroundings of the largest are shown.
    """
    location = context.config.cube.location
    window = Window(0, 0, *context.grid.shape)
    if max(context.grid.shape) > SHOWN_PX and len(landslides):
        largest = landslides.loc[landslides["area_m2"].idxmax()]
        window = window_at(location, SHOWN_PX, (largest.centroid_x_m, largest.centroid_y_m))
    rows, columns = window.slices
    probability = cube.open_cube(map_location)["probability"].isel(y=rows, x=columns).to_numpy()
    burnt = np.zeros(window.shape, dtype=np.uint8)
    if len(landslides):
        transform = context.grid.window_transform(window)
        burnt = rasterize(landslides.geometry, out_shape=window.shape, transform=transform)
    reader = context.reader(PLANES[:1], split=False)
    pre, post = (_picture(context, reader, role, window) for role in ("pre", "post"))
    shown = burnt.astype(np.uint8)
    shown[np.isnan(probability)] = UNLABELLED
    return EventMap(
        context.config.name, context.grid.pixel_m, pre, post, shown, probability.astype(np.float32)
    )


def areas_m2(context: RunContext) -> NDArray[np.float64]:
    """Area of every landslide of an event's inventory, as it was rasterised."""
    whole = Window(0, 0, *context.grid.shape)
    array = cube.array(open_group(context.config.cube.location), "landslide")
    landslide = cube.read_window(array, whole, UNLABELLED) == 1
    bodies, _ = ndimage.label(landslide, structure=np.ones((3, 3)))
    num_pixels = np.bincount(bodies.ravel())[1:]
    return np.asarray(num_pixels * context.grid.pixel_m**2, dtype=np.float64)


def _window(context: RunContext) -> Window:
    if max(context.grid.shape) <= SHOWN_PX:
        return Window(0, 0, *context.grid.shape)
    test = Part(context.split_location, context.config.split.parts()["test"])
    return telling_window(context.config.cube.location, SHOWN_PX, test)


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
