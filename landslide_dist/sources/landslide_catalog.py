"""NASA's Global Landslide Catalog: recorded landslides as points with a day.

A catalog of what media and other reports tell (Kirschbaum et al. 2010, Natural Hazards 52,
561-575; 2015, Geomorphology 249, 4-15), not an inventory: it is as incomplete as reports are, and a
point lies only within its ``accuracy_m`` of the landslide.
"""

import io
import re
from datetime import date

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from landslide_dist.errors import DataError
from landslide_dist.sources.files import filesystem_of, reason, some

#: What is read -> its column, in the exports from 2018 on or in the older ones.
_COLUMNS = {
    "event_id": ("event_id", "id"),
    "day": ("event_date", "date"),
    "longitude": ("longitude",),
    "latitude": ("latitude",),
    "accuracy_m": ("location_accuracy",),
    "trigger": ("landslide_trigger", "trigger"),
    "size": ("landslide_size",),
    # In older exports the description is of the setting, such as above a road.
    "place": ("nearest_places", "location_description"),
}
_NEEDED = ("event_id", "day", "longitude", "latitude")
#: What the columns of coordinates may hold, degrees either side of 0.
_LIMITS = {"longitude": 180, "latitude": 90}
_TIME = r"(?:[ T]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?Z?)?"
#: Ways to write a day; without the year first, month and day may come in either order.
_DATES = {
    "year-month-day": r"(?P<year>[12]\d{3})[-/](?P<one>\d{1,2})[-/](?P<two>\d{1,2})",
    "month/day/year": r"(?P<one>\d{1,2})[-/](?P<two>\d{1,2})[-/](?P<year>[12]\d{3})",
    "month/day/year of two digits": r"(?P<one>\d{1,2})[-/](?P<two>\d{1,2})[-/](?P<year>\d{2})",
}
_ACCURACY = re.compile(r"(?:known_within_)?(\d+(?:\.\d+)?)[ _]?(k?m)")
#: No landslide of the catalog is older.
_FIRST_YEAR = 1900


def read_catalog(path: str) -> gpd.GeoDataFrame:
    """Read an export of the catalog, in the columns of 2018 and later or in the older ones.

    Column names are compared without regard to case; further columns are left aside. Dates have one
    format in a file, found from the whole column: year-month-day, or month and day in the order in
    which all of them are days that exist. A year of two digits is the last one that is not in the
    future. The time of day, of which the catalog tells no zone, is dropped.

    Events are those of the catalog, which numbers every one: an ``event_id`` that comes twice is
    refused, since it would be counted twice, while events of different numbers are all kept. A few
    of these agree in everything else (8 of 11032 in the export of 2018, such as two landslides that
    closed one road in the same hour) and cannot be told from double entries.

    Args:
        path: CSV file, UTF-8 (with or without BOM) or Windows-1252.

    Returns:
        Points in EPSG:4326 in the order of the file: ``event_id`` (text), ``day`` (datetime64,
        midnight), ``accuracy_m`` (0: exact; NaN: unknown), ``trigger`` and ``size`` (lower case,
        ``unknown`` where the file has none), ``place``.

    Raises:
        DataError: The file cannot be read, has no rows, lacks a column, or a row has no or a
            repeated number, a date that cannot be told, coordinates out of range or an unknown
            accuracy.
    """
    table = _columns(_read(path), path)
    point = [_coordinates(table[name], limit, path) for name, limit in _LIMITS.items()]
    columns = {
        "event_id": _numbers(table["event_id"], path),
        "day": _days(table["day"], path),
        "accuracy_m": _accuracies(table["accuracy_m"], path),
        "trigger": table["trigger"].str.lower().replace("", "unknown"),
        "size": table["size"].str.lower().replace("", "unknown"),
        "place": table["place"],
    }
    frame = pd.DataFrame(columns).reset_index(drop=True)
    return gpd.GeoDataFrame(frame, geometry=gpd.points_from_xy(*point), crs="EPSG:4326")


def recorded(
    catalog: gpd.GeoDataFrame,
    region: shapely.Polygon | shapely.MultiPolygon,
    first: date,
    last: date,
    max_accuracy_m: float | None = None,
) -> gpd.GeoDataFrame:
    """Events of a region and time.

    Args:
        catalog: From :func:`read_catalog`.
        region: Area in EPSG:4326, its border part of it.
        first: First day.
        last: Last day, included.
        max_accuracy_m: Keep events known to lie this near to their point; None: all, those of
            unknown accuracy too.

    Returns:
        The rows of the catalog that remain; there may be none.

    Raises:
        DataError: The region is no polygon in degrees, or the days are in the wrong order.
    """
    if region.geom_type not in ("Polygon", "MultiPolygon"):
        raise DataError(f"the region is a {region.geom_type}; give a polygon")
    bounds = region.bounds
    if region.is_empty or not np.all(np.abs(bounds) <= [180, 90, 180, 90]):
        raise DataError(
            f"the region's bounds are {some(bounds)}; give a polygon in longitude and latitude "
            "(EPSG:4326)"
        )
    if last < first:
        raise DataError(f"the last day {last} is before the first {first}; exchange them")
    kept = shapely.covers(region, catalog.geometry.to_numpy())
    days = catalog["day"].to_numpy()
    kept &= (days >= np.datetime64(first)) & (days <= np.datetime64(last))
    if max_accuracy_m is not None:
        kept &= (catalog["accuracy_m"] <= max_accuracy_m).to_numpy()
    return catalog[kept]


def _read(path: str) -> pd.DataFrame:
    """All cells as text; columns under their names in lower case."""
    fs, inner = filesystem_of(path)
    try:
        with fs.open(inner, "rb") as file:
            text = _decode(file.read())
        # The names are read as a row, too: pandas would rename one that comes twice.
        cells = pd.read_csv(io.StringIO(text), header=None, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path!r} cannot be read: {reason(error)}") from error
    cells = cells.apply(lambda column: column.str.strip())
    # Rows are counted as a spreadsheet does: the names of the columns are row 1.
    cells.index = pd.RangeIndex(1, len(cells) + 1)
    table = cells.iloc[1:].set_axis(cells.loc[1].str.casefold(), axis="columns")
    if table.empty:
        raise DataError(f"{path!r} has no events; give a catalog with at least one row")
    return table


def _decode(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    # Any byte is a character of Latin-1.
    return content.decode("latin-1")


def _columns(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """The columns that are read, under one name in all exports; empty where not needed."""
    found = {}
    for wanted, names in _COLUMNS.items():
        name = next((name for name in names if name in table.columns), None)
        if name is None and wanted in _NEEDED:
            raise DataError(
                f"{path!r} has no column {' or '.join(names)}; it has {some(table.columns, 40)}; "
                "give a CSV export of the Global Landslide Catalog"
            )
        if list(table.columns).count(name) > 1:
            raise DataError(f"{path!r} has two columns {name}; keep one")
        found[wanted] = "" if name is None else table[name]
    return pd.DataFrame(found, index=table.index, dtype=str)


def _numbers(column: pd.Series, path: str) -> pd.Series:
    _refuse(column, column == "", "has no event number", path)
    _refuse(column, column.duplicated(), "repeats an event number", path)
    return column


def _coordinates(column: pd.Series, limit: float, path: str) -> NDArray[np.float64]:
    values = pd.to_numeric(column, errors="coerce").astype(float)
    problem = f"needs a {column.name} from -{limit} to {limit} degrees"
    _refuse(column, ~(values.abs() <= limit), problem, path)
    degrees: NDArray[np.float64] = values.to_numpy()
    return degrees


def _accuracies(column: pd.Series, path: str) -> NDArray[np.float64]:
    metres = {"exact": 0.0, "exact_location": 0.0, "unknown": np.nan, "": np.nan}
    texts = column.str.lower()
    for text in set(texts) - set(metres):
        match = _ACCURACY.fullmatch(text)
        if match is None:
            problem = "has a location accuracy that is neither exact, unknown nor such as 5km"
            _refuse(column, texts == text, problem, path)
        else:
            metres[text] = float(match[1]) * (1000 if match[2] == "km" else 1)
    accuracy_m: NDArray[np.float64] = texts.map(metres).to_numpy(dtype=np.float64)
    return accuracy_m


def _days(column: pd.Series, path: str) -> pd.Series:
    """The days of a column of dates that all have one format."""
    read = {name: column.str.extract(rf"^{form}{_TIME}$") for name, form in _DATES.items()}
    name, parts = max(read.items(), key=lambda item: int(item[1]["year"].count()))
    problem = f"has a date that is not written as {name}, the format of most"
    _refuse(column, parts["year"].isna(), problem, path)
    year, one, two = (parts[part].astype(int) for part in ("year", "one", "two"))
    days = _calendar(year, one, two)
    if name != "year-month-day":
        day_first = _calendar(year, two, one)
        if days.notna().all() and day_first.notna().all():
            problem = "has a date whose month and day cannot be told apart, here or in other rows"
            _refuse(column, days != day_first, f"{problem} (write year-month-day)", path)
        days = day_first if day_first.count() > days.count() else days
    _refuse(column, days.isna(), "has a date that does not exist", path)
    outside = (days > _today()) | (days.dt.year < _FIRST_YEAR)
    _refuse(column, outside, f"has a date that is not from {_FIRST_YEAR} to today", path)
    return days


def _calendar(year: pd.Series, month: pd.Series, day: pd.Series) -> pd.Series:
    """Midnights; NaT where a day does not exist. Years below 100 lack their century."""

    def midnight(full_year: pd.Series) -> pd.Series:
        dates = pd.DataFrame({"year": full_year, "month": month, "day": day})
        return pd.to_datetime(dates, errors="coerce").astype("datetime64[s]")

    days = midnight(year.where(year >= 100, year + 2000))
    future = (year < 100) & (days > _today())
    return days.where(~future, midnight(year + 1900)) if future.any() else days


def _today() -> np.datetime64:
    return np.datetime64("today", "s")


def _refuse(column: pd.Series, wrong: pd.Series, problem: str, path: str) -> None:
    """One line for the first of the wrong rows."""
    if wrong.any():
        row = wrong.idxmax()
        more = f" ({wrong.sum()} such rows)" if wrong.sum() > 1 else ""
        raise DataError(
            f"{path!r}: row {row} {problem}: {column[row]!r}{more}; correct or remove it"
        )
