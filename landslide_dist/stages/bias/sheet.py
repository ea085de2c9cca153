"""Detections of a region, drawn at random, for people to check by eye."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from landslide_dist.errors import ConfigError
from landslide_dist.evaluation.bias_blocks import Blocks, sheet_figure
from landslide_dist.stages.bias.region import Placed
from landslide_dist.stages.bias.scene import Survey, cut_blocks
from landslide_dist.whole_file import whole_file, write_whole

#: Detections of a sheet.
NUM_DRAWN = 50
#: What people fill in.
JUDGED = ("landslide", "remark")
HEADINGS = ("block", "longitude", "latitude", "probability", *JUDGED)
#: What people may write of a landslide, in any case; what they leave blank is not judged either.
ANSWERS: dict[str, bool | None] = {
    **dict.fromkeys(("yes", "y", "1", "true"), True),
    **dict.fromkeys(("no", "n", "0", "false"), False),
    **dict.fromkeys(("?", ""), None),
}


@dataclass(frozen=True, eq=False)
class Sheet:
    """Detections to be checked.

    Attributes:
        region: Name of the region.
        threshold: They have at least this probability.
        rows: Of the blocks, in raster order.
        columns: Of the blocks.
        probabilities: Of the blocks.
        table: The CSV file.
        path: Where it goes; the picture goes beside it.
    """

    region: str
    threshold: float
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    table: str
    path: Path

    @property
    def ids(self) -> list[str]:
        """Name of each block; no spreadsheet takes it for a day."""
        return block_ids(self.rows, self.columns)

    @property
    def picture_path(self) -> Path:
        """Where the picture goes."""
        return self.path.with_suffix(".png")

    @property
    def is_kept(self) -> bool:
        """Whether people have begun to fill in a table of these blocks.

        Raises:
            ConfigError: They have, but of other blocks.
        """
        return self._filled_in() is not None

    def judgements(self) -> list[bool | None]:
        """What people saw in each block: whether it shows a landslide; None: not judged.

        Raises:
            ConfigError: The table was filled in for other blocks, or with something else.
        """
        rows = self._filled_in()
        return [None] * len(self.ids) if rows is None else [self._answer(row) for row in rows]

    def _filled_in(self) -> list[dict[str, str]] | None:
        """The table as people left it; None where they have not begun.

        Raises:
            ConfigError: They have, but of other blocks.
        """
        if not self.path.exists():
            return None
        text = self.path.read_bytes().decode("utf-8-sig", errors="replace")
        reader = csv.DictReader(io.StringIO(text))
        rows = [{name: (row.get(name) or "").strip() for name in HEADINGS} for row in reader]
        is_ours = bool(rows) and set(HEADINGS) <= set(reader.fieldnames or ())
        if is_ours and not any(row[name] for row in rows for name in JUDGED):
            return None
        # Blocks may have been sorted, and probabilities rounded.
        if is_ours and sorted(row["block"] for row in rows) == sorted(self.ids):
            return rows
        raise ConfigError(
            f"{str(self.path)!r} was filled in, and not for the blocks that are drawn now: move it "
            "to another name and run bias again"
        )

    def _answer(self, row: dict[str, str]) -> bool | None:
        written = row["landslide"]
        if written.lower() not in ANSWERS:
            raise ConfigError(
                f"{str(self.path)!r}, block {row['block']}: landslide is {written!r}; give yes or "
                "no, or ? where it cannot be told"
            )
        return ANSWERS[written.lower()]

    def write(self, survey: Survey, placed: Placed) -> None:
        """Write the table, unless it is filled in already, and the picture."""
        if not self.is_kept:
            write_whole(self.path, self.table)
        around = cut_blocks(placed.map, self.rows, self.columns, "reflectance", around=1)
        blocks = Blocks("", survey.shown(around), self.probabilities, self.ids)
        title = f"{self.region}: detections from {self.threshold:g}, to be checked"
        picture = sheet_figure(title, blocks, placed.map.block_px)
        with whole_file(self.picture_path) as unfinished:
            unfinished.write_bytes(picture)


def draw_sheet(
    placed: Placed, threshold: float, random: np.random.Generator, folder: Path
) -> Sheet:
    """Draw detections of a region; all of them where there are few.

    Args:
        placed: The region.
        threshold: Probability from which on a block is detected.
        random: What draws.
        folder: Where the sheet goes.
    """
    counted = placed.region.counted
    rows, columns = drawn_blocks(counted >= counted.dtype.type(threshold), NUM_DRAWN, random)
    probabilities = counted[rows, columns]
    cells = placed.map.grid
    degrees = Transformer.from_crs(cells.crs, "EPSG:4326", always_xy=True)
    longitude, latitude = degrees.transform(cells.x[columns], cells.y[rows])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADINGS)
    for name, lon, lat, probability in zip(
        block_ids(rows, columns), longitude, latitude, probabilities, strict=True
    ):
        writer.writerow([name, f"{lon:.6f}", f"{lat:.6f}", f"{probability:.4f}", "", ""])
    path = folder / f"bias_detections_{placed.name}.csv"
    return Sheet(placed.name, threshold, rows, columns, probabilities, text.getvalue(), path)


def drawn_blocks(
    chosen: NDArray[np.bool_], num: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of some blocks of a mask, each as likely, in raster order."""
    found = np.flatnonzero(chosen)
    taken = np.sort(random.choice(found, min(num, len(found)), replace=False))
    rows, columns = np.divmod(taken, chosen.shape[1])
    return rows, columns


def block_ids(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> list[str]:
    """Name of each block: its row and column, from 0 at the upper left."""
    return [f"r{row}c{column}" for row, column in zip(rows.tolist(), columns.tolist(), strict=True)]
