"""``import landslide4sense``: labelled RGB chips, cut out of patches with landslide masks.

A patch has one date and no place, so it cannot be an event's cube, which is an image before and
one after on a map. What it can be is chips for classification, as Bijie's are: a folder of pictures
with landslides and a folder of pictures without.
"""

import csv
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.progress import console, track
from landslide_dist.sources.chips import TABLE
from landslide_dist.sources.landslide4sense import Patch, find_patches

#: Folders of the chips.
LANDSLIDE, NON_LANDSLIDE = "landslide", "non_landslide"


@dataclass(frozen=True)
class Chip:
    """One chip, as the table has it.

    Attributes:
        file: Path below the folder of chips.
        label: ``landslide`` or ``non_landslide``.
        patch: Name of the patch it is cut out of: chips of one patch come into one part.
        row: First pixel in it.
        column: First pixel in it.
        landslide_share: Share of landslide pixels.
    """

    file: str
    label: str
    patch: str
    row: int
    column: int
    landslide_share: float


def import_landslide4sense(
    folder: str | Path, out: str | Path, chip_px: int = 64, min_share: float = 0.05
) -> list[Chip]:
    """Cut Landslide4Sense patches into chips of two classes.

    Every patch is cut into squares side by side. A chip without a landslide pixel is
    ``non_landslide``; one with ``min_share`` or more is ``landslide``; one between is left out,
    since a few pixels at its edge say little of what it shows.

    Args:
        folder: Images and masks; see :func:`~landslide_dist.sources.landslide4sense.find_patches`.
        out: Folder that is made: ``landslide/``, ``non_landslide/`` and ``chips.csv``.
        chip_px: Side of a chip.
        min_share: Least share of landslide pixels.

    Returns:
        A row a chip.

    Raises:
        ConfigError: The folder of chips has something in it, or no patch is as large as a chip.
        DataError: Files are missing or broken.
        StoreError: Chips cannot be written.
    """
    out = Path(out)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ConfigError(f"{str(out)!r} is there already: give a folder that is empty, or none")
    patches = find_patches(folder)
    chips: list[Chip] = []
    num_few = 0
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # What fails leaves nothing behind: the folder takes its name when it is whole.
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as unfinished:
            whole = Path(unfinished) / "chips"
            for label in (LANDSLIDE, NON_LANDSLIDE):
                (whole / label).mkdir(parents=True)
            for patch in track(patches, "cutting chips", total=len(patches)):
                for chip, colours in _cut(patch, chip_px, min_share):
                    if chip is None:
                        num_few += 1
                        continue
                    Image.fromarray(np.moveaxis(colours, 0, 2)).save(whole / chip.file)
                    chips.append(chip)
            if not chips:
                raise ConfigError(f"{len(patches)} patches give no chip; try other settings")
            _write_table(whole / TABLE, chips)
            whole.replace(out)
    except OSError as error:
        raise StoreError(f"chips cannot be written to {str(out)!r}: {error.strerror}") from error
    _report(chips, num_few, len(patches), out)
    return chips


def _cut(
    patch: Patch, chip_px: int, min_share: float
) -> Iterator[tuple[Chip | None, NDArray[np.uint8]]]:
    """Chips of a patch with their colours (3, y, x); None for one with few landslide pixels."""
    colours, mask = patch.read()
    height, width = mask.shape
    if chip_px > min(height, width):
        raise ConfigError(
            f"{str(patch.image)!r} has {height} x {width} px, less than a chip of {chip_px}"
        )
    if len(colours) != 3:
        raise DataError(f"{str(patch.image)!r} is grey; chips are cut out of RGB pictures")
    for row in range(0, height - chip_px + 1, chip_px):
        for column in range(0, width - chip_px + 1, chip_px):
            window = (slice(row, row + chip_px), slice(column, column + chip_px))
            share = float(mask[window].mean())
            chip = None
            if share == 0 or share >= min_share:
                label = LANDSLIDE if share else NON_LANDSLIDE
                name = f"{patch.name.replace('/', '_')}_r{row:03d}_c{column:03d}.png"
                chip = Chip(f"{label}/{name}", label, patch.name, row, column, round(share, 6))
            yield chip, colours[:, *window]


def _write_table(path: Path, chips: list[Chip]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Chip)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(chip) for chip in chips)


def _report(chips: list[Chip], num_few: int, num_patches: int, out: Path) -> None:
    count = Counter(chip.label for chip in chips)
    console.print(
        f"import: {num_patches} patches, {count[LANDSLIDE]} chips with landslides, "
        f"{count[NON_LANDSLIDE]} without, {num_few} with few landslide pixels left out, {out}"
    )
    for label in (LANDSLIDE, NON_LANDSLIDE):
        if not count[label]:
            console.print(f"import: no chip is {label}: a classifier needs both", markup=False)
    console.print(
        "import: these patches have one date and no place: chips can train a classifier, but not "
        "event mapping, which compares an image before with one after"
    )
