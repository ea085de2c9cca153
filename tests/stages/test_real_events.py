"""Event mapping on real images, and chips of real patches; skipped where they are absent."""

import csv
import json
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from landslide_dist.config import load
from landslide_dist.errors import ConfigError, DataError, StoreError
from landslide_dist.stages.chips.importing import import_landslide4sense
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.derive import derive
from landslide_dist.stages.evaluate import evaluate
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.inventory import make_inventories
from landslide_dist.stages.predict import predict
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

EVENTS = Path(__file__).parents[2] / "configs" / "events"
pytestmark = pytest.mark.shared_data


@pytest.fixture
def on_data(shared_data, tmp_path, monkeypatch):
    """Stages of a shipped config, with settings of the test's own, in an empty folder."""
    monkeypatch.setenv("LANDSLIDE_DATA", str(shared_data))
    monkeypatch.chdir(tmp_path)

    def run(name, settings, *stages):
        config = load(EVENTS / f"{name}.yaml", settings)
        for stage in stages:
            stage(config)
        return config

    return run


def probability(path):
    return cube.array(open_group(path), "probability")[...]


def test_a_patch_of_emilia_romagna_through_all_stages(on_data, capsys):
    settings = [
        f"split.regions.path={EVENTS / 'sen12_italy_parts.geojson'}", "predict.cog=false",
        "models.resunet.epochs=3", "models.ndvi.epochs=20", "evaluate.bootstrap_draws=0",
    ]  # fmt: skip
    config = on_data("sen12_italy", settings, ingest, derive, partial(split, audit=True))
    audit = capsys.readouterr().out
    assert "within 11 px" in audit
    assert audit.count("beyond reach") == 3
    on_data("sen12_italy", settings, train, predict, evaluate)
    context = RunContext(config)
    assert context.buffer_px == context.reach_px("resunet") == 11
    ds = cube.open_cube(config.cube.location).load()
    landslide = ds.landslide.to_numpy()
    clear = (ds.valid == 1).all("time").to_numpy()
    assert (landslide == 1).sum() == 631
    metrics = json.loads(Path(context.paths.metrics).read_text())["models"]
    assert metrics["resunet"]["test"]["num_pixels"] == 2288

    # The change of NDVI ranks the patch as it does when taken from the file by hand.
    red, nir = (ds.reflectance.sel(band=band).to_numpy().astype(float) for band in ("red", "nir"))
    before, after = (nir - red) / (nir + red)
    by_hand = roc_auc_score(landslide[clear], (before - after)[clear])
    assert by_hand == pytest.approx(0.875, abs=1e-3)
    mapped = probability(context.paths.prediction("ndvi"))
    np.testing.assert_array_equal(np.isfinite(mapped), clear)
    assert roc_auc_score(landslide[clear], mapped[clear]) == pytest.approx(by_hand, abs=1e-4)
    assert np.isfinite(probability(context.paths.prediction("resunet"))[clear]).all()


def test_an_event_without_labels_is_mapped_by_networks_of_another(on_data):
    """Hokkaido: three grids in degrees, 40 % of the image before without data, no near infrared."""
    small = ["sources.synthetic.height=256", "sources.synthetic.width=256", "split.block_px=64",
             "sources.synthetic.event.num_pairs=1", "models.first.epochs=1",
             "models.second.epochs=1"]  # fmt: skip
    on_data("hokkaido_training", small, ingest, derive, split, train)
    only = partial(predict, only=["transferred"])
    # Across the edge of the swath.
    here = [
        "cube.grid={crs: 'EPSG:32654', pixel_m: 10, bounds: [575840, 4730940, 577840, 4732940]}"
    ]
    config = on_data("hokkaido", here, ingest, derive, only)
    ds = cube.open_cube(config.cube.location).load()
    assert ds.time.to_numpy().tolist() == ["unknown", "unknown"]
    clear = (ds.valid == 1).all("time").to_numpy()
    assert 0.2 < clear.mean() < 0.8
    assert (ds.valid[1] == 1).all()
    ground = np.isfinite(ds.elevation.to_numpy())
    mapped = probability(RunContext(config).paths.prediction("transferred"))
    np.testing.assert_array_equal(np.isfinite(mapped), clear & ground)
    middle = f"inventory.threshold={float(np.nanmedian(mapped)):.6f}"
    on_data("hokkaido", [*here, middle], partial(make_inventories, only=["transferred"]))
    found = gpd.read_file(RunContext(config).paths.inventory("transferred", "gpkg"))
    assert found.crs.to_epsg() == 32654
    assert found.area.sum() / 100 == pytest.approx(np.isfinite(mapped).sum() / 2, rel=0.1)

    with pytest.raises(StoreError, match="has no landslides to divide: give sources.inventory"):
        on_data("hokkaido", here, split)
    coarse = [here[0].replace("pixel_m: 10", "pixel_m: 20"), "cube.location=coarse.zarr"]
    with pytest.raises(DataError, match=r"10 m.*20 m|20 m.*10 m"):
        on_data("hokkaido", coarse, ingest, derive, only)
    images = config.sources.reflectance.model_dump(mode="json", by_alias=True)["images"]
    images[0]["min_clear"] = 0.9
    clearer = [f"sources.reflectance.images={json.dumps(images)}", "cube.location=clearer.zarr"]
    with pytest.raises(
        DataError, match=r"clear on [56]\d\.\d% of the grid, less than min_clear 0\.9"
    ):
        on_data("hokkaido", [*here, *clearer], ingest)
    near_infrared = ["sources.reflectance.bands=[red, green, blue, nir]"]
    with pytest.raises(ConfigError, match=r"images\.0: source\.bands lacks nir"):
        on_data("hokkaido", near_infrared)
    other_network = ["models={ndvi: {kind: ndvi_difference}}"]
    with pytest.raises(ConfigError, match="needs the bands red and nir"):
        on_data("hokkaido_training", [*small, *other_network], split, train)


def test_chips_of_both_classes_are_cut_out_of_patches(command_line, shared_data):
    folder = shared_data / "licence_unclear" / "landslide4sense" / "rgb_chips"
    done = command_line("import", "landslide4sense", str(folder / "validation"), "chips")
    assert "one date and no place" in done.stderr
    chips = command_line.folder / "chips"
    with (chips / "chips.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = [row["label"] for row in rows]
    assert labels.count("landslide") > 20
    assert labels.count("non_landslide") > 20
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to(chips).as_posix() for path in chips.rglob("*.png")
    )
    for row in rows:
        share, is_landslide = float(row["landslide_share"]), row["label"] == "landslide"
        assert share >= 0.05 if is_landslide else share == 0
        source = folder / "validation" / "images" / f"{Path(row['patch']).name}.png"
        y, x = int(row["row"]), int(row["column"])
        cut = np.asarray(Image.open(source))[y : y + 64, x : x + 64, :3]
        np.testing.assert_array_equal(np.asarray(Image.open(chips / row["file"])), cut)
        mask = np.asarray(Image.open(str(source).replace("images/image", "masks/mask")))[..., 0]
        assert (mask[y : y + 64, x : x + 64] > 0).mean() == pytest.approx(share, abs=1e-6)


def test_what_cannot_become_chips_leaves_nothing(shared_data, tmp_path):
    folder, out = shared_data / "licence_unclear" / "landslide4sense" / "h5", tmp_path / "out"
    with pytest.raises(ConfigError, match="has 128 x 128 px, less than a chip of 200"):
        import_landslide4sense(folder, out, chip_px=200)
    with pytest.raises(DataError, match="nowhere' does not exist"):
        import_landslide4sense(tmp_path / "nowhere", out)
    assert list(tmp_path.iterdir()) == []
    out.mkdir()
    chips = import_landslide4sense(folder, out)
    assert [chip.label for chip in chips].count("landslide") == 2
    with pytest.raises(ConfigError, match="out' is there already"):
        import_landslide4sense(folder, out)


def test_a_format_that_is_none_names_those_there_are(command_line):
    failed = command_line("import", "csv", "folder", status=2)
    assert "'csv' is not a format; there are veneto-hdf5, landslide4sense" in failed.stderr
