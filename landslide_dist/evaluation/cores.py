"""Scores of the labelled pixels of patches: no map of the whole region is needed.

What was counted is kept in a file under a fingerprint of all that it depends on, so that a killed
experiment does not count again.
"""

import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.grid import Window
from landslide_dist.kernels.scores import NUM_BINS, ScoreCounts
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import PatchReader
from landslide_dist.whole_file import whole_file

#: Probability of the pixels of a window inside the raster.
Predict = Callable[[Window], NDArray[Any]]


def count_parts(
    predict: Predict,
    reader: PatchReader,
    index: PatchIndex,
    parts: Mapping[str, frozenset[int]],
) -> dict[str, ScoreCounts]:
    """Counts of the labelled pixels of each part.

    Args:
        predict: Probability of the pixels of a window.
        reader: Gives ``landslide`` and ``split``.
        index: Patches of every part.
        parts: Part -> values of the split raster.
    """
    together = index.select(frozenset[int]().union(*parts.values()))
    cores = (Window(y0, x0, index.core_px, index.core_px) for y0, x0 in together.origins.tolist())
    return count_windows(predict, reader, cores, parts)


def count_windows(
    predict: Predict,
    reader: PatchReader,
    windows: Iterable[Window],
    parts: Mapping[str, frozenset[int]],
) -> dict[str, ScoreCounts]:
    """The same over some windows; those without a label of any part are not predicted."""
    counts = {part: ScoreCounts.zero() for part in parts}
    for window in windows:
        labels = reader.read(window, ("landslide", "split"))
        of_part = {part: np.isin(labels["split"], sorted(v)) for part, v in parts.items()}
        if not any(mine.any() for mine in of_part.values()):
            continue
        probability = predict(window)
        for part, mine in of_part.items():
            if mine.any():
                counts[part] += ScoreCounts.from_block(probability[mine], labels["landslide"][mine])
    return counts


def keep_counts(path: str, fingerprint: str, counts: Mapping[str, ScoreCounts]) -> None:
    """Write the counts of parts; only bins that hold pixels, so a file is small."""
    arrays: dict[str, NDArray[Any]] = {}
    for part, one in counts.items():
        bins = np.flatnonzero(one.positive + one.negative)
        arrays[f"{part}-bins"] = np.stack([bins, one.positive[bins], one.negative[bins]])
        arrays[f"{part}-sums"] = np.array([one.nll_sum, one.brier_sum])
    keep(path, fingerprint, arrays)


def kept_counts(path: str, fingerprint: str) -> dict[str, ScoreCounts] | None:
    """Counts as they were written under this fingerprint; None where they are not there."""
    arrays = kept(path, fingerprint)
    if arrays is None:
        return None
    return {
        name.removesuffix("-bins"): _dense(bins, arrays[name.replace("-bins", "-sums")])
        for name, bins in arrays.items()
        if name.endswith("-bins")
    }


def keep(path: str, fingerprint: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays under a fingerprint."""
    named: dict[str, Any] = {"fingerprint": np.array(fingerprint), **arrays}
    with whole_file(path) as unfinished:
        np.savez_compressed(unfinished, **named)


def kept(path: str, fingerprint: str) -> dict[str, NDArray[Any]] | None:
    """Arrays as they were written under this fingerprint; None where they are not there."""
    try:
        # numpy leaves a file open that it opened itself and cannot make sense of.
        with Path(path).open("rb") as file, np.load(file) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile):
        return None
    return arrays if str(arrays.pop("fingerprint", "")) == fingerprint else None


def _dense(bins: NDArray[np.int64], sums: NDArray[np.float64]) -> ScoreCounts:
    positive, negative = np.zeros((2, NUM_BINS), dtype=np.int64)
    positive[bins[0]], negative[bins[0]] = bins[1], bins[2]
    return ScoreCounts(positive, negative, float(sums[0]), float(sums[1]))
