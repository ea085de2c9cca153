"""What ``bias`` shows of a scene: a picture of the whole, its values, single blocks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from landslide_dist.grid import Grid, Window
from landslide_dist.inference.scene import WHITE
from landslide_dist.kernels.histogram import count_values, num_values
from landslide_dist.stages.bias.region import rows_at_once
from landslide_dist.stages.chips.scenes import SceneMap
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

#: Longer side of the picture of a scene, pixels, unless it has more blocks.
PICTURE_PX = 1200
#: Shares of the values that are drawn black and white.
DARKEST, LIGHTEST = 0.01, 0.99
NUM_COLOURS = 3


@dataclass(frozen=True, eq=False)
class Survey:
    """A scene as a whole.

    Attributes:
        picture: ``(y, x, 3)`` from 0 to 1, NaN where not clear: of the blocks' ground.
        before: ``(3, 256)`` clear pixels of each value, as images are shown unmatched.
        after: The same of the matched scene; None where it is not matched.
        black: Reflectance that is drawn black.
        white: And white.
    """

    picture: NDArray[np.float32]
    before: NDArray[np.int64]
    after: NDArray[np.int64] | None
    black: float
    white: float

    def shown(self, reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Reflectance as the picture has it, from 0 to 1."""
        scaled = (reflectance - np.float32(self.black)) / np.float32(self.white - self.black)
        return np.asarray(np.clip(scaled, 0, 1))


def survey(drawn: SceneMap) -> Survey:
    """Read a scene once, some thousand pixels on a side at a time."""
    cells, side = drawn.grid, drawn.block_px
    step = _step(cells, side)
    fine = side // step
    group = open_group(drawn.run.cube.location)
    names = [drawn.task.variable] if drawn.task.variable == "matched" else []
    counts = {
        name: np.zeros((NUM_COLOURS, num_values(cube.array(group, name).dtype)), dtype=np.int64)
        for name in ("reflectance", *names)
    }
    picture = np.empty((cells.height * fine, cells.width * fine, NUM_COLOURS), dtype=np.float32)
    for window in cells.windows(rows_at_once(side)):
        pixels = Window(*(side * n for n in (window.y0, window.x0, *window.shape)))
        valid = cube.read_window(cube.array(group, "valid"), pixels, 0, (0,))
        place = Window(*(fine * n for n in (window.y0, window.x0, *window.shape)))
        for name, counted in counts.items():
            colours = cube.read_window(cube.array(group, name), pixels, 0, (0,))
            for band in range(NUM_COLOURS):
                counted[band] += count_values(colours[band], valid, counted.shape[1])
            if name == "reflectance":
                picture[place.slices] = _shrunk(colours, valid, step)
    whole = counts["reflectance"].sum(axis=0).cumsum()
    shares = np.searchsorted(whole, [DARKEST * whole[-1], LIGHTEST * whole[-1]])
    black, white = float(shares[0]), float(max(shares[1], shares[0] + 1))
    found = Survey(picture, _as_colours(counts["reflectance"]), counts.get("matched"), black, white)
    return Survey(found.shown(picture), found.before, found.after, black, white)


def cut_blocks(
    drawn: SceneMap, rows: NDArray[np.int64], columns: NDArray[np.int64], name: str, around: int = 0
) -> NDArray[np.float32]:
    """Single blocks of a scene, with as many others around as asked for.

    Args:
        drawn: Map of the scene.
        rows: Of the blocks.
        columns: Of the blocks.
        name: Variable that is shown.
        around: Blocks on each side.

    Returns:
        ``(block, y, x, 3)`` values as they are stored; NaN where not clear or beyond the scene.
    """
    side = drawn.block_px
    group = open_group(drawn.run.cube.location)
    size = (2 * around + 1) * side
    out = np.full((len(rows), size, size, NUM_COLOURS), np.nan, dtype=np.float32)
    for block, row, column in zip(out, rows.tolist(), columns.tolist(), strict=True):
        window = Window(row * side, column * side, side, side).expand(around * side)
        colours = cube.read_window(cube.array(group, name), window, 0, (0,))
        clear = cube.read_window(cube.array(group, "valid"), window, 0, (0,)) == 1
        block[clear] = np.moveaxis(colours, 0, -1)[clear]
    return out


def as_seen(drawn: SceneMap, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values of what the classifier reads, as it sees them: from 0 to 1."""
    white = 255 if drawn.task.variable == "matched" else WHITE
    return np.minimum(values / white, 1)


def _step(cells: Grid, side: int) -> int:
    """Pixels on a side of a picture's pixel: the least part of a block that keeps it small."""
    parts = [n for n in range(1, side + 1) if side % n == 0]
    return next((n for n in parts if max(cells.shape) * side / n <= PICTURE_PX), side)


def _shrunk(
    colours: NDArray[np.uint16], valid: NDArray[np.uint8], step: int
) -> NDArray[np.float32]:
    """Mean of the clear pixels in squares, ``(y, x, 3)``; NaN where there are none."""
    _, height, width = colours.shape
    parted = (height // step, step, width // step, step)
    clear = valid == 1
    count = clear.reshape(parted).sum(axis=(1, 3))[..., None]
    total = np.where(clear, colours, 0).reshape(NUM_COLOURS, *parted).sum(axis=(2, 4))
    mean = np.moveaxis(total, 0, -1) / np.where(count > 0, count, np.nan)
    return np.asarray(mean, dtype=np.float32)


def _as_colours(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts of reflectance as counts of the 256 values of a picture that is not matched."""
    value = np.minimum(np.arange(counts.shape[1]) * (255 / WHITE), 255).astype(np.int64)
    return np.stack(
        [np.bincount(value, weights=band, minlength=256).astype(np.int64) for band in counts]
    )
