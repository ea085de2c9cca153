"""What a viewer can show of a run: a layer for each variable, prediction and error map."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import zarr

from landslide_dist import colours
from landslide_dist.kernels.rings import ring_radii
from landslide_dist.schema import PROBABILITY, TRUE_PROBABILITY
from landslide_dist.store.levels import (
    Pyramid,
    Raster,
    Reduction,
    coordinate,
    dimensions,
    flags_of,
)
from landslide_dist.store.location import open_group
from landslide_dist.viewer.palette import (
    DIRECTION,
    GREY,
    RELIEF,
    SEQUENTIAL,
    SLOPE,
    class_colours,
    susceptible,
)

Kind = Literal[
    "relief", "continuous", "probability", "share", "classes", "direction", "errors", "composite"
]  # fmt: skip
#: Headings of the list of layers, in its order.
GROUPS = ("Terrain", "Maps", "Labels", "Predictions", "Errors", "Images")


REFLECTANCE, VALID = "reflectance", "valid"
RGB = ("red", "green", "blue")


@dataclass(frozen=True)
class Flag:
    """A class of a map."""

    name: str
    colour: str


@dataclass(frozen=True)
class Layer:
    """Something that can be drawn.

    Attributes:
        key: Name in the list of layers, unique.
        title: What users read.
        group: Heading it stands under.
        kind: How values become colours.
        pyramid: Where its values are; of errors: label, probability, part; of images: their
            reflectance, and where it is clear.
        leading: Index of the leading dimensions, e.g. of the looking distance.
        bands: Of a composite: which bands are red, green and blue.
        units: Of the values.
        colours: From low to high.
        classes: Code -> name and colour.
        radius_px: Of a direction: the ring that is looked at.
        threshold: Of errors: probability from which a landslide is predicted.
        borders: Of a probability: those of its classes; empty where none were chosen.
    """

    key: str
    title: str
    group: str
    kind: Kind
    pyramid: Pyramid
    leading: tuple[int, ...] = ()
    bands: tuple[int, ...] = ()
    units: str = ""
    colours: tuple[str, ...] = ()
    classes: Mapping[int, Flag] = field(default_factory=dict, hash=False)
    radius_px: int = 0
    threshold: float = 0.5
    borders: tuple[float, ...] = ()

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Prediction:
    """A model's map, the threshold that its landslides are told by, borders of its classes."""

    location: str
    threshold: float = 0.5
    borders: tuple[float, ...] = ()


def find_layers(
    cube_location: str,
    predictions: Mapping[str, Prediction],
    split_location: str | None,
    parts: Mapping[str, frozenset[int]],
    view: Callable[[str], str],
    without: Collection[str] = (),
) -> list[Layer]:
    """All layers of a run, in the order of the list.

    Args:
        cube_location: The cube.
        predictions: Finished maps by model.
        split_location: Group of ``split``; None where there is none yet.
        parts: Values of ``split`` by part.
        view: Name of a pyramid -> its Zarr group.
        without: Variables of the cube that are left out.
    """
    group = open_group(cube_location)
    found: list[Layer] = []
    for name, array in sorted(group.arrays()):
        if dimensions(array)[-2:] == ("y", "x") and name not in without:
            found += _of_variable(Raster(cube_location, name), array, view)
    for name, prediction in predictions.items():
        found += _predicted(name, prediction, view)
    if split_location is not None:
        found.append(_parts(split_location, parts, view))
        if "landslide" in group:
            labels = Raster(cube_location, "landslide")
            split = Raster(split_location, "split")
            found += [_errors(n, p, labels, split, view) for n, p in predictions.items()]
    return sorted(found, key=lambda layer: GROUPS.index(layer.group))


def _of_variable(
    raster: Raster, array: zarr.Array[Any], view: Callable[[str], str]
) -> Iterator[Layer]:
    name, attributes = raster.variable, array.attrs.asdict()
    units = str(attributes.get("units", ""))
    title = name.replace("_", " ").capitalize()

    def pyramid(reduction: Reduction) -> Pyramid:
        return Pyramid.of(view(name), [raster], reduction)

    if name == "elevation":
        yield Layer("hillshade", "Hillshade", "Terrain", "relief", pyramid("mean"), colours=RELIEF)
        yield Layer(
            name, title, "Terrain", "continuous", pyramid("mean"), units=units,
            colours=colours.TERRAIN,
        )  # fmt: skip
    elif name == "uphill":
        yield from _directions(raster, pyramid("sample"))
    elif name == "landslide":
        yield Layer(
            name, "Landslides", "Labels", "share", pyramid("mean"),
            colours=(colours.LANDSLIDE,), units="share",
        )  # fmt: skip
    elif name == TRUE_PROBABILITY.name:
        yield Layer(
            name, "True probability", "Predictions", "probability", pyramid("mean"),
            colours=colours.SUSCEPTIBILITY,
        )  # fmt: skip
    elif array.ndim > 2:
        yield from _images(raster, array, view)
    elif "flag_values" in attributes:
        yield Layer(name, title, "Maps", "classes", pyramid("mode"), classes=_flags(attributes))
    else:
        shown = SLOPE if name == "slope" else SEQUENTIAL
        yield Layer(
            name, title, "Terrain", "continuous", pyramid("mean"),
            units="°" if units == "degree" else units, colours=shown,
        )  # fmt: skip


def _directions(raster: Raster, pyramid: Pyramid) -> Iterator[Layer]:
    distances = coordinate(open_group(raster.location), "distance")
    radii = ring_radii(distances, pyramid.grid.pixel_m)
    for index, (distance, radius) in enumerate(zip(distances, radii, strict=True)):
        yield Layer(
            f"uphill {distance:g}", f"Uphill direction, {distance:g} m", "Terrain", "direction",
            pyramid, (index,), units="°", colours=DIRECTION, radius_px=radius,
        )  # fmt: skip


def _images(raster: Raster, array: zarr.Array[Any], view: Callable[[str], str]) -> Iterator[Layer]:
    """Composites of the three colours where there are such bands, then each plane by itself."""
    group, attributes = open_group(raster.location), array.attrs.asdict()
    classes = _flags(attributes)
    pyramid = _image_pyramid(raster, view, "mode" if classes else "mean")
    names = [
        _step_names(group, size) if dim == "time" else _names(group, dim, size)
        for dim, size in zip(dimensions(array)[:-2], array.shape[:-2], strict=True)
    ]
    if raster.variable == REFLECTANCE and set(RGB) <= set(names[1]):
        bands = tuple(names[1].index(band) for band in RGB)
        for step, name in enumerate(names[0]):
            yield Layer(
                f"composite {name}", f"RGB composite, {name}", "Images", "composite", pyramid,
                (step,), bands, str(attributes.get("units", "")),
            )  # fmt: skip
    for index in np.ndindex(*array.shape[:-2]):
        key = " ".join([raster.variable, *(names[axis][i] for axis, i in enumerate(index))])
        yield Layer(
            key, key.capitalize(), "Images", "classes" if classes else "continuous", pyramid,
            tuple(index), units=str(attributes.get("units", "")), colours=GREY, classes=classes,
        )  # fmt: skip


def _image_pyramid(raster: Raster, view: Callable[[str], str], reduction: Reduction) -> Pyramid:
    """Of reflectance: the mean of what is clear, where the cube tells."""
    rasters = [raster]
    if raster.variable == REFLECTANCE and VALID in open_group(raster.location):
        rasters, reduction = [raster, Raster(raster.location, VALID)], "clear"
    return Pyramid.of(view(raster.variable), rasters, reduction)


def _step_names(group: zarr.Group, size: int) -> list[str]:
    """Dates of images, with what they are to the event: two may be of one day."""
    dates = _names(group, "time", size)
    if "role" not in group or "pair" not in group:
        return dates
    roles, pairs = coordinate(group, "role"), coordinate(group, "pair")
    several = len(set(pairs)) > 1
    return [
        f"{date} {role}" + (f" {pair}" if several else "")
        for date, role, pair in zip(dates, roles, pairs, strict=True)
    ]


def _names(group: zarr.Group, dim: str, size: int) -> list[str]:
    """Values of a dimension's coordinate, or their numbers."""
    return [str(v) for v in coordinate(group, dim)] if dim in group else list(map(str, range(size)))


def _predicted(name: str, prediction: Prediction, view: Callable[[str], str]) -> Iterator[Layer]:
    """The probability, and what else the map holds: its spread, its classes."""
    group = open_group(prediction.location)
    arrays = {n: a for n, a in group.arrays() if dimensions(a) == ("y", "x")}
    for variable in sorted(arrays, key=lambda other: (other != PROBABILITY.name, other)):
        attributes = arrays[variable].attrs.asdict()
        flags = _class_flags(attributes)
        pyramid = Pyramid.of(
            view(f"{variable}-{name}"), [Raster(prediction.location, variable)],
            "mode" if flags else "mean",
        )  # fmt: skip
        title = str(attributes.get("long_name", variable))
        is_probability = variable == PROBABILITY.name
        yield Layer(
            f"{variable} {name}", f"{title[:1].upper()}{title[1:]}, {name}", "Predictions",
            "classes" if flags else "probability" if is_probability else "continuous", pyramid,
            colours=colours.SUSCEPTIBILITY if is_probability else SEQUENTIAL, classes=flags,
            threshold=prediction.threshold, borders=prediction.borders,
        )  # fmt: skip


def _class_flags(attributes: Mapping[str, Any]) -> dict[int, Flag]:
    """Classes of a probability, light to dark."""
    names = flags_of(attributes)
    names.pop(int(attributes.get("nodata", -1)), None)
    coloured = zip(names.items(), susceptible(len(names)), strict=True)
    return {code: Flag(name, colour) for (code, name), colour in coloured}


def _parts(location: str, parts: Mapping[str, frozenset[int]], view: Callable[[str], str]) -> Layer:
    pyramid = Pyramid.of(view("split"), [Raster(location, "split")], "mode")
    classes = {
        value: Flag(part, colours.PARTS[part]) for part, values in parts.items() for value in values
    }
    return Layer("split", "Partition of labels", "Labels", "classes", pyramid, classes=classes)


def _errors(
    name: str,
    prediction: Prediction,
    labels: Raster,
    split: Raster,
    view: Callable[[str], str],
) -> Layer:
    rasters = [labels, Raster(prediction.location, PROBABILITY.name), split]
    pyramid = Pyramid.of(view(f"errors-{name}"), rasters, "sample")
    return Layer(
        f"errors {name}", f"Errors, {name}", "Errors", "errors", pyramid,
        classes=OUTCOMES, threshold=prediction.threshold,
    )  # fmt: skip


#: Label and prediction at a labelled pixel: 2 x landslide + predicted landslide.
OUTCOMES: Mapping[int, Flag] = {
    3: Flag("landslide, predicted", "#009E73"),
    2: Flag("landslide, missed", "#D55E00"),
    1: Flag("false alarm", "#E69F00"),
    0: Flag("no landslide, none predicted", "#c3d3dd"),
}


def _flags(attributes: Mapping[str, Any]) -> dict[int, Flag]:
    """Classes of a map in the order of its codes; its nodata is grey."""
    names = flags_of(attributes)
    known = [code for code in names if code != attributes.get("nodata")]
    coloured = dict(zip(known, class_colours(len(known)), strict=True))
    return {code: Flag(name, coloured.get(code, colours.OTHER)) for code, name in names.items()}
