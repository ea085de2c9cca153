"""The configs of the LACNN paper's region, on small files of the same names, formats and schema."""

import csv
import json
from pathlib import Path

import geopandas as gpd
import h5py
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import Point, box

from landslide_dist.config import load
from landslide_dist.config.categories import inspire
from landslide_dist.config.model import paper_models
from landslide_dist.sources import target_grid
from landslide_dist.store import cube

CONFIGS = Path(__file__).parents[2] / "configs" / "susceptibility"
RAW, PUBLISHED = CONFIGS / "veneto.yaml", CONFIGS / "veneto_published.yaml"
UTM = "EPSG:32632"
LEFT, TOP = 700_000, 5_100_000
HEIGHT, WIDTH, CELL_PX = 200, 240, 20
#: West of it lies another region.
BORDER_PX = 12
BOUNDS = [LEFT, TOP - 10 * HEIGHT, LEFT + 10 * WIDTH, TOP]
TILE = """<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32632</SRS>
<GeoTransform>{left}, 10, 0, {top}, 0, -10</GeoTransform>
<VRTRasterBand dataType="Float32" band="1"><NoDataValue>-9999</NoDataValue>{sources}
</VRTRasterBand></VRTDataset>"""
PART = """<SimpleSource><SourceFilename relativeToVRT="1">{name}</SourceFilename>
<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" xSize="{width}" ySize="{height}"/>
<DstRect xOff="{x0}" yOff="0" xSize="{width}" ySize="{height}"/></SimpleSource>"""


@pytest.fixture
def veneto(command_line, tmp_path, monkeypatch):
    """The command line, with LANDSLIDE_DATA set to a folder that holds veneto/."""
    command_line.environment["LANDSLIDE_DATA"] = str(tmp_path)
    monkeypatch.setenv("LANDSLIDE_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "veneto").mkdir()
    return command_line


def small(path):
    """Overrides that make a run quick: the small region, few epochs, narrow networks."""
    settings = [
        f"cube.grid={{crs: '{UTM}', pixel_m: 10, bounds: {BOUNDS}}}",
        "cube.storage={chunk_px: 32, shard_px: 96}",
        "patches.core_px=50",
        "patches.oversample=1",
        "predict.tile_px=128",
        "evaluate={bootstrap_draws: 10, bootstrap_block_px: 50}",
    ]
    if path == RAW:
        settings += [f"models.{name}.epochs=1" for name in ("llr", "nn", "lann", "cnn", "lacnn")]
        settings += [f"models.{name}.widths=[4, 8]" for name in ("cnn", "lacnn")]
        settings += [f"models.{name}.aligned.min_weight=0.01" for name in ("lann", "lacnn")]
    return settings


@pytest.mark.slow
def test_from_raw_files_to_scores(veneto, tmp_path):
    settings = small(RAW)
    write_raw_files(tmp_path / "veneto", load(RAW, settings))
    veneto("run", str(RAW), *flags(settings))

    config = load(RAW, settings)
    ds = cube.open_cube(config.cube.location).load()
    assert ds.distance.to_numpy().tolist() == [30, 100, 300]
    for name, variable in config.sources.categorical.items():
        expected = [
            target if isinstance(target, int) else config.categories()[name].code_of(target)
            for target in variable.source.mapping.values()
        ]
        centres = ds[name].to_numpy()[CELL_PX // 2 :: CELL_PX, CELL_PX // 2 :: CELL_PX].ravel()
        filled = range(len(centres) - 1)  # in the last cell nothing is mapped
        assert centres.tolist() == [*(expected[i % len(expected)] for i in filled), 0], name
    elevation = ds.elevation.to_numpy()
    assert np.isnan(elevation[5, 50:60]).all()  # -9999
    assert np.isnan(elevation[8, 50:60]).all()  # out of range
    assert np.isfinite(elevation[10:]).all()
    labels = ds.landslide.to_numpy()
    assert (labels[:, :BORDER_PX] == 255).all()
    assert (labels[10:, BORDER_PX:] <= 1).all()
    assert 0.01 < (labels[10:, BORDER_PX:] == 1).mean() < 0.2

    scores = json.loads((tmp_path / config.run_dir / "metrics.json").read_text())["models"]
    assert set(paper_models()) <= set(scores)
    assert all(0 < scores[name]["test"]["nll"] < 5 for name in paper_models())


@pytest.mark.slow
def test_a_description_without_a_code_is_listed(veneto, tmp_path):
    write_raw_files(tmp_path / "veneto", load(RAW, small(RAW)), extra="Calcari nuovi")
    failed = veneto("ingest", str(RAW), *flags(small(RAW)), status=2)
    assert "'Calcari nuovi'; add them to its mapping" in failed.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_published_file_imported(veneto, tmp_path):
    settings = [*small(PUBLISHED), "sources.published.filled_columns_px=30"]
    codes = write_published_file(tmp_path / "veneto" / "veneto.h5")
    write_elevation(tmp_path / "veneto")
    done = veneto("import", "veneto-hdf5", str(PUBLISHED), *flags(settings))
    assert f"{HEIGHT} x {WIDTH} px, 6 variables" in done.stderr
    veneto("derive", str(PUBLISHED), *flags(settings))
    config = load(PUBLISHED, settings)
    ds = cube.open_cube(config.cube.location).load()
    for name in inspire():
        np.testing.assert_array_equal(ds[name][:, : WIDTH - 30], codes[name][:, : WIDTH - 30])
        assert (ds[name][:, WIDTH - 30 :] == 0).all()
    assert (ds.landslide[:, WIDTH - 30 :] == 255).all()
    assert ds.attrs["categorical"] == list(inspire())
    assert np.isfinite(ds.slope[20:-1, 1:-1]).all()

    own = [*settings, "sources.elevation=null", "sources.published.elevation={mean_m: 1000, "
           "std_m: 500}", "cube.location=own.zarr"]  # fmt: skip
    veneto("import", "veneto-hdf5", str(PUBLISHED), *flags(own))
    np.testing.assert_allclose(cube.open_cube("own.zarr").elevation[:, : WIDTH - 30], 1250.0)


def test_import_refuses_what_is_not_a_published_data_set(veneto):
    failed = veneto("import", "veneto-hdf5", str(RAW), status=2)
    assert "has no data set of format 'veneto-hdf5'" in failed.stderr
    missing = veneto("import", "veneto-hdf5", str(PUBLISHED), *flags(small(PUBLISHED)), status=2)
    assert "veneto.h5' cannot be read as HDF5" in missing.stderr
    assert "veneto-hdf5" in veneto("import", "csv", str(RAW), status=2).stderr


@pytest.mark.parametrize("path", [RAW, PUBLISHED], ids=lambda p: p.stem)
def test_the_configs_say_what_the_paper_says(path, monkeypatch):
    monkeypatch.setenv("LANDSLIDE_DATA", "/data")
    config = load(path)
    assert target_grid(config).shape == (21005, 19500)
    assert config.categories() == dict(inspire())
    assert config.models == paper_models()
    assert config.experiment.splits == ("random", "block")
    assert (config.patches.core_px, config.patches.context_px) == (500, 64)
    assert config.patches.oversample == 5
    assert config.split.fractions == (0.8, 0.1, 0.1)


@pytest.mark.shared_data
def test_texts_and_codes_are_those_of_the_published_tables(shared_data, monkeypatch):
    """Also the test of FIRST_FEATURE's order: feature numbers follow the codes."""
    from landslide_dist.sources.published import FIRST_FEATURE

    monkeypatch.setenv("LANDSLIDE_DATA", "/data")
    config = load(RAW)
    with (shared_data / "veneto" / "inspire_codes.csv").open() as file:
        table = list(csv.DictReader(file))
    groups = {"litho": "lithology", "landcover": "land_cover", "family": "rock_family",
              "age": "rock_age"}  # fmt: skip
    sent = {name: {} for name in groups.values()}
    for row in table:
        if row["group"] == "terrain":
            continue
        name, code = groups[row["group"]], int(row["code"])
        assert int(row["feature_index"]) == FIRST_FEATURE[name] + code - 1
        texts = row["source_descriptions"].split(" | ") if name == "lithology" else [row["name"]]
        sent[name] |= {text.strip(): code for text in texts}
    sent["rock_family"].pop("NULL or No Value")
    for name in ("lithology", "rock_family", "rock_age"):
        categories = config.categories()[name]
        mapping = config.sources.categorical[name].source.mapping
        assert {text: categories.code_of(target) for text, target in mapping.items()} == sent[name]
    first_level = {"2": 1, "1": 2, "3": 3, "5": 4, "4": 5}  # CORINE's -> the published order
    covers = config.sources.categorical["land_cover"].source.mapping
    assert len(covers) == 44
    assert all(first_level[code[0]] == target for code, target in covers.items())
    assert [row["name"].lower() for row in table if row["group"] == "landcover"] == list(
        config.categories()["land_cover"].codes.values()
    )


def flags(settings):
    return [part for setting in settings for part in ("--set", setting)]


def write_raw_files(folder, config, extra=None):
    """Every file of veneto.yaml; maps are squares that go through all values of their mapping."""
    write_elevation(folder)
    tree = config.sources.categorical
    cells = [
        box(LEFT + 10 * x, TOP - 10 * (y + CELL_PX), LEFT + 10 * (x + CELL_PX), TOP - 10 * y)
        for y in range(0, HEIGHT, CELL_PX)
        for x in range(0, WIDTH, CELL_PX)
    ][:-1]  # the last one is not mapped
    values = {name: list(tree[name].source.mapping) for name in tree}
    cycled = {name: [v[i % len(v)] for i in range(len(cells))] for name, v in values.items()}
    geology = {
        "litho": cycled["lithology"],
        "family": cycled["rock_family"],
        "age": cycled["rock_age"],
    }
    if extra:
        geology["litho"][7] = extra
    gpd.GeoDataFrame(geology, geometry=cells, crs=UTM).to_file(folder / "geology.gpkg")
    corine = gpd.GeoDataFrame({"Code_18": cycled["land_cover"]}, geometry=cells, crs=UTM)
    corine.to_crs("EPSG:3035").to_file(folder / "corine.gpkg")
    rng = np.random.default_rng(3)
    slides = [
        Point(LEFT + 10 * x, TOP - 10 * y).buffer(60)
        for y, x in rng.uniform((15, BORDER_PX), (HEIGHT, WIDTH), (60, 2))
    ]
    gpd.GeoDataFrame({"id_frana": range(60)}, geometry=slides, crs=UTM).to_file(
        folder / "iffi.gpkg"
    )
    region = box(LEFT + 10 * BORDER_PX, BOUNDS[1] - 5000, BOUNDS[2] + 5000, TOP + 5000)
    gpd.GeoDataFrame({"DEN_REG": ["Veneto"]}, geometry=[region], crs=UTM).to_file(
        folder / "region.gpkg"
    )


def write_elevation(folder):
    """TINITALY: GeoTIFF tiles that reach beyond the region, and the VRT over them."""
    margin = 15
    height, width = HEIGHT + 2 * margin, WIDTH + 2 * margin
    y, x = np.mgrid[-margin : HEIGHT + margin, -margin : WIDTH + margin].astype("f4")
    heights = 900 + 3 * y + 120 * np.sin(x / 17) * np.cos(y / 23)
    heights[margin + 5, margin + 50 : margin + 60] = -9999
    heights[margin + 8, margin + 50 : margin + 60] = 32_000
    left, top = LEFT - 10 * margin, TOP + 10 * margin
    parts = []
    for name, x0, x1 in (("w51070_s10.tif", 0, 100), ("w51075_s10.tif", 100, width)):
        transform = Affine(10, 0, left + 10 * x0, 0, -10, top)
        with rasterio.open(
            folder / name, "w", driver="GTiff", count=1, height=height, width=x1 - x0,
            dtype="float32", crs=UTM, transform=transform, nodata=-9999,
        ) as tile:  # fmt: skip
            tile.write(heights[:, x0:x1], 1)
        parts.append(PART.format(name=name, width=x1 - x0, height=height, x0=x0))
    text = TILE.format(width=width, height=height, left=left, top=top, sources="".join(parts))
    (folder / "tinitaly.vrt").write_text(text)


def write_published_file(path):
    """The published layout; elevation is 1250 m everywhere."""
    rng = np.random.default_rng(4)
    codes, planes = {}, [np.zeros((HEIGHT, WIDTH))]
    for name, categories in inspire().items():
        codes[name] = rng.integers(0, len(categories.codes) + 1, (HEIGHT, WIDTH))
        planes += [codes[name] == code for code in categories.codes]
    planes.append(np.full((HEIGHT, WIDTH), 0.5))
    data = np.pad(np.array(planes, "f4"), ((0, 0), (64, 64), (64, 64)), mode="reflect")
    with h5py.File(path, "w") as file:
        file.create_dataset("Veneto/data", data=data, compression="lzf")
        labels = rng.integers(-1, 2, (1, HEIGHT, WIDTH))
        file.create_dataset("Veneto/gt", data=labels, dtype="f4", compression="lzf")
    return codes
