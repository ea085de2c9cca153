"""STAC items as three catalogues write them, from files, folders of items and over http."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime

import numpy as np
import pystac
import pytest
import s3fs

from landslide_dist.config.imagery import ReflectanceConfig, StacSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.sources.imagery import open_images
from landslide_dist.sources.scene import Span
from landslide_dist.sources.stac import stac_scenes

from .conftest import UTM, whole

EARTH_SEARCH = {"red": "red", "nir": "nir", "scl": "scl"}
PLANETARY = {"red": "B04", "nir": "B08", "scl": "SCL"}
CDSE = {"red": "B04_10m", "nir": "B08_10m", "scl": "SCL_20m"}
BASELINE = {"s2:processing_baseline": "05.09"}


def make_item(name, hrefs, when="2023-04-28T10:06:01Z", properties=BASELINE, fields=None):
    """An item; ``hrefs`` of assets by key, ``fields`` of each asset beside the href."""
    moment = datetime.fromisoformat(when).astimezone(UTC)
    box = [9.0, 45.1, 9.1, 45.2]
    geometry = {"type": "Point", "coordinates": box[:2]}
    item = pystac.Item(name, geometry, box, moment, dict(properties))
    for key, href in hrefs.items():
        item.add_asset(key, pystac.Asset(str(href), extra_fields=dict(fields or {})))
    return item


def scenes(path, *, bands=("red",), boa_offset="metadata", span=None):
    return stac_scenes(StacSource(kind="stac", path=str(path)), bands, boa_offset, span or Span())


@pytest.fixture
def save(tmp_path):
    """Items as an ItemCollection, or one as a file of its own."""

    def write(*items, name="items.json"):
        tree = items[0].to_dict(False) if name == "item.json" else None
        tree = tree or pystac.ItemCollection(items).to_dict()
        (tmp_path / name).write_text(json.dumps(tree))
        return tmp_path / name

    return write


@pytest.fixture
def pixels(grid, write_raster):
    """Files of a small scene, by band."""
    rng = np.random.default_rng(0)
    return {
        "red": write_raster(rng.integers(1001, 9999, grid.shape, np.uint16), grid.transform,
                            name="B04.tif"),
        "nir": write_raster(np.full(grid.shape, 4000, np.uint16), grid.transform, name="B08.tif"),
        "scl": write_raster(np.full(grid.shape, 4, np.uint8), grid.transform, name="SCL.tif"),
    }  # fmt: skip


class TestAssets:
    @pytest.mark.parametrize("keys", [EARTH_SEARCH, PLANETARY, CDSE])
    def test_by_key(self, save, keys):
        hrefs = {key: f"/data/{key}.tif" for key in keys.values()}
        hrefs |= {"visual": "/data/rgb.tif", "B04_20m": "/data/coarse.tif"}
        (scene,) = scenes(save(make_item("a", hrefs)), bands=("nir", "red"))
        found = {band: source.path for band, source in scene.bands.items()}
        assert found == {band: f"/data/{keys[band]}.tif" for band in ("nir", "red")}
        assert scene.classes.path == f"/data/{keys['scl']}.tif"

    @pytest.mark.parametrize(
        "described",
        [{"eo:bands": [{"name": "red", "common_name": "red"}]},
         {"bands": [{"name": "B04", "eo:common_name": "red"}]},
         {"bands": [{"name": "B04"}]}],
    )  # fmt: skip
    def test_by_what_they_say_they_hold(self, save, described):
        item = make_item("a", {"SCL": "/data/scl.tif"})
        both = {key: [*value, {"name": "other"}] for key, value in described.items()}
        item.add_asset("all", pystac.Asset("/data/rgb.tif", extra_fields=both))
        item.add_asset("image-4", pystac.Asset("/data/4.tif", extra_fields=described))
        (scene,) = scenes(save(item))
        assert scene.bands["red"].path == "/data/4.tif"

    def test_missing(self, save):
        path = save(make_item("S2A_1", {"red": "/r.tif"}))
        with pytest.raises(DataError, match="'S2A_1' has no asset of scl .*it has red: Level-2A"):
            scenes(path)
        with pytest.raises(DataError, match="has no asset of nir08 .nir08 or B8A."):
            scenes(path, bands=("nir08",))

    def test_nodata(self, save):
        fields = {"raster:bands": [{"nodata": 65535}]}
        (old,) = scenes(save(make_item("a", {"red": "/r", "scl": "/s"}, fields=fields)))
        (new,) = scenes(save(make_item("a", {"red": "/r", "scl": "/s"}, fields={"nodata": 7})))
        assert (old.bands["red"].nodata, new.bands["red"].nodata) == (65535, 7)


class TestOffsets:
    def offset(self, save, properties, fields=None):
        hrefs = {"red": "/r.tif", "scl": "/s.tif"}
        return scenes(save(make_item("a", hrefs, properties=properties, fields=fields)))[0].offsets

    @pytest.mark.parametrize(
        ("properties", "expected"),
        [({"s2:processing_baseline": "05.09"}, 1000),
         ({"s2:processing_baseline": "04.00"}, 1000),
         ({"s2:processing_baseline": "03.01"}, 0),
         ({"processing:version": "05.11"}, 1000),
         ({"processing:version": "02.14"}, 0),
         ({**BASELINE, "earthsearch:boa_offset_applied": True}, 0),
         ({**BASELINE, "earthsearch:boa_offset_applied": False}, 1000)],
    )  # fmt: skip
    def test_of_the_baseline(self, save, properties, expected):
        assert self.offset(save, properties) == {"red": expected}

    @pytest.mark.parametrize(
        "fields",
        [{"raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
         {"bands": [{"raster:scale": 0.0001, "raster:offset": -0.1}]},
         {"raster:scale": 0.0001, "raster:offset": -0.1}],
    )  # fmt: skip
    def test_stated(self, save, fields):
        assert self.offset(save, {}, fields) == {"red": 1000}
        # Stated for what ESA delivers, repeated where the pixels are shifted already.
        assert self.offset(save, {"earthsearch:boa_offset_applied": True}, fields) == {"red": 0}

    def test_an_offset_of_zero_is_an_offset(self, save):
        fields = {"raster:bands": [{"scale": 0.0001, "offset": 0}]}
        assert self.offset(save, BASELINE, fields) == {"red": 0}

    def test_of_the_configuration(self, save):
        path = save(make_item("a", {"red": "/r.tif", "scl": "/s.tif"}))
        assert scenes(path, boa_offset=900)[0].offsets == {"red": 900}

    def test_not_known(self, save):
        with pytest.raises(ConfigError, match="'a' does not say which .*give boa_offset: 1000"):
            self.offset(save, {})
        with pytest.raises(DataError, match="baseline 'new', which is not like 05.09"):
            self.offset(save, {"s2:processing_baseline": "new"})
        with pytest.raises(DataError, match="scale 2.75e-05; only digital numbers"):
            self.offset(save, {}, {"raster:bands": [{"scale": 0.0000275, "offset": -0.2}]})


class TestPasses:
    def acquisitions(self, save, *properties):
        hrefs = {"red": "/r.tif", "scl": "/s.tif"}
        items = [
            make_item(f"{i}", hrefs, properties=BASELINE | p) for i, p in enumerate(properties)
        ]
        return [scene.acquisition for scene in scenes(save(*items))]

    def test_a_datatake_is_one_whatever_the_baseline(self, save):
        one, two, other = self.acquisitions(
            save,
            {"s2:datatake_id": "GS2A_20230428T100601_040993_N05.09"},
            {"s2:datatake_id": "GS2A_20230428T100601_040993_N05.10"},
            {"s2:datatake_id": "GS2B_20230428T101601_032001_N05.09"},
        )
        assert one == two != other

    def test_day_platform_and_orbit(self, save):
        one, two, orbit, platform = self.acquisitions(
            save,
            {"platform": "sentinel-2a", "sat:relative_orbit": 22},
            {"platform": "sentinel-2a", "s2:product_uri": "S2A_MSIL2A_X_N0509_R022_T32TQP_X.SAFE"},
            {"platform": "sentinel-2a", "sat:relative_orbit": 65},
            {"platform": "sentinel-2b", "sat:relative_orbit": 22},
        )
        assert one == two
        assert len({one, orbit, platform}) == 3

    def test_the_newest_processing_of_a_tile_lies_on_top(self, save):
        hrefs = {"red": "/r.tif", "scl": "/s.tif"}
        items = [
            make_item(name, hrefs, properties={"grid:code": f"MGRS-{tile}", **baseline})
            for name, tile, baseline in (
                ("a", "32TQQ", BASELINE), ("b", "32TQP", {"s2:processing_baseline": "03.00"}),
                ("c", "32TQP", BASELINE),
            )
        ]  # fmt: skip
        ordered = sorted(scenes(save(*items)), key=lambda scene: scene.order)
        assert [scene.name for scene in ordered] == ["c", "b", "a"]


class TestFiles:
    def test_relative_links_of_a_collection_lie_beside_it(self, save, tmp_path):
        path = save(make_item("a", {"red": "./x/r.tif", "scl": "s.tif"}))
        (scene,) = scenes(path)
        assert scene.bands["red"].path == str(tmp_path / "x" / "r.tif")
        assert scene.classes.path == str(tmp_path / "s.tif")
        assert scene.metadata == str(path)

    def test_one_item(self, save, tmp_path):
        (scene,) = scenes(save(make_item("a", {"red": "r.tif", "scl": "s.tif"}), name="item.json"))
        assert (scene.name, scene.day) == ("a", date(2023, 4, 28))
        assert scene.bands["red"].path == str(tmp_path / "r.tif")

    @pytest.mark.parametrize(
        "href",
        ["https://host/a/r.tif?sig=s%2Bt", "s3://bucket/a/r.tif", "/data/r.tif"],
    )
    def test_links_elsewhere_are_kept(self, save, href):
        (scene,) = scenes(save(make_item("a", {"red": href, "scl": "s.tif"})))
        assert scene.bands["red"].path == href

    def test_links_that_nothing_here_follows(self, save):
        with pytest.raises(ConfigError, match="'a' keeps its pixels at 'ftp://host/r.tif'"):
            scenes(save(make_item("a", {"red": "ftp://host/r.tif", "scl": "s.tif"})))

    def test_a_catalog_with_folders_of_items(self, tmp_path):
        catalog = pystac.Catalog("s2", "scenes")
        extent = pystac.Extent(
            pystac.SpatialExtent([[9, 45, 10, 46]]),
            pystac.TemporalExtent([[datetime(2023, 4, 1, tzinfo=UTC), None]]),
        )
        collection = pystac.Collection("l2a", "Level-2A", extent)
        catalog.add_child(collection)
        for day in (26, 28):
            collection.add_item(
                make_item(f"i{day}", {"red": "./r.tif", "scl": "./s.tif"}, f"2023-04-{day}T10:00Z")
            )
        catalog.normalize_and_save(str(tmp_path), pystac.CatalogType.SELF_CONTAINED)
        for start in (tmp_path / "catalog.json", tmp_path / "l2a" / "collection.json"):
            found = scenes(start)
            assert [scene.day.day for scene in found] == [26, 28]
            assert found[0].bands["red"].path == str(tmp_path / "l2a" / "i26" / "r.tif")

    def test_the_day_is_that_of_utc(self, save):
        hrefs = {"red": "/r.tif", "scl": "/s.tif"}
        path = save(make_item("a", hrefs))
        text = path.read_text().replace("2023-04-28T10:06:01Z", "2023-04-29T01:30:00+09:00")
        assert "+09:00" in text
        path.write_text(text)
        (scene,) = scenes(path)
        assert scene.day == date(2023, 4, 28)

    def test_span(self, save):
        hrefs = {"red": "/r.tif", "scl": "/s.tif"}
        # What lies beside the span need not be complete.
        items = [make_item("b", {}, "2023-04-20T10:00Z"), make_item("a", hrefs)]
        path = save(*items)
        assert len(scenes(path, span=Span(date(2023, 4, 28), date(2023, 4, 28)))) == 1
        match = "no scene of 2023-05-01 to the last day: its 2 are of 2023-04-20 to 2023-04-28"
        with pytest.raises(DataError, match=match):
            scenes(path, span=Span(first=date(2023, 5, 1)))

    @pytest.mark.parametrize(
        ("text", "match"),
        [("{", "it is no JSON"), ("[1]", "cannot be read as"), ("{}", "cannot be read as"),
         ('{"type": "FeatureCollection", "features": [{"type": "Feature"}]}', "cannot be read as"),
         ('{"type": "FeatureCollection", "features": []}', "it has none at all")],
    )  # fmt: skip
    def test_what_is_no_stac(self, tmp_path, text, match):
        (tmp_path / "items.json").write_text(text)
        with pytest.raises(DataError, match=match) as caught:
            scenes(tmp_path / "items.json")
        assert "\n" not in str(caught.value)

    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match="nowhere.json' cannot be read as STAC: .*No such file"):
            scenes(tmp_path / "nowhere.json")


#: Serves a folder, parts of files too, and tells its port. A process of its own: GDAL keeps the
#: interpreter's lock while it waits for an answer.
SERVER = """
import socket, sys
from aiohttp import web
app = web.Application()
app.router.add_static("/", sys.argv[1])
sock = socket.create_server(("127.0.0.1", 0))
print(sock.getsockname()[1], flush=True)
web.run_app(app, sock=sock, print=None)
"""


@pytest.fixture
def http(tmp_path):
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


def image(path, grid, **settings):
    tree = {
        "bands": ["red", "nir"],
        "images": [{"role": "pre", "source": {"kind": "stac", "path": str(path)}}],
    }
    return open_images(ReflectanceConfig.model_validate(tree | settings), grid)


@pytest.mark.parametrize("keys", [EARTH_SEARCH, PLANETARY, CDSE])
def test_pixels(grid, save, pixels, keys):
    item = make_item("a", {key: pixels[band] for band, key in keys.items()})
    values, valid = whole(image(save(item), grid), grid)
    numbers = np.random.default_rng(0).integers(1001, 9999, grid.shape, np.uint16)
    np.testing.assert_array_equal(values[0, 0], numbers - 1000)
    assert (values[0, 1] == 3000).all()
    assert valid.all()


def test_over_http(grid, save, pixels, http):
    hrefs = {key: pixels[band].rpartition("/")[2] for band, key in PLANETARY.items()}
    save(make_item("a", hrefs | {"SCL": f"{http}/SCL.tif?sig=secret"}))
    blocks = image(f"{http}/items.json", grid)
    values, valid = whole(blocks, grid)
    assert (values[0, 1] == 3000).all()
    assert valid.all()
    (step,) = blocks.provenance()
    assert [entry["path"] for entry in step["files"]] == [
        f"{http}/{name}" for name in ("items.json", "B04.tif", "B08.tif", "SCL.tif")
    ]
    assert all(entry["size"] > 0 for entry in step["files"])
    with pytest.raises(DataError, match="nowhere.json' cannot be read as STAC"):
        image(f"{http}/nowhere.json", grid)


@pytest.mark.s3
def test_on_s3(grid, save, pixels, s3_server, monkeypatch):
    for name, value in s3_server.environment(s3_server.admin).items():
        monkeypatch.setenv(name, value)
    key, secret = s3_server.admin
    fs = s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=s3_server.endpoint)
    folder = f"s3://{s3_server.bucket}/stac"
    names = {key: pixels[band].rpartition("/")[2] for band, key in PLANETARY.items()}
    path = save(make_item("a", names), name="item.json")
    for file in (*pixels.values(), str(path)):
        fs.put_file(file, f"{folder}/{file.rpartition('/')[2]}")
    blocks = image(f"{folder}/item.json", grid)
    assert whole(blocks, grid)[1].all()
    files = blocks.provenance()[0]["files"]
    assert files[0]["path"] == f"{folder}/item.json"
    assert all(entry["etag"] for entry in files)


def test_two_tiles_of_one_pass_are_one_image(grid, save, pixels, write_raster):
    """The second tile has data where the first has none, in another order than the file's."""
    half = np.full(grid.shape, 2000, np.uint16)
    half[:, 40:] = 0
    other = write_raster(half, grid.transform, name="half.tif")
    scl = write_raster(np.where(half, 4, 0).astype(np.uint8), grid.transform, UTM, "half_scl.tif")
    base = {key: pixels[band] for band, key in PLANETARY.items()}
    pass_ = {"s2:datatake_id": "GS2A_20230428T100601_040993_N05.09"}
    first = base | {"B04": other, "B08": other, "SCL": scl}
    items = [
        make_item(name, hrefs, properties=BASELINE | pass_ | {"s2:mgrs_tile": tile})
        for name, hrefs, tile in (("b", base, "32TQQ"), ("a", first, "32TQP"))
    ]
    blocks = image(save(*items), grid)
    values, valid = whole(blocks, grid)
    assert valid.all()
    assert (values[0, 1, :, :40] == 1000).all()
    assert (values[0, 1, :, 40:] == 3000).all()
    assert [scene["name"] for scene in blocks.provenance()[0]["scenes"]] == ["a", "b"]
