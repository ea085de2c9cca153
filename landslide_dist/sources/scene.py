"""One granule of an image as a catalogue or folder describes it: bands, day and offsets.

``stac``, ``safe`` and ``stack`` make scenes of what they find; no pixel is read for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landslide_dist.config.imagery import BoaOffset, FilesSource
from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.files import some

#: Added by ESA to surface reflectance x 10000 from processing baseline 04.00 on.
BOA_OFFSET = 1000
#: Surface reflectance 1 as a digital number.
QUANTIFICATION = 10_000


@dataclass(frozen=True)
class Span:
    """Days, both ends included; None: open.

    Attributes:
        first: First day that counts.
        last: Last day that counts.
    """

    first: date | None = None
    last: date | None = None

    def __contains__(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def __str__(self) -> str:
        return f"{self.first or 'the first day'} to {self.last or 'the last day'}"


@dataclass(frozen=True)
class Scene:
    """One granule.

    Attributes:
        name: What its provider calls it.
        day: UTC day of acquisition; None: not known.
        acquisition: Same for granules taken in one pass: datatake, or day, platform and orbit.
        order: Granules of one acquisition are laid in this order, the first on top: by tile,
            the newest processing of a tile first.
        bands: Common name -> where its digital numbers are.
        offsets: Common name -> digital number to subtract.
        classes: Where its scene classification (SCL) is; None: nothing but nodata is masked.
        metadata: The file that described it, if there is one beside the bands.
    """

    name: str
    day: date | None
    acquisition: str
    order: tuple[str, float, str]
    bands: Mapping[str, RasterSource]
    offsets: Mapping[str, int]
    classes: RasterSource | None
    metadata: str | None = None


@dataclass(frozen=True)
class DigitalNumbers:
    """Raw values of a band to surface reflectance x 10000; 0 where there are no data.

    Attributes:
        path: File, for messages.
        offset: Is subtracted; what would fall below 1 becomes 1.
    """

    path: str
    offset: int

    def __call__(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Raw values, and where they are data, to uint16. A raw 0 is never data.

        Raises:
            DataError: There are values that are no digital numbers.
        """
        valid = valid & (values != 0)
        if values.dtype.kind == "f":
            valid &= ~np.isnan(values)
        if values.dtype not in (np.uint8, np.uint16):
            self._check(values[valid])
        shifted = np.where(valid, values, 0).astype(np.int32) - self.offset
        return np.where(valid, np.maximum(shifted, 1), 0).astype(np.uint16)

    def _check(self, present: NDArray[Any]) -> None:
        broken = present[(present < 0) | (present > 65_535) | (present != np.floor(present))]
        if broken.size:
            raise DataError(
                f"{self.path!r} holds {some(np.unique(broken))} where digital numbers (reflectance "
                "x 10000, whole, 1 to 65535) are due; convert it, or give the source's nodata"
            )


@dataclass(frozen=True)
class SceneClasses:
    """Raw values of a scene classification to its classes, 0 (no data) to 11.

    Attributes:
        path: File, for messages.
    """

    path: str

    def __call__(self, values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Raw values, and where they are data, to uint8.

        Raises:
            DataError: There are values that are no classes.
        """
        if values.dtype.kind == "f":
            valid = valid & ~np.isnan(values)
        present = values[valid]
        broken = present[~np.isin(present, np.arange(12))]
        if broken.size:
            raise DataError(
                f"{self.path!r} holds {some(np.unique(broken))}, which are no classes (0 to 11) of "
                "a Sentinel-2 scene classification (SCL); give another file or variable"
            )
        return np.where(valid, values, 0).astype(np.uint8)


def one_pass(datatake: str) -> str:
    """A datatake without its baseline: ``GS2A_20230428T100601_040993_N05.09`` until ``_N``."""
    return datatake.partition("_N")[0]


def version(baseline: str, origin: str) -> float:
    """A processing baseline, e.g. ``05.09``, as a number that grows.

    Raises:
        DataError: It is no baseline.
    """
    try:
        return float(baseline)
    except ValueError as error:
        raise DataError(
            f"{origin!r} states the processing baseline {baseline!r}, which is not like 05.09; "
            "give the image's boa_offset"
        ) from error


def baseline_offset(baseline: float) -> int:
    """The digital number that a processing baseline has added."""
    return BOA_OFFSET if baseline >= 4 else 0


def unknown_offset(origin: str) -> ConfigError:
    """The refusal of a source that does not say which offset its values carry."""
    return ConfigError(
        f"{origin!r} does not say which processing baseline it has, so boa_offset: metadata cannot "
        "be followed; give boa_offset: 1000 (baseline 04.00 or later) or 0 (earlier, or already "
        "subtracted)"
    )


def none_within(origin: str, span: Span, days: Iterable[date]) -> DataError:
    """The refusal of a source without a scene in a window."""
    known = sorted(days)
    found = f"its {len(known)} are of {known[0]} to {known[-1]}" if known else "it has none at all"
    return DataError(f"{origin!r} has no scene of {span}: {found}; change the image's window")


def plain_files(
    source: FilesSource, bands: tuple[str, ...], boa_offset: BoaOffset, span: Span
) -> list[Scene]:
    """The one scene of an image given file by file; of an unknown day it is in every span.

    Raises:
        ConfigError: ``metadata`` is to tell the offset; plain files have none.
        DataError: Its day is not in span.
    """
    files = [source.bands[band] for band in bands]
    if boa_offset == "metadata":
        raise unknown_offset(files[0].path)
    day = source.acquired
    if day is not None and day not in span:
        raise none_within(files[0].path, span, [day])
    name = files[0].path.rpartition("/")[2]
    scl = source.scl and RasterSource(path=source.scl.path, band=source.scl.band, crs=source.crs)
    return [
        Scene(
            name=name,
            day=day,
            acquisition=f"{day or 'unknown'} {name}",
            order=("", 0.0, name),
            bands={
                band: RasterSource(
                    path=file.path, band=file.band, crs=source.crs, nodata=source.nodata
                )
                for band, file in zip(bands, files, strict=True)
            },
            offsets=dict.fromkeys(bands, boa_offset),
            classes=scl or None,
        )
    ]
