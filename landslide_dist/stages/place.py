"""Which window of a region a command is about, as a user says it: in the cube's CRS."""

import math
from dataclasses import dataclass

from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.panel import telling_window
from landslide_dist.grid import Grid, Window


@dataclass(frozen=True)
class Place:
    """A window, and the pixel in it that matters.

    Attributes:
        bounds: Left, bottom, right, top; None for a square.
        centre: Of the square; None for the pixel ``at``, or where the most landslides are.
        side_m: Side of the square.
        at: The place whose pixel is explained; None for all pixels of the window.
    """

    bounds: tuple[float, ...] | None = None
    centre: tuple[float, ...] | None = None
    side_m: float = 2000.0
    at: tuple[float, ...] | None = None

    def window(self, location: str, grid: Grid) -> Window:
        """Pixels of the window, cut to the region.

        Args:
            location: The cube, whose landslides are looked at where no place is given.
            grid: Its grid.

        Raises:
            ConfigError: It lies outside the region.
        """
        bounds, centre = self.bounds, self.centre or self.at
        if bounds is None and centre is None:
            return telling_window(location, max(1, round(self.side_m / grid.pixel_m)))
        if bounds is None and centre is not None:
            (x, y), half = centre, self.side_m / 2
            bounds = (x - half, y - half, x + half, y + half)
        assert bounds is not None
        left, bottom, right, top = bounds
        x0, x1 = (round((x - grid.transform.c) / grid.pixel_m) for x in (left, right))
        y0, y1 = (round((grid.transform.f - y) / grid.pixel_m) for y in (top, bottom))
        window = Window(y0, x0, y1 - y0, x1 - x0).clip(grid.shape)
        if not (window.height and window.width):
            raise ConfigError(
                f"the window of left, bottom, right, top {bounds} holds no pixel of the region, "
                f"which is {tuple(round(b) for b in grid.bounds)} in {grid.crs.partition('[')[0]}"
            )
        return window

    def pixel(self, grid: Grid, window: Window) -> tuple[int, int] | None:
        """Row and column of the pixel that matters; None for all.

        Raises:
            ConfigError: It is not in the window.
        """
        if self.at is None:
            return None
        x, y = self.at
        row = int((grid.transform.f - y) // grid.pixel_m)
        column = int((x - grid.transform.c) // grid.pixel_m)
        if not (window.y0 <= row < window.y1 and window.x0 <= column < window.x1):
            raise ConfigError(f"the place {self.at} is not in the window that is to be shown")
        return row, column


def numbers(option: str, text: str | None, count: int) -> tuple[float, ...] | None:
    """Numbers between commas; None where there is no text.

    Args:
        option: What they were given for, for the message.
        text: E.g. ``"600000,5100000"``.
        count: How many there must be.

    Raises:
        ConfigError: They are not so many numbers.
    """
    if text is None:
        return None
    try:
        found = tuple(float(number) for number in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ConfigError(f"{option} {text!r} is not {count} numbers with commas between them")
    return found
