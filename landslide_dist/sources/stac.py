"""Scenes from the STAC items of a file or URL, as Earth Search, Planetary Computer and CDSE write.

The catalogues differ in the names of assets and in where they state offset, baseline and nodata;
both the bands of STAC 1.1 and the older ``eo:bands`` and ``raster:bands`` are understood.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import aiohttp
import pystac
from botocore.exceptions import BotoCoreError
from pystac.stac_io import DefaultStacIO
from pystac.utils import make_absolute_href

from landslide_dist.config.imagery import BAND_IDS, BoaOffset, StacSource
from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.files import filesystem_of, reason
from landslide_dist.sources.scene import (
    QUANTIFICATION,
    Scene,
    Span,
    baseline_offset,
    none_within,
    one_pass,
    unknown_offset,
    version,
)

#: Resolutions in asset names of CDSE, finest first; the others name a band once.
_SUFFIXES = ("", "_10m", "_20m", "_60m")
#: What file systems, JSON and pystac raise on what is not there or not STAC.
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    pystac.STACError,
    pystac.STACTypeError,
    BotoCoreError,
    aiohttp.ClientError,
)


def stac_scenes(
    source: StacSource, bands: tuple[str, ...], boa_offset: BoaOffset, span: Span
) -> list[Scene]:
    """One scene an item.

    Args:
        source: The file.
        bands: Common names of the bands that are wanted.
        boa_offset: Is subtracted; ``metadata``: what each item states.
        span: Days that count.

    Raises:
        ConfigError: An item does not say which offset its values carry.
        DataError: The file cannot be read, lacks assets, or has no item in span.
    """
    items = list(_items(source.path))
    days = [_day(item) for item in items]
    scenes = [
        _scene(source.path, item, day, bands, boa_offset)
        for item, day in zip(items, days, strict=True)
        if day in span
    ]
    if not scenes:
        raise none_within(source.path, span, days)
    return scenes


class _AnyStore(DefaultStacIO):
    """Reads JSON wherever fsspec reaches: local files, http and S3 with the usual settings."""

    def read_text_from_href(self, href: str) -> str:
        fs, inner = filesystem_of(href)
        with fs.open(inner, "rt", encoding="utf-8") as file:
            return str(file.read())


def _items(path: str) -> Iterable[pystac.Item]:
    io = _AnyStore()
    try:
        tree = io.read_json(path)
        if tree.get("type") == "FeatureCollection":
            return list(pystac.ItemCollection.from_dict(tree))
        found = io.stac_object_from_dict(tree, href=make_absolute_href(path))
        if isinstance(found, pystac.Catalog):
            return list(found.get_items(recursive=True))
        return [found] if isinstance(found, pystac.Item) else []
    except _UNREADABLE as error:
        raise DataError(f"{path!r} cannot be read as STAC: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"it is no JSON ({reason(error)})"
    if isinstance(error, KeyError):
        return f"it lacks {reason(error)}"
    return reason(error)


def _day(item: pystac.Item) -> date:
    moment = item.datetime or item.common_metadata.start_datetime
    if not isinstance(moment, datetime):
        raise DataError(f"STAC item {item.id!r} has no datetime; correct it, or leave it out")
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()


def _scene(
    path: str, item: pystac.Item, day: date, bands: tuple[str, ...], boa_offset: BoaOffset
) -> Scene:
    assets = {band: _asset(item, band, (band, BAND_IDS[band])) for band in bands}
    stated = item.properties.get(
        "s2:processing_baseline", item.properties.get("processing:version")
    )
    baseline = None if stated is None else version(str(stated), item.id)
    return Scene(
        name=item.id,
        day=day,
        acquisition=f"{day} {_pass(item)}",
        order=(_tile(item), -(baseline or 0.0), item.id),
        bands={
            band: RasterSource(
                path=_href(path, item, asset), nodata=_stated(asset, "nodata")
            )
            for band, asset in assets.items()
        },
        offsets={
            band: _offset(item, asset, baseline) if boa_offset == "metadata" else boa_offset
            for band, asset in assets.items()
        },
        classes=RasterSource(path=_href(path, item, _asset(item, "scl", ("scl", "SCL")))),
        metadata=path,
    )  # fmt: skip


def _asset(item: pystac.Item, band: str, names: tuple[str, ...]) -> pystac.Asset:
    """By key, else by the one band that the asset says it holds."""
    for key in (name + suffix for name in names for suffix in _SUFFIXES):
        if key in item.assets:
            return item.assets[key]
    named = [
        asset
        for _, asset in sorted(item.assets.items())
        if len(described := _bands(asset)) == 1
        and {described[0].get(key) for key in ("common_name", "eo:common_name", "name")}
        & set(names)
    ]
    if named:
        return named[0]
    raise DataError(
        f"STAC item {item.id!r} has no asset of {band} ({' or '.join(names)}); it has "
        f"{', '.join(sorted(item.assets)) or 'none'}: Level-2A items are needed"
    )


def _bands(asset: pystac.Asset) -> list[dict[str, Any]]:
    fields = asset.extra_fields
    found: list[dict[str, Any]] = fields.get("bands") or fields.get("eo:bands") or []
    return found


def _stated(asset: pystac.Asset, name: str) -> float | None:
    """``nodata``, ``scale`` or ``offset`` of an asset of one band."""
    fields = asset.extra_fields
    for place in (*fields.get("raster:bands", [])[:1], *_bands(asset)[:1], fields):
        for key in (name, f"raster:{name}"):
            if isinstance(place.get(key), int | float):
                return float(place[key])
    return None


def _offset(item: pystac.Item, asset: pystac.Asset, baseline: float | None) -> int:
    """The digital number to subtract, as the item states it or as its baseline implies.

    Earth Search repeats ESA's offset on items whose pixels it has already shifted.
    """
    if item.properties.get("earthsearch:boa_offset_applied") is True:
        return 0
    scale, offset = _stated(asset, "scale"), _stated(asset, "offset")
    if offset is not None and scale:
        if abs(scale * QUANTIFICATION - 1) > 1e-6:
            raise DataError(
                f"STAC item {item.id!r}: {asset.href!r} has scale {scale:g}; only digital numbers "
                f"of 1/{QUANTIFICATION} reflectance are read"
            )
        return round(-offset / scale)
    if baseline is None:
        raise unknown_offset(item.id)
    return baseline_offset(baseline)


def _pass(item: pystac.Item) -> str:
    """What granules taken in one pass have in common."""
    properties = item.properties
    if datatake := properties.get("s2:datatake_id"):
        return one_pass(str(datatake))
    orbit = properties.get("sat:relative_orbit")
    if orbit is None:
        named = re.search(r"_R(\d{3})_", f"{properties.get('s2:product_uri', '')} {item.id}")
        orbit = int(named[1]) if named else ""
    return f"{properties.get('platform', '')} {orbit}".strip()


def _tile(item: pystac.Item) -> str:
    properties = item.properties
    for key in ("s2:mgrs_tile", "grid:code"):
        if key in properties:
            return str(properties[key]).removeprefix("MGRS-")
    return ""


def _href(path: str, item: pystac.Item, asset: pystac.Asset) -> str:
    """An asset's place; a relative one lies beside its item, or beside the collection's file."""
    href = make_absolute_href(asset.href, item.get_self_href() or make_absolute_href(path))
    if href.startswith(("http://", "https://", "s3://", "/", "file://")):
        return href.removeprefix("file://")
    raise ConfigError(
        f"STAC item {item.id!r} keeps its pixels at {href!r}, which is neither a file nor http nor "
        "s3; make a catalogue with such links"
    )
