"""Where raw pixels come from: one band of a file that GDAL reads."""

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.sources.files import describe_raster, gdal_errors


class Band(Protocol):
    """A raster on its own grid, which may have any CRS, pixel shape and rotation; picklable."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def crs(self) -> str:
        """CRS as WKT."""

    @property
    def transform(self) -> Affine:
        """Affine of the upper-left corner of the first pixel."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Raw values of a window inside the band, and where they are data.

        Raises:
            DataError: The file cannot be read.
        """

    def provenance(self) -> list[dict[str, Any]]:
        """Its files, and which version of each."""


@dataclass(frozen=True)
class GdalBand:
    """One band of a file or URL that GDAL reads.

    Attributes:
        number: Band, from 1.
        nodata: Value without data beside what the file states by nodata or mask; None: no other.
        unpack: Whether the file's own scale and offset are applied.
    """

    path: str
    number: int
    crs: str
    transform: Affine
    shape: tuple[int, int]
    nodata: float | None
    unpack: bool = True

    @classmethod
    def open(cls, path: str, number: int, crs: str | None, nodata: float | None) -> "GdalBand":
        """Look at a file without reading pixels.

        Args:
            path: File or URL.
            number: Band, from 1.
            crs: CRS where the file states none.
            nodata: Value without data beside what the file states; None: no other.

        Raises:
            DataError: The file is missing or broken, has no such band or no georeference.
        """
        with gdal_errors(path), warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as dataset:
                if number > dataset.count:
                    raise DataError(
                        f"{path!r} has {dataset.count} bands, not {number}; give another band"
                    )
                if dataset.transform.is_identity:
                    raise DataError(
                        f"{path!r} is not georeferenced (no pixel size and origin); "
                        "georeference it first, e.g. gdal_translate -a_srs -a_ullr"
                    )
                stated = dataset.crs.to_wkt() if dataset.crs else None
                return cls(
                    path,
                    number,
                    one_crs(path, stated, crs),
                    dataset.transform,
                    dataset.shape,
                    nodata,
                )

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values of a window, unpacked if the file packs them, and where they are data."""
        with gdal_errors(self.path), rasterio.open(self.path) as dataset:
            part = ((window.y0, window.y1), (window.x0, window.x1))
            values = dataset.read(self.number, window=part)
            valid = self._valid(dataset, values, part)
            scale = dataset.scales[self.number - 1], dataset.offsets[self.number - 1]
        if self.unpack and scale != (1.0, 0.0):
            values = values * scale[0] + scale[1]
        return values, valid

    def _valid(self, dataset: DatasetReader, values: NDArray[Any], part: Any) -> NDArray[np.bool_]:
        valid: NDArray[np.bool_] = np.ones(values.shape, np.bool_)
        if MaskFlags.all_valid not in dataset.mask_flag_enums[self.number - 1]:
            valid = dataset.read_masks(self.number, window=part) != 0
        return valid if self.nodata is None else valid & differs(values, self.nodata)

    def provenance(self) -> list[dict[str, Any]]:
        """The file, what GDAL reads beside it, and the sources of a virtual raster."""
        return describe_raster(self.path)


def differs(values: NDArray[Any], nodata: float) -> NDArray[np.bool_]:
    """Where values are not ``nodata``, which may be NaN."""
    if np.isnan(nodata):
        known: NDArray[np.bool_] = ~np.isnan(values)
        return known
    # A Python float such as -3.4e38 is compared in the dtype of the values.
    different: NDArray[np.bool_] = values != nodata
    return different


def one_crs(path: str, stated: str | None, given: str | None) -> str:
    """The CRS of a file as WKT, from the file or, where it states none, from the configuration.

    Raises:
        ConfigError: The configured CRS is not known.
        DataError: There is none, or the two contradict each other.
    """
    if given is None:
        if stated is None:
            raise DataError(f"{path!r} states no CRS; give the source's crs")
        return str(CRS.from_user_input(stated).to_wkt())
    try:
        wanted = CRS.from_user_input(given)
    except CRSError as error:
        raise ConfigError(
            f"CRS {given!r} of {path!r} is not known; give e.g. EPSG:32632"
        ) from error
    if stated is not None and not CRS.from_user_input(stated).equals(wanted, True):
        raise DataError(
            f"{path!r} states the CRS {CRS.from_user_input(stated).name!r} but the source's crs is "
            f"{given!r}; remove the source's crs, or correct the file"
        )
    return str(wanted.to_wkt())
