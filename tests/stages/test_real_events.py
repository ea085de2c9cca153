"""Event mapping on real images, and chips of real patches; skipped where they are absent."""

import csv
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from landslide_dist.config import load
from landslide_dist.stages.context import RunContext
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

EVENTS = Path(__file__).parents[2] / "configs" / "events"
pytestmark = pytest.mark.shared_data


@pytest.fixture
def on_data(command_line, shared_data, monkeypatch):
    command_line.environment["LANDSLIDE_DATA"] = str(shared_data)
    monkeypatch.setenv("LANDSLIDE_DATA", str(shared_data))
    monkeypatch.chdir(command_line.folder)
    return command_line


def flags(settings):
    return [part for setting in settings for part in ("--set", setting)]


def probability(path):
    return cube.array(open_group(path), "probability")[...]


def test_a_patch_of_emilia_romagna_through_all_stages(on_data):
    path = str(EVENTS / "sen12_italy.yaml")
    settings = [
        f"split.regions.path={EVENTS / 'sen12_italy_parts.geojson'}",
        "models.resunet.epochs=3", "models.ndvi.epochs=20", "evaluate.bootstrap_draws=0",
    ]  # fmt: skip
    for stage in ("ingest", "derive"):
        on_data(stage, path, *flags(settings))
    audit = on_data("split", path, "--audit", *flags(settings))
    assert audit.stdout.count("beyond reach") == 3
    for stage in ("train", "predict", "evaluate"):
        on_data(stage, path, *flags(settings))
    config = load(path, settings)
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
    training, path = (str(EVENTS / f"{name}.yaml") for name in ("hokkaido_training", "hokkaido"))
    small = ["sources.synthetic.height=256", "sources.synthetic.width=256",
             "split.fractions=[0.5, 0.25, 0.25]",
             "sources.synthetic.event.num_pairs=1", "models.first.epochs=1",
             "models.second.epochs=1"]  # fmt: skip
    for stage in ("ingest", "derive", "split", "train"):
        on_data(stage, training, *flags(small))
    # A corner across the edge of the swath.
    here = ["cube.grid={crs: 'EPSG:32654', pixel_m: 20, bounds: [575000, 4728000, 581000, 4734000]}"]
    on_data("ingest", path, *flags(here))
    on_data("derive", path, *flags(here))
    failed = on_data("predict", path, "--model", "transferred", *flags(here), status=2)
    assert "10 m" in failed.stderr
    assert "20 m" in failed.stderr


def test_chips_of_both_classes_are_cut_out_of_patches(on_data, shared_data):
    folder = shared_data / "licence_unclear" / "landslide4sense" / "rgb_chips"
    done = on_data("import", "landslide4sense", str(folder / "validation"), "chips")
    assert "one date and no place" in done.stderr
    with Path("chips/chips.csv").open() as file:
        rows = list(csv.DictReader(file))
    labels = [row["label"] for row in rows]
    assert labels.count("landslide") > 20
    assert labels.count("non_landslide") > 20
    assert sorted(row["file"] for row in rows) == sorted(
        path.relative_to("chips").as_posix() for path in Path("chips").rglob("*.png")
    )
    for row in rows:
        share, is_landslide = float(row["landslide_share"]), row["label"] == "landslide"
        assert share >= 0.05 if is_landslide else share == 0
        source = folder / "validation" / "images" / f"{Path(row['patch']).name}.png"
        y, x = int(row["row"]), int(row["column"])
        cut = np.asarray(Image.open(source))[y : y + 64, x : x + 64, :3]
        np.testing.assert_array_equal(np.asarray(Image.open(Path("chips") / row["file"])), cut)
        mask = np.asarray(Image.open(str(source).replace("images/image", "masks/mask")))[..., 0]
        assert (mask[y : y + 64, x : x + 64] > 0).mean() == pytest.approx(share, abs=1e-6)


def test_what_cannot_become_chips_leaves_nothing(on_data, shared_data):
    folder = shared_data / "licence_unclear" / "landslide4sense" / "h5"
    large = on_data("import", "landslide4sense", str(folder), "out", "--chip-px", "200", status=2)
    assert "has 128 x 128 px, less than a chip of 200" in large.stderr
    missing = on_data("import", "landslide4sense", "nowhere", "out", status=2)
    assert "'nowhere' does not exist" in missing.stderr
    assert list(on_data.folder.iterdir()) == []
    on_data("import", "landslide4sense", str(folder), "out")
    again = on_data("import", "landslide4sense", str(folder), "out", status=2)
    assert "'out' is there already" in again.stderr
