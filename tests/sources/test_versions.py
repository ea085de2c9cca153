"""Which version of an input was read: every file that has a say in its pixels."""

import gzip
import os
import threading
import zipfile
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from landslide_dist.config.cube import GridConfig
from landslide_dist.config.fingerprint import ingest_hash
from landslide_dist.config.imagery import ReflectanceConfig
from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console
from landslide_dist.schema import ELEVATION
from landslide_dist.sources.files import describe, describe_raster
from landslide_dist.sources.imagery import open_images
from landslide_dist.sources.raster import open_raster
from landslide_dist.stages.ingest import IngestBlock, ingest
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

VRT = """<VRTDataset rasterXSize="80" rasterYSize="60"><SRS>EPSG:32632</SRS>
<GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>
<VRTRasterBand dataType="{dtype}" band="1">{parts}</VRTRasterBand></VRTDataset>"""
PART = """<SimpleSource><SourceFilename relativeToVRT="{beside}">{name}</SourceFilename>
<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" xSize="40" ySize="60"/>
<DstRect xOff="{x0}" yOff="0" xSize="40" ySize="60"/></SimpleSource>"""


@pytest.fixture
def write_vrt(tmp_path):
    """A mosaic of 60 x 40 pixels each, side by side."""

    def write(name, *sources, dtype="Float32"):
        parts = [
            PART.format(name=source, x0=40 * i, beside=int("/" not in source))
            for i, source in enumerate(sources)
        ]
        path = tmp_path / name
        path.write_text(VRT.format(parts="".join(parts), dtype=dtype))
        return str(path)

    return write


@pytest.fixture
def mosaic(grid, write_raster, write_vrt):
    """A virtual raster of one tile, and of another in a virtual raster of its own."""

    def tile(name, value, shift_px):
        place = grid.transform @ Affine.translation(shift_px, 0)
        write_raster(np.full((60, 40), value, np.float32), place, name=name)

    tile("west.tif", 1, 0)
    tile("east.tif", 2, 40)
    write_vrt("east.vrt", "east.tif")
    return write_vrt("both.vrt", "west.tif", "east.vrt")


def names(entries):
    return [Path(entry["path"]).name for entry in entries]


def by_hand(path):
    status = os.stat(path)
    moment = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="microseconds")
    return {"path": str(path), "size": status.st_size, "mtime": moment}


def replace(path):
    """The same raster with other values, as large as before."""
    with rasterio.open(path, "r+") as dataset:
        dataset.write(dataset.read() + 1000)
    later = path.stat().st_mtime + 1
    os.utime(path, (later, later))


def test_a_plain_raster_has_one_entry_and_the_hash_that_it_had(grid, write_raster, configure):
    path = write_raster(np.ones(grid.shape, np.float32), grid.transform)
    config = configure({"elevation": {"path": path}})
    task = IngestBlock.of(config, config.cube.location)
    assert task.provenance() == [by_hand(path)]
    assert ingest_hash(config, task.provenance()) == ingest_hash(config, [by_hand(path)])
    assert describe_raster(f"file://{path}") == [by_hand(path) | {"path": f"file://{path}"}]


def test_relative_paths_stay_as_they_are_given(grid, write_raster, tmp_path, monkeypatch):
    write_raster(np.ones(grid.shape, np.float32), grid.transform, name="dem.tif")
    monkeypatch.chdir(tmp_path)
    assert [entry["path"] for entry in describe_raster("./dem.tif")] == ["./dem.tif"]


def test_a_virtual_raster_has_the_files_of_its_sources(grid, mosaic, tmp_path):
    source = open_raster(RasterSource(path=mosaic), ELEVATION, grid)
    names_of_all = ["both.vrt", "west.tif", "east.vrt", "east.tif"]
    assert source.provenance() == [by_hand(tmp_path / name) for name in names_of_all]


@pytest.mark.parametrize("tile", ["west.tif", "east.tif"])
def test_a_cube_of_other_tiles_is_another(configure, mosaic, tmp_path, tile):
    config = configure({"elevation": {"path": mosaic}})
    ingest(config)
    ingest(config)
    replace(tmp_path / tile)
    with pytest.raises(ConfigError, match="was ingested from other inputs"):
        ingest(config)
    ingest(config, overwrite=True)
    elevation = cube.array(open_group(config.cube.location), "elevation")[:]
    assert elevation.max() > 1000


def test_a_killed_ingest_does_not_go_on_with_other_tiles(configure, mosaic, tmp_path):
    config = configure({"elevation": {"path": mosaic}})
    ingest(config)
    del open_group(config.cube.location, "r+").attrs["ingested"]
    replace(tmp_path / "east.tif")
    with pytest.raises(ConfigError, match="was ingested from other inputs"):
        ingest(config)


def test_the_raster_of_the_grid_counts(grid, write_raster, configure, tmp_path):
    """It need not be a source: the blocks that are left would be those of another grid."""
    values = np.ones((60, 40), np.float32)
    dem = write_raster(values, grid.transform, name="dem.tif")
    like = write_raster(values, grid.transform, name="like.tif")
    config = configure({"elevation": {"path": dem}})
    of_like = config.cube.model_copy(update={"grid": GridConfig(like=like)})
    config = config.model_copy(update={"cube": of_like})
    ingest(config)
    write_raster(values, grid.transform @ Affine.translation(3, 0), name="like.tif")
    with pytest.raises(ConfigError, match="was ingested from other inputs"):
        ingest(config)


def test_files_beside_a_raster_count(grid, write_raster, write_vrt, tmp_path):
    path = write_raster(np.ones((60, 40), np.float32), grid.transform, name="tile.tif")
    aside = tmp_path / "tile.tif.aux.xml"
    band = "<PAMDataset><PAMRasterBand band='1'>{}</PAMRasterBand></PAMDataset>"
    aside.write_text(band.format("<NoDataValue>1</NoDataValue>"))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False, TIFF_USE_OVR=True),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.write_mask(np.ones((60, 40), bool))
    statistics = "<Metadata><MDI key='STATISTICS_MEAN'>1</MDI></Metadata>"
    beside = {"tile.tif", "tile.tif.aux.xml", "tile.tif.msk"}
    assert names(describe_raster(path))[0] == "tile.tif"
    assert set(names(describe_raster(path))) == beside
    before = describe_raster(path)
    aside.write_text(band.format("<NoDataValue>1</NoDataValue>" + statistics))
    assert describe_raster(path) == before, "viewers write these"
    aside.write_text(band.format("<NoDataValue>2</NoDataValue>"))
    assert describe_raster(path) != before
    aside.unlink()
    without = describe_raster(path)
    aside.write_text(band.format(statistics))
    assert describe_raster(path) == without


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_world_file_counts(tmp_path, write_raster):
    path = write_raster(np.ones((60, 40), np.float32), None, None, "plain.tif")
    assert names(describe_raster(path)) == ["plain.tif"]
    (tmp_path / "plain.tfw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    assert names(describe_raster(path)) == ["plain.tif", "plain.tfw"]


def test_parts_of_files_are_versions_of_the_file(grid, write_raster, write_vrt, tmp_path):
    path = write_raster(np.ones((60, 40), np.float32), grid.transform, name="pages.tif")
    page = f"GTIFF_DIR:1:{path}"
    assert describe_raster(page) == [by_hand(path)]
    virtual = write_vrt("page.vrt", page)
    assert describe_raster(virtual) == [by_hand(virtual), by_hand(path)]


def test_a_tile_that_is_not_there_is_another_version(mosaic, tmp_path):
    before = describe_raster(mosaic)
    (tmp_path / "east.tif").rename(tmp_path / "away.tif")
    assert names(describe_raster(mosaic)) == names(before)
    assert describe_raster(mosaic)[-1] == {"path": str(tmp_path / "east.tif")}
    assert describe_raster(mosaic) != before


def test_a_file_in_an_archive_is_a_version_of_the_archive(grid, write_raster, write_vrt, tmp_path):
    path = write_raster(np.ones((60, 40), np.float32), grid.transform, name="dem.tif")
    archive, zipped = tmp_path / "dem.zip", tmp_path / "dem.tif.gz"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "inside/dem.tif")
    zipped.write_bytes(gzip.compress(Path(path).read_bytes()))
    for inside, outside in [
        (f"/vsizip/{archive}/inside/dem.tif", archive),
        (f"/vsigzip/{zipped}", zipped),
    ]:
        assert describe_raster(inside) == [by_hand(outside) | {"path": inside}]
        virtual = write_vrt("archived.vrt", inside)
        assert describe_raster(virtual)[1:] == [by_hand(outside) | {"path": inside}]


@pytest.mark.parametrize(
    "path",
    ["/vsimem/dem.tif", "/vsizip//nowhere/a.zip/dem.tif", "/vsigs/b/k.tif", "NETCDF:/no/a.nc:dem"],
)
def test_it_is_said_what_has_no_version(path, write_vrt):
    with console.capture() as said:
        assert describe(path) == [{"path": path}]
    assert f"{path}: nothing tells its versions apart" in said.get()
    assert describe_raster(write_vrt("virtual.vrt", path))[1:] == [{"path": path}]


def test_a_file_of_a_server_is_known_by_its_etag(tmp_path):
    class Tagged(SimpleHTTPRequestHandler):
        def end_headers(self):
            self.send_header("ETag", '"one"')
            super().end_headers()

    (tmp_path / "dem.tif").write_bytes(b"12345")
    handler = partial(Tagged, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/dem.tif"
        for path in (url, f"/vsicurl/{url}"):
            assert describe(path) == [{"path": path, "size": 5, "etag": "one"}]
        server.shutdown()


def test_images_of_virtual_rasters(grid, write_raster, write_vrt):
    for name, shift_px in (("west.tif", 0), ("east.tif", 40)):
        place = grid.transform @ Affine.translation(shift_px, 0)
        write_raster(np.full((60, 40), 2000, np.uint16), place, name=name)
    red = write_vrt("red.vrt", "west.tif", "east.tif", dtype="UInt16")
    tree = {
        "bands": ["red"],
        "boa_offset": 0,
        "images": [{"role": "pre", "source": {"kind": "files", "bands": {"red": red}}}],
    }
    (step,) = open_images(ReflectanceConfig.model_validate(tree), grid).provenance()
    assert names(step["files"]) == ["red.vrt", "west.tif", "east.tif"]
    assert all(entry["size"] and entry["mtime"] for entry in step["files"])
