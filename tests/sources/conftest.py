"""Small real files of every kind, and configurations around them."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import box

from landslide_dist.config.load import validate
from landslide_dist.grid import Grid, Window

UTM = "EPSG:32632"


@pytest.fixture
def grid():
    """60 x 80 pixels of 10 m."""
    return Grid(UTM, Affine(10, 0, 500_000, 0, -10, 5_000_000), (60, 80))


@pytest.fixture
def write_raster(tmp_path):
    def write(values, transform, crs=UTM, name="raster.tif", nodata=None, **profile):
        values = np.asarray(values)
        bands = values if values.ndim == 3 else values[None]
        path = tmp_path / name
        with rasterio.open(
            path, "w", driver="GTiff", count=bands.shape[0], height=bands.shape[1],
            width=bands.shape[2], dtype=bands.dtype, crs=crs, transform=transform, nodata=nodata,
            **profile,
        ) as dataset:  # fmt: skip
            dataset.write(bands)
        return str(path)

    return write


@pytest.fixture
def write_layer(tmp_path):
    def write(geometries, name="layer.gpkg", crs=UTM, layer=None, **columns):
        path = tmp_path / name
        frame = gpd.GeoDataFrame(columns, geometry=list(geometries), crs=crs)
        if path.suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_file(path, **({"layer": layer} if layer else {}))
        return str(path)

    return write


@pytest.fixture
def configure(tmp_path):
    """A whole run around some sources, through the configuration's own checks."""

    def make(sources, grid=None):
        cube = {"location": str(tmp_path / "cube.zarr")}
        if "synthetic" not in sources:
            cube["grid"] = grid or {
                "crs": UTM,
                "pixel_m": 10,
                "bounds": [500_000, 4_999_400, 500_800, 5_000_000],
            }
        tree = {"name": "t", "run_dir": str(tmp_path), "cube": cube, "sources": sources}
        return validate(tree, "test")

    return make


def whole(source, grid):
    """A source read as one block."""
    return source.read(Window(0, 0, *grid.shape))


def area(grid, y0, x0, y1, x1):
    """The box that covers pixels [y0, y1) x [x0, x1)."""
    left, top = grid.transform @ (x0, y0)
    right, bottom = grid.transform @ (x1, y1)
    return box(left, bottom, right, top)
