"""Labelled image chips: pictures in folders (Bijie), or squares cut out of images with masks."""

import csv
import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial
from io import BytesIO, StringIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landslide_dist.config.chips import ChipSource, CroppedChips, PictureChips
from landslide_dist.config.imagery import COLOURS
from landslide_dist.errors import DataError
from landslide_dist.kernels.histogram import count_values, num_values
from landslide_dist.progress import console, track
from landslide_dist.sources.chips import NUM_COLOURS, TABLE, ChipFile, files_matching
from landslide_dist.sources.files import reason, some
from landslide_dist.sources.landslide4sense import find_patches

#: Pictures behind URLs that are fetched at a time: each waits for its server.
NUM_FETCHED = 16


@dataclass(frozen=True, eq=False)
class LabelledChips:
    """Chips of one size.

    Attributes:
        images: ``(chip, 3, y, x)`` uint8 red, green, blue.
        labels: ``(chip,)`` uint8, 1 with a landslide.
        groups: ``(chip,)`` int64, the same for chips that were cut out of one image.
        names: What each is called: the file's path or URL, and the corner of a square.
        masks: ``(chip, y, x)`` bool, where landslides are; None where that is not known.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    groups: NDArray[np.int64]
    names: tuple[str, ...]
    masks: NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def digest(self) -> str:
        """Fingerprint of images and labels."""
        sha256 = hashlib.sha256(self.images.tobytes())
        sha256.update(self.labels.tobytes())
        return sha256.hexdigest()

    def counts(self, chosen: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
        """Pixels of each value of some chips: name of a colour -> ``(256,)`` int64."""
        images = self.images[chosen]
        size = num_values(np.uint8)
        return {
            colour: count_values(images[:, band].reshape(len(images), -1), None, size)
            for band, colour in enumerate(COLOURS)
        }


def open_chips(config: ChipSource) -> LabelledChips:
    """Read all chips of a source.

    Raises:
        DataError: There are none of a class, a file is broken or is not 8-bit RGB, a mask is
            missing or of another size, or a table beside pictures leaves one out.
    """
    chips = _pictures(config) if isinstance(config, PictureChips) else _crops(config)
    num_landslides = int(chips.labels.sum())
    if num_landslides in (0, len(chips)):
        raise DataError(
            f"chips of {_place(config)!r}: {num_landslides} of {len(chips)} show a landslide; "
            "a classifier needs some with and some without"
        )
    return chips


def _place(config: ChipSource) -> str:
    return config.landslide if isinstance(config, PictureChips) else config.folder


def _pictures(config: PictureChips) -> LabelledChips:
    found = [_files(pattern) for pattern in (config.landslide, config.other)]
    ours, others = ([file.path for file in files] for files in found)
    if both := sorted(set(ours) & set(others)):
        raise DataError(f"{some(both)} is among the chips with and without landslides")
    files, paths = [*found[0], *found[1]], (*ours, *others)
    labels = np.repeat(np.array([1, 0], dtype=np.uint8), [len(ours), len(others)])
    groups = _groups(files)
    images = _read_all(partial(_colours, size_px=config.size_px), "reading chips", files)
    masks = None
    if config.masks is not None:
        names = [os.path.join(config.masks, os.path.basename(path)) for path in paths]
        of_chips = [ChipFile.of(name) for name in names]
        read = partial(_mask_of, size_px=config.size_px)
        masks = _read_all(read, "reading masks", files, of_chips)
        _check_masks(paths, labels, masks)
    return LabelledChips(images, labels, groups, paths, masks)


def _files(pattern: str) -> list[ChipFile]:
    files = files_matching(pattern)
    if not files:
        listed = ", and the server must list them" if pattern.startswith("http") else ""
        raise DataError(f"no chips are found by {pattern!r}: it must match picture files{listed}")
    return files


def _groups(files: Sequence[ChipFile]) -> NDArray[np.int64]:
    """Group of each picture: that of its patch where a table tells it, else its own.

    The table lies in the picture's folder or in the one above, where `import` writes it.
    """
    # A table is looked for once, not once a picture.
    patches_in = cache(_patches)
    keys: list[tuple[str, ...]] = []
    for file in files:
        path = os.path.abspath(file.path) if file.fs is None else file.path
        folder, name = os.path.split(path)
        above, own = os.path.split(folder)
        key: tuple[str, ...] = (path,)
        for place, listed in ((folder, name), (above, f"{own}/{name}")):
            patches = patches_in(place)
            if patches is not None:
                if not patches.get(listed):
                    raise DataError(
                        f"{TABLE} in {place!r} has no patch of {listed!r}: give the picture a row "
                        "of its file and patch, or take the table away"
                    )
                key = (place, patches[listed])
                break
        keys.append(key)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def _patches(folder: str) -> dict[str, str] | None:
    """File -> patch that it was cut out of; None where no table in the folder tells it."""
    table = ChipFile.of(f"{folder}/{TABLE}")
    try:
        if not table.exists:
            return None
    except DataError as error:
        # S3 refuses to say that nothing is there where the identity may not list.
        console.print(f"chips: no table of patches is read: {error}")
        return None
    content = table.to_read()
    try:
        raw = content.getvalue() if isinstance(content, BytesIO) else Path(content).read_bytes()
        rows = csv.DictReader(StringIO(raw.decode("utf-8-sig"), newline=""))
        if "patch" not in (rows.fieldnames or ()):
            return None
        return {row.get("file", ""): row["patch"] for row in rows}
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{table.path!r} cannot be read as a table: {reason(error)}") from error


def _read_all(
    read: Callable[..., NDArray[Any]], label: str, *files: Sequence[ChipFile]
) -> NDArray[Any]:
    """What is read of each file, or of those that go together."""
    is_remote = any(file.fs is not None for file in chain(*files))
    with ThreadPoolExecutor(NUM_FETCHED if is_remote else os.cpu_count()) as pool:
        try:
            return np.stack(list(track(pool.map(read, *files), label, total=len(files[0]))))
        finally:
            # After an error only what is being read already is waited for.
            pool.shutdown(cancel_futures=True)


def _colours(file: ChipFile, size_px: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.moveaxis(_picture(file, size_px, ("RGB", "RGBA")), -1, 0))


def _picture(file: ChipFile, size_px: int, modes: tuple[str, ...]) -> NDArray[np.uint8]:
    content = file.to_read()
    try:
        with Image.open(content) as image:
            if image.mode not in modes:
                raise DataError(
                    f"{file.path!r} is a picture of mode {image.mode}; it must be 8-bit "
                    f"{' or '.join(modes)}: keep masks and other pictures in another folder"
                )
            colours = image.convert(modes[0])
            if colours.size != (size_px, size_px):
                # Whole, as in the paper: a chip that is not square is squeezed.
                colours = colours.resize((size_px, size_px), Image.Resampling.BILINEAR)
            return np.asarray(colours)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow knows no name of what was fetched.
        why = reason(error).replace(repr(content), repr(file.path))
        raise DataError(f"{file.path!r} cannot be read as a picture: {why}") from error


def _mask_of(chip: ChipFile, mask: ChipFile, size_px: int) -> NDArray[np.bool_]:
    if not mask.exists:
        raise DataError(
            f"chip {chip.path!r} has no mask {mask.path!r}; chips.masks: null leaves masks out"
        )
    return _picture(mask, size_px, ("L", "1")) >= 1


def _check_masks(paths: Sequence[str], labels: NDArray[np.uint8], masks: NDArray[np.bool_]) -> None:
    for number in np.flatnonzero(masks.any(axis=(1, 2)) & (labels == 0)).tolist():
        raise DataError(
            f"chip {paths[number]!r} is among those without landslides but its mask has one"
        )


def _crops(config: CroppedChips) -> LabelledChips:
    """Squares side by side from the upper left; those with but a little landslide are left out."""
    images, labels, groups, names, masks = [], [], [], [], []
    left_out, side = 0, config.size_px
    patches = find_patches(config.folder)
    for number, patch in enumerate(track(patches, "cutting chips", total=len(patches))):
        colours, mask = patch.read()
        for y, x in np.ndindex(mask.shape[0] // side, mask.shape[1] // side):
            part = (slice(y * side, (y + 1) * side), slice(x * side, (x + 1) * side))
            share = float(mask[part].mean())
            if 0 < share < config.min_share:
                left_out += 1
                continue
            images.append(colours[(slice(None), *part)])
            labels.append(share > 0)
            groups.append(number)
            names.append(f"{patch.name}, row {y * side}, column {x * side}")
            masks.append(mask[part])
    if not images:
        raise DataError(
            f"no square of {side} px lies in the images of {config.folder!r}: lower size_px"
        )
    if left_out:
        console.print(
            f"chips: {left_out} squares of {Path(config.folder).name} have a landslide on less "
            f"than {config.min_share:.0%} and are left out"
        )
    stacked = np.stack(images).reshape(len(images), NUM_COLOURS, side, side)
    found = np.array(labels, dtype=np.uint8)
    chosen = _some_of_each(found, config.per_class)
    some_names = tuple(names[number] for number in chosen)
    of_image = np.array(groups, dtype=np.int64)[chosen]
    return LabelledChips(
        stacked[chosen], found[chosen], of_image, some_names, np.stack(masks)[chosen]
    )


def _some_of_each(labels: NDArray[np.uint8], limit: int | None) -> NDArray[np.int64]:
    """Chips that are kept of each class, in their order; the same in every run."""
    if limit is None:
        return np.arange(len(labels))
    random = np.random.Generator(np.random.Philox(0))
    members = [np.flatnonzero(labels == value) for value in (0, 1)]
    kept = [random.permutation(chips)[:limit] for chips in members]
    return np.sort(np.concatenate(kept))
