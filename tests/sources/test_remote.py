"""Rasters and tables on a real S3 server: read with the usual AWS settings, versions by ETag."""

import os
import subprocess
import sys

import numpy as np
import pytest
import s3fs

from landslide_dist.config.sources import RasterSource
from landslide_dist.errors import DataError
from landslide_dist.schema import ELEVATION
from landslide_dist.sources.raster import open_raster

from ..services.fault_proxy import Faults, fault_proxy
from .conftest import whole

pytestmark = pytest.mark.s3


VRT = """<VRTDataset rasterXSize="80" rasterYSize="60"><SRS>EPSG:32632</SRS>
<GeoTransform>500000, 10, 0, 5000000, 0, -10</GeoTransform>
<VRTRasterBand dataType="Float32" band="1"><SimpleSource>
<SourceFilename relativeToVRT="1">dem.tif</SourceFilename><SourceBand>1</SourceBand>
</SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.fixture
def uploaded(grid, write_raster, s3_server, monkeypatch):
    for name, value in s3_server.environment(s3_server.admin).items():
        monkeypatch.setenv(name, value)
    values = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    key, secret = s3_server.admin
    fs = s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=s3_server.endpoint)
    url = f"s3://{s3_server.bucket}/rasters/dem.tif"
    fs.put_file(write_raster(values, grid.transform, tiled=True), url)
    return url, values


def test_a_raster_on_s3(grid, uploaded):
    url, values = uploaded
    source = open_raster(RasterSource(path=url), ELEVATION, grid)
    np.testing.assert_array_equal(whole(source, grid), values)
    (entry,) = source.provenance()
    assert entry["path"] == url
    assert entry["size"] > values.nbytes
    assert len(entry["etag"]) == 32


def test_a_virtual_raster_on_s3_has_the_versions_of_its_tiles(grid, uploaded, s3_server):
    url, values = uploaded
    key, secret = s3_server.admin
    fs = s3fs.S3FileSystem(key=key, secret=secret, endpoint_url=s3_server.endpoint)
    virtual = url.replace("dem.tif", "dem.vrt")
    fs.pipe_file(virtual, VRT.encode())
    source = open_raster(RasterSource(path=virtual), ELEVATION, grid)
    np.testing.assert_array_equal(whole(source, grid), values)
    before = source.provenance()
    assert [entry["path"] for entry in before] == [virtual, url]
    fs.pipe_file(url, fs.cat_file(url)[:-4] + b"1234")
    fs.invalidate_cache()
    after = source.provenance()
    assert after[0] == before[0]
    assert after[1]["size"] == before[1]["size"]
    assert after[1]["etag"] != before[1]["etag"]


READ = """
import sys
import numpy as np
from landslide_dist.config.sources import RasterSource
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import ELEVATION
from landslide_dist.sources.band import GdalBand
from landslide_dist.sources.raster import open_raster
band = GdalBand.open(sys.argv[1], 1, None, None)
grid = Grid(band.crs, band.transform, band.shape)
source = open_raster(RasterSource(path=sys.argv[1]), ELEVATION, grid)
np.save(sys.argv[2], source.read(Window(0, 0, *grid.shape)))
"""


def test_a_busy_server_is_asked_again(uploaded, s3_server, tmp_path):
    url, values = uploaded
    # In a process of its own: GDAL would wait for the proxy while it keeps Python from running it.
    faults = Faults(lambda number, method, path: "503" if number % 3 == 1 else None)
    with fault_proxy(s3_server.endpoint, faults) as endpoint:
        environment = {**os.environ, "AWS_ENDPOINT_URL": endpoint}
        command = [sys.executable, "-c", READ, url, str(tmp_path / "read.npy")]
        subprocess.run(command, env=environment, check=True, timeout=200)
    assert faults.answered["503"] > 0
    np.testing.assert_array_equal(np.load(tmp_path / "read.npy"), values)


def test_a_missing_object(grid, uploaded):
    url = uploaded[0].replace("dem", "nowhere")
    with pytest.raises(DataError, match="nowhere.tif' cannot be read") as caught:
        open_raster(RasterSource(path=url), ELEVATION, grid)
    assert "\n" not in str(caught.value)
