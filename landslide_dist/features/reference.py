"""What scenes are matched to: how often each value occurs in each band; kept as a JSON file."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from landslide_dist.errors import DataError
from landslide_dist.kernels.histogram import num_values
from landslide_dist.whole_file import write_whole


@dataclass(frozen=True, eq=False)
class Reference:
    """How often each value occurs in each band of what others are matched to.

    Attributes:
        counts: Name of a band -> int64 pixels of each value from 0, 256 or 65,536 values.
        dtype: ``uint8`` or ``uint16``, of the pixels that were counted.
    """

    counts: Mapping[str, NDArray[np.int64]]
    dtype: str

    def __post_init__(self) -> None:
        due = num_values(self.dtype)
        if not self.counts:
            raise DataError("a reference needs at least one band")
        for band, counts in self.counts.items():
            if counts.shape != (due,) or counts.min() < 0:
                raise DataError(
                    f"reference band {band!r} has counts of shape {counts.shape}; {self.dtype} "
                    f"needs {due}, none below 0"
                )
            if not counts.any():
                raise DataError(f"reference band {band!r} has no valid pixels")

    @classmethod
    def from_counts(cls, counts: Mapping[str, ArrayLike] | xr.DataArray) -> "Reference":
        """Take counts of each band, 256 of uint8 or 65,536 of uint16.

        Args:
            counts: Name of a band -> counts, or what
                :func:`~landslide_dist.features.match.count` gives for ``(band, y, x)``, computed.

        Raises:
            DataError: They are lazy, of another shape, or a band has no pixels.
        """
        if isinstance(counts, xr.DataArray):
            if counts.dims != ("band", "value") or counts.chunks is not None:
                raise DataError(
                    f"counts of a reference have dims {counts.dims}; they must be computed and of "
                    "dims band, value"
                )
            counts = dict(zip(band_names(counts), counts.to_numpy(), strict=True))
        arrays = {band: np.asarray(values, dtype=np.int64) for band, values in counts.items()}
        longest = max((array.size for array in arrays.values()), default=0)
        return cls(arrays, "uint8" if longest <= num_values(np.uint8) else "uint16")

    @classmethod
    def pool(cls, references: Iterable["Reference"]) -> "Reference":
        """One reference of all pixels of several.

        Raises:
            DataError: There is none, or they differ in bands or dtype.
        """
        pooled = list(references)
        if not pooled:
            raise DataError("there are no references to pool")
        first, *others = pooled
        for other in others:
            if set(other.counts) != set(first.counts) or other.dtype != first.dtype:
                raise DataError(
                    f"references of {listed(first.counts)} ({first.dtype}) and "
                    f"{listed(other.counts)} ({other.dtype}) cannot be pooled"
                )
        summed = {
            band: np.sum([reference.counts[band] for reference in pooled], axis=0)
            for band in first.counts
        }
        return cls(summed, first.dtype)

    @classmethod
    def from_json(cls, path: str | Path) -> "Reference":
        """Read what :meth:`to_json` wrote.

        Raises:
            DataError: The file cannot be read or holds something else.
        """
        try:
            content = json.loads(Path(path).read_text())
            arrays = {
                str(band): _dense(entry, num_values(content["dtype"]))
                for band, entry in content["bands"].items()
            }
            return cls(arrays, str(content["dtype"]))
        except OSError as error:
            raise DataError(f"reference {str(path)!r} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, DataError) as error:
            raise DataError(f"{str(path)!r} is not a reference of histograms: {error}") from error

    @cached_property
    def digest(self) -> str:
        """Fingerprint of the counts; two references with the same match alike."""
        sha256 = hashlib.sha256(self.dtype.encode())
        for band in sorted(self.counts):
            sha256.update(band.encode() + self.counts[band].tobytes())
        return sha256.hexdigest()

    def to_json(self, path: str | Path) -> None:
        """Write the values that occur and their counts."""
        bands = {
            band: {"values": np.flatnonzero(counts).tolist(), "counts": counts[counts > 0].tolist()}
            for band, counts in self.counts.items()
        }
        content = {"dtype": self.dtype, "bands": bands}
        write_whole(Path(path), json.dumps(content, separators=(",", ":")) + "\n")

    def rows(self, bands: Sequence[str]) -> NDArray[np.int64]:
        """Counts of some bands, ``(band, value)``.

        Raises:
            DataError: It has no such band.
        """
        missing = [band for band in bands if band not in self.counts]
        if missing:
            raise DataError(
                f"the reference has no band {listed(missing)} (it has {listed(self.counts)}): "
                "name the raster's bands alike, or match those it has"
            )
        return np.stack([self.counts[band] for band in bands])


def band_names(raster: xr.DataArray) -> list[str]:
    """Names of the bands of a raster, or of counts.

    Raises:
        DataError: It has none.
    """
    if "band" not in raster.coords:
        raise DataError("raster has no band names; give them: assign_coords(band=[...])")
    return [str(name) for name in raster["band"].to_numpy()]


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(names)


def _dense(entry: Mapping[str, Any], size: int) -> NDArray[np.int64]:
    counts = np.zeros(size, dtype=np.int64)
    counts[np.asarray(entry["values"], dtype=np.int64)] = entry["counts"]
    return counts
