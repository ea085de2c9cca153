"""One pixel: the value of every layer there, and the highest points that it looks up to."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from pyproj import CRS, Transformer

from landslide_dist.grid import Grid, Window
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.schema import UNLABELLED
from landslide_dist.viewer.layers import Layer
from landslide_dist.viewer.paint import Style, outcomes
from landslide_dist.viewer.window import Extract, read_plane, values_of


@dataclass(frozen=True)
class UphillPoint:
    """The highest pixel at a looking distance, metres in the map."""

    x: float
    y: float
    distance: str
    rise_m: float


@dataclass(frozen=True)
class Readout:
    """What a click shows.

    Attributes:
        x: Centre of the pixel, metres.
        y: The same, northing.
        place: Coordinates in words.
        values: Title and text of each layer.
        uphill: The points that the pixel looks at.
    """

    x: float
    y: float
    place: tuple[str, str]
    values: tuple[tuple[str, str], ...]
    uphill: tuple[UphillPoint, ...]

    def html(self) -> str:
        """A table."""
        rows = "".join(
            f"<tr><td>{escape(title)}</td><td>{escape(text)}</td></tr>"
            for title, text in self.values
        )
        places = "<br>".join(escape(place) for place in self.place)
        return f'<b>Clicked pixel</b><p class="note">{places}</p><table>{rows}</table>'


def read_pixel(layers: Sequence[Layer], grid: Grid, x: float, y: float) -> Readout | None:
    """The values of the pixel at a point, from the sources themselves.

    Returns:
        None where the point lies outside the raster.
    """
    rows, columns = grid.rows_columns(np.array([x]), np.array([y]))
    row, column = int(rows[0]), int(columns[0])
    if not (0 <= row < grid.height and 0 <= column < grid.width):
        return None
    pixel = Window(row, column, 1, 1)
    centre = float(grid.x[column]), float(grid.y[row])
    values, uphill = [], []
    for layer in layers:
        if layer.kind in ("relief", "composite"):
            continue
        if layer.kind == "direction":
            point = _uphill(layer, grid, pixel)
            uphill += [point] if point else []
            text = f"{point.rise_m:+.1f} m, {_bearing(point, *centre)}" if point else "none"
        else:
            text = _text(layer, grid, pixel)
        values.append((layer.title, text))
    return Readout(*centre, _place(grid, *centre), tuple(values), tuple(uphill))


def _text(layer: Layer, grid: Grid, pixel: Window) -> str:
    planes = values_of(layer, 0, pixel)
    value = planes[0][0, 0]
    if layer.kind == "errors":
        style = Style(threshold=layer.threshold, parts=frozenset(range(UNLABELLED)))
        code = int(outcomes(Extract(0, pixel, grid, planes), style)[0, 0])
        return layer.classes[code].name if code in layer.classes else "not labelled"
    if layer.kind == "classes":
        flag = layer.classes.get(int(value))
        return flag.name if flag else "–"
    if not np.isfinite(value):
        return "not labelled" if layer.kind == "share" else "no data"
    if layer.kind == "share":
        return "landslide" if value == 1 else "no landslide"
    units = "" if layer.units in ("", "1") else f" {layer.units}"
    return f"{value:.4g}{units}" if abs(value) < 1000 else f"{value:.1f}{units}"


def _uphill(layer: Layer, grid: Grid, pixel: Window) -> UphillPoint | None:
    source = layer.pyramid.rasters[0]
    index = int(read_plane(source, layer.leading, pixel)[0, 0])
    offsets = ring_offsets(layer.radius_px)
    if index >= len(offsets):
        return None
    dy, dx = (int(number) for number in offsets[index])
    elevation = type(source)(source.location, "elevation")
    there = Window(pixel.y0 + dy, pixel.x0 + dx, 1, 1)
    rise = read_plane(elevation, (), there)[0, 0] - read_plane(elevation, (), pixel)[0, 0]
    distance = layer.key.removeprefix("uphill ")
    return UphillPoint(
        float(grid.x[there.x0]), float(grid.y[there.y0]), f"{distance} m", float(rise)
    )


def _bearing(point: UphillPoint, x: float, y: float) -> str:
    names = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
    degrees = np.degrees(np.arctan2(point.x - x, point.y - y)) % 360
    return f"{degrees:.0f}° {names[round(degrees / 45) % 8]}"


def _place(grid: Grid, x: float, y: float) -> tuple[str, str]:
    crs = CRS.from_user_input(grid.crs)
    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    name = grid.crs if grid.crs.startswith("EPSG") else crs.name
    return (
        f"{abs(latitude):.5f}° {north}, {abs(longitude):.5f}° {east}",
        f"{x:.1f}, {y:.1f} m ({name})",
    )
