"""Real third-party files: other people's CRSs, nodata, dimension orders and gaps."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import Transformer
from rasterio.features import rasterize

from landslide_dist.config.cube import GridConfig
from landslide_dist.config.sources import PointsSource, RasterSource, VectorSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Grid, Window
from landslide_dist.schema import ELEVATION, LANDSLIDE, categorical
from landslide_dist.sources import open_sources, target_grid
from landslide_dist.sources.points import open_points
from landslide_dist.sources.raster import open_raster
from landslide_dist.sources.target import open_grid
from landslide_dist.sources.vector import open_areas, open_classes

from .conftest import whole

pytestmark = pytest.mark.shared_data


def raw(path, band=1):
    with rasterio.open(path) as dataset:
        return dataset.read(band)


def sample(path, grid, block, count=300):
    """Values of a block at random pixels, and raster positions there by PROJ alone."""
    rows, columns = np.nonzero(np.isfinite(block))
    chosen = np.random.default_rng(0).choice(len(rows), count)
    rows, columns = rows[chosen], columns[chosen]
    with rasterio.open(path) as dataset:
        to_raster = Transformer.from_crs(grid.crs, dataset.crs, always_xy=True)
        x, y = ~dataset.transform @ to_raster.transform(grid.x[columns], grid.y[rows])
    return block[rows, columns], x, y


def bilinear(values, x, y):
    """Interpolation of the four nearest pixels, written once more."""
    x0, y0 = np.floor(x - 0.5).astype(int), np.floor(y - 0.5).astype(int)
    fx, fy = x - 0.5 - x0, y - 0.5 - y0
    top = values[y0, x0] * (1 - fx) + values[y0, x0 + 1] * fx
    bottom = values[y0 + 1, x0] * (1 - fx) + values[y0 + 1, x0 + 1] * fx
    return top * (1 - fy) + bottom * fy


def assert_blocks_agree(source, grid, size_px):
    reference = whole(source, grid)
    for window in grid.windows(size_px):
        np.testing.assert_array_equal(source.read(window), reference[window.slices])
    return reference


def test_ecuador_elevation_is_bit_exact(shared_data):
    path = str(shared_data / "ecuador_rbsf" / "ta.tif")
    grid = open_grid(GridConfig(like=path))
    assert (grid.crs, grid.shape, grid.pixel_m) == ("EPSG:32717", (415, 383), 10)
    block = whole(open_raster(RasterSource(path=path, band=4), ELEVATION, grid), grid)
    assert block.tobytes() == raw(path, 4).tobytes()


def test_ecuador_points_become_349_pixels(shared_data):
    folder = shared_data / "ecuador_rbsf"
    grid = open_grid(GridConfig(like=str(folder / "ta.tif")))
    path = str(folder / "lsl_points.csv")
    config = PointsSource(kind="points", path=path, crs="EPSG:32717", label="lslpts")
    block = whole(open_points(config, LANDSLIDE, grid), grid)
    # Two of the 175 points without a landslide lie in one pixel.
    assert [(block == value).sum() for value in (0, 1)] == [174, 175]
    table = pd.read_csv(path)
    elevation = raw(folder / "ta.tif", 4)
    rows, columns = grid.rows_columns(table.x.to_numpy(), table.y.to_numpy())
    np.testing.assert_array_equal(block[rows, columns], table.lslpts)
    np.testing.assert_allclose(elevation[rows, columns], table.elev, atol=1e-2)


def test_ecuador_region(shared_data, configure):
    folder = shared_data / "ecuador_rbsf"
    dem = {"path": str(folder / "ta.tif"), "band": 4}
    sources = {
        "elevation": dem,
        "continuous": {"slope_r": {"source": {**dem, "band": 1}, "units": "degree"}},
        "inventory": {"kind": "points", "path": str(folder / "lsl_points.csv"),
                      "crs": "EPSG:32717", "label": "lslpts"},
        "study_area": {"kind": "vector", "path": str(folder / "study_mask.geojson")},
    }  # fmt: skip
    config = configure(sources, {"like": dem["path"]})
    grid = target_grid(config)
    opened = open_sources(config, grid)
    assert list(opened) == ["elevation", "slope_r", "landslide"]
    block = assert_blocks_agree(opened["landslide"], grid, 128)
    assert [(block == value).sum() for value in (0, 1)] == [174, 175]
    inside = whole(open_areas(config.sources.study_area, LANDSLIDE, grid), grid)
    assert inside.sum() * grid.pixel_m**2 / 1e6 == pytest.approx(9.58, abs=0.05)
    sources["inventory"]["crs"] = "EPSG:32718"
    with pytest.raises(DataError, match="350 of 350 points lie outside the grid"):
        open_sources(configure(sources, {"like": dem["path"]}), grid)


@pytest.mark.parametrize(
    ("attribute", "num_classes"), [("rocktype1", 7), ("lithname1", 8), ("max_age_ma", None)]
)
def test_hamersley_geology(shared_data, attribute, num_classes):
    folder = shared_data / "geology_hamersley"
    grid = open_grid(GridConfig(like=str(folder / "dtm_rp.tif")))
    path = str(folder / "geology.geojson")
    frame = gpd.read_file(path)
    names = sorted(frame[attribute].dropna().unique())
    if num_classes is not None:
        assert len(names) == num_classes
        rock = categorical("rock", dict(enumerate(names, start=1)))
        config = VectorSource(kind="vector", path=path, attribute=attribute)
    else:
        rock = categorical("rock", {1: "some age"})
        as_text = [str(int(n)) if float(n).is_integer() else str(n) for n in names]
        config = VectorSource(
            kind="vector", path=path, attribute=attribute, mapping=dict.fromkeys(as_text, 1)
        )
    block = assert_blocks_agree(open_classes(config, rock, grid), grid, 64)
    code = {name: (i if num_classes else 1) for i, name in enumerate(names, start=1)}
    shapes = [(g, code.get(v, 0)) for g, v in zip(frame.geometry, frame[attribute], strict=True)]
    expected = rasterize(shapes, grid.shape, transform=grid.transform, dtype="uint8")
    np.testing.assert_array_equal(block, expected)
    assert set(np.unique(block)) - {0} == set(code.values())


def test_hamersley_geology_needs_codes(shared_data):
    folder = shared_data / "geology_hamersley"
    grid = open_grid(GridConfig(like=str(folder / "dtm_rp.tif")))
    config = VectorSource(
        kind="vector", path=str(folder / "geology.geojson"), attribute="lithname1"
    )
    with pytest.raises(DataError, match="without a code of 'rock': 'basalt', 'dolerite'"):
        open_classes(config, categorical("rock", {1: "rhyolite"}), grid)
    faults = VectorSource(kind="vector", path=str(folder / "faults.geojson"))
    with pytest.raises(DataError, match="holds MultiLineString where polygons"):
        open_areas(faults, LANDSLIDE, grid)


@pytest.mark.parametrize(("pixel_m", "method"), [(30, "nearest"), (90, "mode")])
def test_zion_land_cover(shared_data, pixel_m, method):
    """Oblong pixels (31.530 x 31.525 m) onto square ones."""
    path = str(shared_data / "zion_landcover" / "nlcd.tif")
    with pytest.raises(ConfigError, match="square pixels are needed"):
        open_grid(GridConfig(like=path))
    grid = open_grid(GridConfig(like=path, pixel_m=pixel_m))
    cover = categorical("cover", {code: f"class {code}" for code in range(1, 9)})
    source = open_raster(RasterSource(path=path), cover, grid)
    assert source.resampling.name == method
    block = assert_blocks_agree(source, grid, 333)
    values = raw(path)
    known = block != 0
    assert known.mean() == pytest.approx((values != 255).mean(), abs=0.01)
    shares = [np.bincount(v, minlength=9)[1:9] / v.size for v in (block[known], values[values < 9])]
    np.testing.assert_allclose(*shares, atol=0.002 if method == "nearest" else 0.03)
    if method == "nearest":
        found, x, y = sample(path, grid, np.where(known, block, np.nan))
        near_edge = np.minimum(np.abs(x - np.rint(x)), np.abs(y - np.rint(y))) < 1e-6
        nearest = values[np.floor(y).astype(int), np.floor(x).astype(int)]
        np.testing.assert_array_equal(found[~near_edge], nearest[~near_edge])


@pytest.mark.parametrize(
    ("file", "crs", "pixel_m", "method"),
    [("zion_landcover/srtm90.tif", "EPSG:26912", 30, "bilinear"),
     ("hokkaido_atsuma/alos_dsm30.tif", "EPSG:32654", 10, "bilinear"),
     ("hokkaido_atsuma/alos_dsm30.tif", "EPSG:32654", 30, "average")],
)  # fmt: skip
def test_degrees_to_utm(shared_data, file, crs, pixel_m, method):
    path = str(shared_data / file)
    grid = open_grid(GridConfig(like=path, crs=crs, pixel_m=pixel_m))
    source = open_raster(RasterSource(path=path), ELEVATION, grid)
    assert source.resampling.name == method
    reference = whole(source, grid)
    assert np.isfinite(reference).mean() > 0.9
    for window in (Window(3, 5, 130, 70), Window(200, 300, 37, 70)):
        np.testing.assert_array_equal(source.read(window), reference[window.slices])
    found, x, y = sample(path, grid, reference)
    values = raw(path).astype(np.float64)
    inside = (x > 1) & (x < values.shape[1] - 1) & (y > 1) & (y < values.shape[0] - 1)
    found, x, y = found[inside], x[inside], y[inside]
    # An average and an interpolation differ by the terrain's roughness, not by a shift.
    tolerance = 0.01 if method == "bilinear" else 4
    difference = found - bilinear(values, x, y)
    assert np.abs(difference).max() < tolerance * (1 if method == "bilinear" else 4)
    assert abs(difference.mean()) < tolerance / 20


def test_bigtujunga(shared_data):
    path = str(shared_data / "dem_bigtujunga" / "bigtujunga_srtm30_utm11.tif")
    grid = open_grid(GridConfig(like=path))
    source = open_raster(RasterSource(path=path, valid_range=(-500, 9000)), ELEVATION, grid)
    block, values = assert_blocks_agree(source, grid, 400), raw(path)
    valid = values != 32767
    np.testing.assert_array_equal(np.isfinite(block), valid)
    np.testing.assert_array_equal(block[valid], values[valid])
    finer = open_grid(GridConfig(like=path, pixel_m=10, bounds=(380_000, 3.79e6, 384_000, 3.794e6)))
    resampled = whole(open_raster(RasterSource(path=path), ELEVATION, finer), finer)
    assert 315 <= np.nanmin(resampled) < np.nanmax(resampled) <= 2295


def test_italy_netcdf_agrees_with_the_mosaic(shared_data):
    folder = shared_data / "sen12_italy"
    mosaic = str(folder / "dem10m_emilia_romagna_north_gaps.tif")
    bounds = (705_275, 4_911_365, 706_555, 4_912_645)
    grid = open_grid(GridConfig(like=mosaic, bounds=bounds))
    assert grid.shape == (128, 128)
    cube = str(folder / "italy_s2_4120.nc")
    config = RasterSource(path=cube, variable="DEM", select={"time": 0})
    block = whole(open_raster(config, ELEVATION, grid), grid)
    np.testing.assert_array_equal(
        block, whole(open_raster(RasterSource(path=mosaic), ELEVATION, grid), grid)
    )
    assert (np.nanmin(block), np.nanmax(block)) == (133, 323)
    labels = RasterSource(path=cube, variable="MASK", select={"time": 14})
    assert (whole(open_raster(labels, LANDSLIDE, grid), grid) == 1).sum() == 631


def test_italy_gaps_are_nodata(shared_data):
    path = str(shared_data / "sen12_italy" / "dem10m_emilia_romagna_north_gaps.tif")
    grid = open_grid(GridConfig(like=path))
    source = open_raster(RasterSource(path=path), ELEVATION, grid)
    missing = sum(np.isnan(source.read(w)).sum() for w in grid.windows(2048))
    assert missing / (grid.height * grid.width) == pytest.approx(0.282, abs=0.001)


def test_italy_polygons(shared_data, tmp_path):
    """One polygon touches itself: refused as the file is, burnt to its pixels when repaired."""
    path = shared_data / "sen12_italy" / "italy_4120_landslides_from_mask.gpkg"
    grid = Grid.from_bounds("EPSG:32632", 10, (705_275, 4_911_365, 706_555, 4_912_645))
    config = VectorSource(kind="vector", path=str(path))
    with pytest.raises(DataError, match="features 11 have invalid geometries.*make_valid"):
        open_areas(config, LANDSLIDE, grid)
    frame = gpd.read_file(path)
    frame.set_geometry(frame.make_valid()).to_file(tmp_path / "valid.gpkg")
    config = VectorSource(kind="vector", path=str(tmp_path / "valid.gpkg"))
    block = assert_blocks_agree(open_areas(config, LANDSLIDE, grid), grid, 50)
    mask = RasterSource(
        path=str(shared_data / "sen12_italy" / "italy_s2_4120.nc"), variable="MASK",
        select={"time": 0},
    )  # fmt: skip
    np.testing.assert_array_equal(block, whole(open_raster(mask, LANDSLIDE, grid), grid))
    assert block.sum() == 631
