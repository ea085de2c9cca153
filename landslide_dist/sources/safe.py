"""Scenes from Sentinel-2 Level-2A products in the SAFE format, local or on an object store.

A product's ``MTD_MSIL2A.xml`` tells baseline, offsets and dates; a granule's bands are JPEG 2000
files of one resolution each (Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath
from typing import Any, NoReturn
from xml.etree import ElementTree

from landslide_dist.config.imagery import BAND_IDS, BoaOffset, SafeSource
from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import DataError
from landslide_dist.sources.files import filesystem_of, reason
from landslide_dist.sources.scene import (
    QUANTIFICATION,
    Scene,
    Span,
    baseline_offset,
    none_within,
    one_pass,
    version,
)

_METADATA = "MTD_MSIL2A.xml"
#: ``band_id`` of the metadata counts the bands of the instrument, which include B10.
_PHYSICAL_BANDS = [f"B{n:02d}" for n in range(1, 9)] + ["B8A"] + [f"B{n:02d}" for n in range(9, 13)]


@dataclass(frozen=True)
class _Product:
    """What a product's metadata say.

    Attributes:
        offsets: Band number, e.g. B04 -> digital number to subtract.
    """

    path: str
    day: date
    datatake: str
    baseline: float
    offsets: Mapping[str, int]


def safe_scenes(
    source: SafeSource, bands: tuple[str, ...], boa_offset: BoaOffset, span: Span
) -> list[Scene]:
    """One scene a granule; a product has one, those before December 2016 several.

    Args:
        source: Folders.
        bands: Common names of the bands that are wanted.
        boa_offset: Is subtracted; ``metadata``: what each product states for each band.
        span: Days that count.

    Raises:
        DataError: A folder is missing, is no Level-2A product or is broken; none is in span.
    """
    scenes, days = [], []
    for pattern in source.path:
        fs, inner = filesystem_of(pattern)
        folders = sorted(fs.glob(inner.rstrip("/")))
        if not folders:
            raise DataError(f"there is no folder {pattern!r}; give *.SAFE folders")
        for folder in folders:
            product = _read_product(fs, folder)
            days.append(product.day)
            if product.day in span:
                scenes += _granules(fs, folder, product, bands, boa_offset)
    if not scenes:
        raise none_within(", ".join(source.path), span, days)
    return scenes


def _url(fs: Any, path: str) -> str:
    url = str(fs.unstrip_protocol(path))
    return url.removeprefix("file://")


def _read_product(fs: Any, folder: str) -> _Product:
    path = f"{folder}/{_METADATA}"
    try:
        text = fs.cat_file(path)
    except OSError as error:
        raise DataError(
            f"{_url(fs, folder)!r} has no readable {_METADATA}: it is no Level-2A product "
            f"({reason(error)}); give *.SAFE folders of Level-2A"
        ) from error
    root = parse_xml(text, _url(fs, path))

    def text_of(tag: str) -> str:
        found = root.findtext(f".//{tag}")
        if not found:
            raise DataError(f"{_url(fs, path)!r} has no {tag}; download the product again")
        return found.strip()

    if float(text_of("BOA_QUANTIFICATION_VALUE")) != QUANTIFICATION:
        raise DataError(
            f"{_url(fs, path)!r} counts reflectance 1 as {text_of('BOA_QUANTIFICATION_VALUE')}, "
            f"not {QUANTIFICATION}; such products are not read"
        )
    datatake = root.find(".//Datatake")
    identifier = "" if datatake is None else datatake.get("datatakeIdentifier", "")
    started = text_of("PRODUCT_START_TIME")
    baseline = version(text_of("PROCESSING_BASELINE"), _url(fs, path))
    try:
        day = date.fromisoformat(started[:10])
    except ValueError as error:
        raise DataError(f"{_url(fs, path)!r}: {started!r} is no date") from error
    return _Product(
        _url(fs, path), day, one_pass(identifier) or started, baseline,
        _offsets(root, baseline, _url(fs, path)),
    )  # fmt: skip


def _offsets(root: ElementTree.Element, baseline: float, path: str) -> dict[str, int]:
    usual = baseline_offset(baseline)
    stated = {}
    for element in root.iter("BOA_ADD_OFFSET"):
        try:
            band = _PHYSICAL_BANDS[int(element.get("band_id", ""))]
            stated[band] = -int(element.text or "")
        except (ValueError, IndexError) as error:
            raise DataError(f"{path!r} has a broken BOA_ADD_OFFSET: {element.attrib}") from error
    return {band: stated.get(band, usual) for band in _PHYSICAL_BANDS}


def _granules(
    fs: Any, folder: str, product: _Product, bands: tuple[str, ...], boa_offset: BoaOffset
) -> list[Scene]:
    granules = sorted(fs.glob(f"{folder}/GRANULE/*/IMG_DATA"))
    if not granules:
        raise DataError(f"{_url(fs, folder)!r} has no GRANULE/*/IMG_DATA; download it again")
    scenes = []
    for images in granules:
        files = [PurePosixPath(path) for path in fs.glob(f"{images}/R*m/*.jp2")]
        name = PurePosixPath(images).parent.name
        tile = re.search(r"_T(\d\d[A-Z]{3})_", name)
        scenes.append(
            Scene(
                name=f"{PurePosixPath(folder).name} {name}",
                day=product.day,
                acquisition=f"{product.day} {product.datatake}",
                order=(tile[1] if tile else name, -product.baseline, name),
                bands={
                    band: RasterSource(path=_image(fs, images, files, BAND_IDS[band]))
                    for band in bands
                },
                offsets={
                    band: product.offsets[BAND_IDS[band]] if boa_offset == "metadata"
                    else boa_offset
                    for band in bands
                },
                classes=RasterSource(path=_image(fs, images, files, "SCL")),
                metadata=product.path,
            )
        )  # fmt: skip
    return scenes


def _image(fs: Any, images: str, files: list[PurePosixPath], band: str) -> str:
    """The finest file of a band: ``T32TQP_20230428T100559_B04_10m.jp2``."""
    found = sorted(
        (int(match[1]), str(file))
        for file in files
        if (match := re.search(rf"_{band}_(\d+)m\.jp2$", file.name))
    )
    if not found:
        raise DataError(f"{_url(fs, images)!r} has no file of {band}; download the product again")
    return _url(fs, found[0][1])


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type: without one there are no entities, internal or external.

    The parser calls ``doctype`` before anything the declaration defines is expanded, whatever the
    encoding, so that neither an entity bomb nor a reference to a file is ever followed.
    """

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise ValueError("it declares a document type, which metadata of Sentinel-2 do not")


def parse_xml(text: bytes, path: str) -> ElementTree.Element:
    """An XML file's root, entities refused.

    Raises:
        DataError: It is no XML, or declares a document type.
    """
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - see _NoDoctype
    try:
        parser.feed(text)
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path!r} cannot be read as XML: {reason(error)}") from error
    return root
