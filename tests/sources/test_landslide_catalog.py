"""The Global Landslide Catalog: both exports, encodings, dates of one format, regions and times."""

import csv
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import LineString, MultiPolygon, Polygon, box

from landslide_dist.errors import DataError
from landslide_dist.sources.landslide_catalog import read_catalog, recorded

NEW = {
    "source_name": "AGU",
    "event_id": "684",
    "event_date": "8/31/2008 0:00",
    "location_description": 'Sigou Village, "Loufan"\nCounty',
    "location_accuracy": "unknown",
    "landslide_trigger": "rain",
    "landslide_size": "large",
    "longitude": "107.45",
    "latitude": "32.5625",
}
OLD = {
    "id": "34",
    "date": "3/22/07",
    "time": "night",
    "country": "United States",
    "nearest_places": "Kings Mountain Rd., Woodbridge, VA",
    "landslide_type": "Landslide",
    "trigger": "Rain",
    "location_description": "Above_road",
    "location_accuracy": "Known_within_1km",
    "landslide_size": "Small",
    "latitude": "38.600900000000003",
    "longitude": "-77.2682",
    "geolocation": "(38.600900000000003, -77.2682)",
}


@pytest.fixture
def write(tmp_path):
    """Write rows that differ from a first one."""

    def write(*rows, base=NEW, encoding="utf-8", name="catalog.csv"):
        path = tmp_path / name
        rows = [{**base, **row} for row in rows or [{}]]
        with path.open("w", encoding=encoding, newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return str(path)

    return write


@pytest.fixture
def dated(write):
    """A catalog of these dates, one event each."""

    def dated(*dates):
        return write(*({"event_id": str(n), "event_date": day} for n, day in enumerate(dates)))

    return dated


def days(catalog):
    return catalog["day"].to_numpy().astype("datetime64[D]").astype(str).tolist()


class TestReading:
    def test_exports_since_2018(self, write):
        other = {"event_id": "956", "event_date": "1/2/2009 14:05", "location_accuracy": "exact"}
        catalog = read_catalog(write({}, {**other, "landslide_trigger": "", "landslide_size": ""}))
        assert list(catalog) == [
            "event_id", "day", "accuracy_m", "trigger", "size", "place", "geometry"
        ]  # fmt: skip
        assert catalog["event_id"].tolist() == ["684", "956"]
        assert days(catalog) == ["2008-08-31", "2009-01-02"]
        np.testing.assert_array_equal(catalog["accuracy_m"], [np.nan, 0])
        assert catalog["trigger"].tolist() == ["rain", "unknown"]
        assert catalog["size"].tolist() == ["large", "unknown"]
        assert catalog["place"].tolist() == [NEW["location_description"]] * 2
        assert (catalog.geometry.x[0], catalog.geometry.y[0]) == (107.45, 32.5625)
        assert catalog.crs == "EPSG:4326"

    def test_older_exports(self, write):
        catalog = read_catalog(write({}, {"id": "35", "date": "12/3/98"}, base=OLD))
        assert catalog["event_id"].tolist() == ["34", "35"]
        assert days(catalog) == ["2007-03-22", "1998-12-03"]
        np.testing.assert_array_equal(catalog["accuracy_m"], [1000, 1000])
        assert catalog["trigger"].tolist() == ["rain"] * 2
        assert catalog["size"].tolist() == ["small"] * 2
        assert catalog["place"].tolist() == [OLD["nearest_places"]] * 2
        assert (catalog.geometry.x[0], catalog.geometry.y[0]) == (-77.2682, 38.6009)

    def test_case_spaces_and_few_columns(self, write):
        names = {" Event_ID": "7", "EVENT_DATE ": "2008-08-31", "Longitude": "1", "LATITUDE": " 2"}
        catalog = read_catalog(write(base=names))
        assert catalog["event_id"].tolist() == ["7"]
        assert catalog["trigger"].tolist() == ["unknown"]
        assert catalog["place"].tolist() == [""]
        assert np.isnan(catalog["accuracy_m"]).all()
        assert catalog.geometry.y[0] == 2

    @pytest.mark.parametrize(
        ("encoding", "place"),
        [
            ("utf-8", "Junín – 北川"),
            ("utf-8-sig", "Junín – 北川"),
            ("cp1252", "Junín – €"),
            ("latin-1", "Junín \x81"),
        ],
    )
    def test_encodings(self, write, encoding, place):
        # The first column is the one that a byte-order mark would spoil.
        row = {"event_id": "684", **NEW, "location_description": place}
        catalog = read_catalog(write(base=row, encoding=encoding))
        assert catalog["place"].tolist() == [place]
        assert catalog["event_id"].tolist() == ["684"]

    @pytest.mark.parametrize(
        ("text", "metres"), [("Exact", 0), ("5km", 5000), ("250 km", 250_000), ("0.5KM", 500),
                         ("30m", 30), ("Unknown", np.nan), ("", np.nan),
                         ("Known_within_25_km", 25_000), ("Exact_Location", 0)]
    )  # fmt: skip
    def test_accuracies(self, write, text, metres):
        catalog = read_catalog(write({"location_accuracy": text}))
        np.testing.assert_array_equal(catalog["accuracy_m"], [metres])

    def test_a_row_may_end_early(self, tmp_path):
        path = tmp_path / "catalog.csv"
        path.write_text(
            "id,date,latitude,longitude,trigger\n1,2008-08-31,2,3\n\n2,2008-09-01,4,5,x\n"
        )
        assert read_catalog(str(path))["trigger"].tolist() == ["unknown", "x"]

    def test_alike_events_of_different_numbers_are_kept(self, write):
        assert len(read_catalog(write({}, {"event_id": "685"}))) == 2


class TestDates:
    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            (["3/22/07", "1/2/98", "1/2/00"], ["2007-03-22", "1998-01-02", "2000-01-02"]),
            (["2007-03-22", "2007-03-04"], ["2007-03-22", "2007-03-04"]),
            (["2007-03-04T00:00:00.000"], ["2007-03-04"]),
            (["2007/03/04 11:30:00Z"], ["2007-03-04"]),
            (["03/22/2007 12:00:00 AM", "01/02/2008 03:17:00 pm"], ["2007-03-22", "2008-01-02"]),
            (["8/1/2008 0:00", "8/31/2008 23:59"], ["2008-08-01", "2008-08-31"]),
            (["22/3/2007", "1/2/2008"], ["2007-03-22", "2008-02-01"]),
            (["22-03-07", "01-02-08"], ["2007-03-22", "2008-02-01"]),
            # Month and day alike: there is nothing to confuse.
            (["3/3/2007", "11/11/2008"], ["2007-03-03", "2008-11-11"]),
            # 29 February tells the order as well as any other day.
            (["1/2/2009", "29/2/2008"], ["2009-02-01", "2008-02-29"]),
        ],
    )
    def test_formats(self, dated, written, expected):
        assert days(read_catalog(dated(*written))) == expected

    @given(
        wanted=st.lists(st.dates(date(1988, 1, 1), date(2026, 1, 1)), min_size=1, max_size=6),
        form=st.sampled_from(["%m/%d/%Y 0:00", "%d/%m/%Y", "%Y-%m-%d", "%m/%d/%y", "%d-%m-%y"]),
    )
    @settings(max_examples=60, deadline=None,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    def test_any_format_comes_back(self, dated, wanted, form):
        # One day that only one order allows.
        wanted = [*wanted, date(2008, 8, 31)]
        catalog = read_catalog(dated(*(day.strftime(form) for day in wanted)))
        assert days(catalog) == [day.isoformat() for day in wanted]

    def test_two_digits_are_the_last_such_year(self, dated):
        soon = date.today() + timedelta(days=40)
        long_ago = soon.replace(year=soon.year - 100)
        written = [soon.strftime("%m/%d/%y"), "8/31/08"]
        assert days(read_catalog(dated(*written)))[0] == long_ago.isoformat()

    @pytest.mark.parametrize(
        ("written", "row", "value", "what"),
        [
            (["8/31/2008", "soon"], 3, "soon", "not written as month/day/year"),
            (["8/31/2008", ""], 3, "", "not written as month/day/year"),
            (["8/31/2008", "8/30/2008", "2008-08-31"], 4, "2008-08-31", "not written as month/day"),
            (["2008-08-31", "2008-08-30", "8/31/08"], 4, "8/31/08", "not written as year-month"),
            (["8/31/2008", "8/31/2008 noon"], 3, "8/31/2008 noon", "not written as"),
            (["3/3/2008", "3/4/2008", "4/3/2008"], 3, "3/4/2008", "cannot be told apart.*write"),
            (["3/4/08"], 2, "3/4/08", "cannot be told apart"),
            (["8/31/2008", "8/30/2008", "31/8/2008"], 4, "31/8/2008", "date that does not exist"),
            (["8/31/2008", "2/30/2008"], 3, "2/30/2008", "date that does not exist"),
            (["2008-13-01"], 2, "2008-13-01", "date that does not exist"),
            (["2008-08-31", "1899-12-31"], 3, "1899-12-31", "not from 1900 to today"),
            (["2008-08-31", "2908-08-31"], 3, "2908-08-31", "not from 1900 to today"),
        ],
    )
    def test_refused(self, dated, written, row, value, what):
        with pytest.raises(DataError, match=rf"catalog.csv': row {row} has a .*{what}") as raised:
            read_catalog(dated(*written))
        assert f"{value!r}" in str(raised.value)
        assert "\n" not in str(raised.value)


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"longitude": "180.01"}, r"row 3 needs a longitude from -180 to 180 .*'180.01'; corr"),
            ({"latitude": "-90.5"}, r"row 3 needs a latitude from -90 to 90 degrees: '-90.5'"),
            ({"latitude": ""}, r"row 3 needs a latitude .*: ''"),
            ({"longitude": "nan"}, r"row 3 needs a longitude .*: 'nan'"),
            ({"longitude": "7°W"}, r"row 3 needs a longitude .*: '7°W'"),
            ({"location_accuracy": "near"}, r"row 3 has a location accuracy .*: 'near'"),
            ({"event_id": ""}, r"row 3 has no event number"),
            ({"event_id": "684"}, r"row 3 repeats an event number: '684'; correct or remove it"),
        ],
    )
    def test_rows(self, write, change, message):
        path = write({}, {"event_id": "685", **change}, {"event_id": "686"})
        with pytest.raises(DataError, match=message):
            read_catalog(path)

    def test_how_many(self, write):
        with pytest.raises(DataError, match=r"row 2 needs a latitude .*'91' \(2 such rows\)"):
            read_catalog(write({"latitude": "91"}, {"event_id": "1", "latitude": "92"}))

    @pytest.mark.parametrize("name", ["event_id", "event_date", "longitude", "latitude"])
    def test_columns(self, write, name):
        row = {key: value for key, value in NEW.items() if key != name}
        with pytest.raises(DataError, match=rf"no column {name}.*; it has source_name, .*export"):
            read_catalog(write(base=row))

    def test_a_column_that_comes_twice(self, write):
        with pytest.raises(DataError, match="two columns latitude; keep one"):
            read_catalog(write(base={**NEW, "Latitude": "3"}))

    def test_files(self, write, tmp_path):
        with pytest.raises(DataError, match=r"absent.csv' cannot be read: .*No such file"):
            read_catalog(str(tmp_path / "absent.csv"))
        (tmp_path / "nothing.csv").touch()
        with pytest.raises(DataError, match=r"nothing.csv' cannot be read: No columns"):
            read_catalog(str(tmp_path / "nothing.csv"))
        (tmp_path / "head.csv").write_text(",".join(NEW) + "\n")
        with pytest.raises(DataError, match=r"head.csv' has no events; give"):
            read_catalog(str(tmp_path / "head.csv"))

    def test_a_row_of_too_many_cells(self, write, tmp_path):
        path = write({}, {"event_id": "685"})
        with open(path, "a") as file:
            file.write("AGU,686,8/1/2008,a comma, unquoted,unknown,rain,large,107.45,32.5625\n")
        with pytest.raises(DataError, match=r"catalog.csv' cannot be read: .*Expected 9 fields"):
            read_catalog(path)


class TestRecorded:
    @pytest.fixture
    def catalog(self, write):
        rows = [
            ("1", "2010-01-01", "1", "1", "exact"),
            ("2", "2010-06-15", "2", "1", "5km"),
            ("3", "2010-12-31", "3", "3", "unknown"),
            ("4", "2011-01-01", "9", "1", "1km"),
        ]
        names = ["event_id", "event_date", "longitude", "latitude", "location_accuracy"]
        return read_catalog(write(*(dict(zip(names, row, strict=True)) for row in rows)))

    def of(self, catalog, *selection):
        return recorded(catalog, *selection)["event_id"].tolist()

    def test_days_are_inclusive(self, catalog):
        world = box(-180, -90, 180, 90)
        assert self.of(catalog, world, date(2010, 1, 1), date(2010, 12, 31)) == ["1", "2", "3"]
        assert self.of(catalog, world, date(2010, 1, 2), date(2010, 12, 30)) == ["2"]
        assert self.of(catalog, world, date(2011, 1, 1), date(2011, 1, 1)) == ["4"]

    def test_regions_hold_their_border(self, catalog):
        time = date(2010, 1, 1), date(2011, 12, 31)
        assert self.of(catalog, box(0, 0, 2, 2), *time) == ["1", "2"]
        assert self.of(catalog, box(0, 0, 1.99, 2), *time) == ["1"]
        # A hole, and two parts.
        ring = Polygon(box(0, 0, 4, 4).exterior, [box(0.5, 0.5, 2.5, 2.5).exterior])
        assert self.of(catalog, ring, *time) == ["3"]
        parts = MultiPolygon([box(0, 0, 1.5, 2), box(8, 0, 10, 2)])
        assert self.of(catalog, parts, *time) == ["1", "4"]
        assert self.of(catalog, box(50, 50, 51, 51), *time) == []

    def test_unknown_accuracy_is_not_near_enough(self, catalog):
        selection = box(0, 0, 10, 10), date(2010, 1, 1), date(2011, 12, 31)
        assert self.of(catalog, *selection, 5000) == ["1", "2", "4"]
        assert self.of(catalog, *selection, 4999) == ["1", "4"]
        assert self.of(catalog, *selection, 0) == ["1"]
        assert self.of(catalog, *selection) == ["1", "2", "3", "4"]

    def test_refused(self, catalog):
        time = date(2010, 1, 1), date(2011, 12, 31)
        with pytest.raises(DataError, match="the last day 2010-01-01 is before the first 2011"):
            recorded(catalog, box(0, 0, 1, 1), *reversed(time))
        with pytest.raises(DataError, match="the region is a LineString; give a polygon"):
            recorded(catalog, LineString([(0, 0), (1, 1)]), *time)
        with pytest.raises(DataError, match=r"bounds are 399960.*longitude and latitude"):
            recorded(catalog, box(399960, 4.8e6, 509760, 4.9e6), *time)
        with pytest.raises(DataError, match=r"bounds are nan"):
            recorded(catalog, Polygon(), *time)


@pytest.mark.shared_data
def test_the_real_catalog(shared_data):
    """Sums of the file's own columns, counted apart; two regions of the reporting-bias paper."""
    catalog = read_catalog(str(shared_data / "nasa_glc" / "Global_Landslide_Catalog_Export.csv"))
    assert len(catalog) == 11032
    assert days(catalog[catalog["event_id"] == "684"]) == ["2008-08-01"]
    time = date(1988, 11, 7), date(2017, 9, 28)
    assert (catalog["day"].min(), catalog["day"].max()) == tuple(map(np.datetime64, time))
    assert (catalog["accuracy_m"] == 0).sum() == 1386
    assert catalog["accuracy_m"].isna().sum() == 544
    assert catalog["place"].str.contains("Junín").any()
    rwenzori, oregon = box(29.5, 0, 30.5, 1), box(-124.253, 43.258, -122.878, 44.253)
    assert [len(recorded(catalog, region, *time)) for region in (rwenzori, oregon)] == [6, 149]
    assert len(recorded(catalog, rwenzori, date(2016, 1, 1), date(2016, 12, 31))) == 2
    assert len(recorded(catalog, rwenzori, *time, 5000)) == 2
