"""Maps to inventories and inventories compared, through the real command line."""

import json
import sqlite3

import geopandas as gpd
import numpy as np
import pytest
import shapely
import xarray as xr
from PIL import Image


@pytest.fixture
def predicted(command_line, smoke):
    """A run whose map is there; one model that a second or two train."""
    command_line.environment["OMP_NUM_THREADS"] = "1"
    smoke["models"] = {"llr": {"kind": "llr", "epochs": 2, "learning_rate": 0.05}}
    smoke["predict"]["cog"] = False
    smoke["inventory"] = {"threshold": 0.3, "min_area_m2": 300, "fill_holes_m2": 500}
    path = command_line.write(smoke)
    for stage in ("ingest", "derive", "split", "train", "predict"):
        command_line(stage, path)
    return path


@pytest.mark.slow
def test_maps_become_inventories(predicted, command_line):
    folder = command_line.folder / "runs/smoke/inventory"
    package, geojson = folder / "llr.gpkg", folder / "llr.geojson"
    said = command_line("inventory", "make", predicted).stderr
    found = gpd.read_file(package)
    assert f"llr: {len(found):,} landslides" in said
    assert len(found) > 3
    assert found.crs == "EPSG:32632"
    assert found["id"].tolist() == list(range(1, len(found) + 1))
    np.testing.assert_allclose(found.area, found["area_m2"])
    assert found["area_m2"].min() >= 300

    run = xr.open_zarr(command_line.folder / "runs/smoke/predictions/llr.zarr")
    probability = run["probability"].to_numpy()
    points = shapely.points(*np.meshgrid(run["x"].to_numpy(), run["y"].to_numpy()))
    largest = found.iloc[found["area_m2"].argmax()]
    inside = shapely.within(points, largest.geometry)
    assert largest["confidence_mean"] == pytest.approx(probability[inside].mean(dtype=float))

    degrees = gpd.read_file(geojson)
    assert degrees.crs == "EPSG:4326"
    assert len(degrees) == len(found)
    assert "crs" not in json.loads(geojson.read_text())
    with sqlite3.connect(package) as database:
        metadata = " ".join(
            text for (text,) in database.execute("select metadata from gpkg_metadata")
        )
    assert "map_fingerprint" in metadata
    assert '"min_area_m2":300.0' in metadata.replace("&quot;", '"')

    assert "up to date" in command_line("inventory", "make", predicted, "llr").stderr
    package.rename(folder / "before.gpkg")
    geojson.write_text("cut short")
    settings = ("--set", "inventory.threshold=0.35")
    command_line("inventory", "make", predicted, *settings)
    assert gpd.read_file(package)["area_m2"].sum() < found["area_m2"].sum()
    assert len(gpd.read_file(geojson)) == len(gpd.read_file(package))

    best_threshold_is_the_one_that_evaluate_found(predicted, command_line)


def best_threshold_is_the_one_that_evaluate_found(predicted, command_line):
    make = ("inventory", "make", predicted, "--set", "inventory.threshold=best")
    assert "no scores of this map" in command_line(*make, status=2).stderr
    command_line("evaluate", predicted)
    command_line(*make, "--set", "inventory.min_area_m2=0", "--set", "inventory.fill_holes_m2=0")
    metrics = command_line.folder / "runs/smoke/metrics.json"
    scores = json.loads(metrics.read_text())
    best = scores["models"]["llr"]["validation"]["at_best"]
    run = xr.open_zarr(command_line.folder / "runs/smoke/predictions/llr.zarr")
    logit = np.log(best["threshold"] / (1 - best["threshold"])) - 16 / 65536
    num_landslide = int((run["probability"] >= 1 / (1 + np.exp(-logit))).sum())
    found = gpd.read_file(command_line.folder / "runs/smoke/inventory/llr.gpkg")
    pixel_m = float(run["x"][1] - run["x"][0])
    assert found["area_m2"].sum() == pytest.approx(num_landslide * pixel_m**2)

    for part in scores["models"]["llr"].values():
        part["at_best"]["chosen_on"] = "train"
    metrics.write_text(json.dumps(scores))
    assert "no best threshold" in command_line(*make, status=2).stderr
    refused = command_line("inventory", "make", predicted, "cnn", status=2).stderr
    assert "'cnn' is not in the run (llr)" in refused
    other = ("--set", "training.seed=5")
    assert "other settings" in command_line("inventory", "make", predicted, *other, status=2).stderr
    refused = command_line(
        "inventory", "make", predicted, "--set", "inventory.threshold=1.5", status=2
    )
    assert "not a probability" in refused.stderr


def test_two_files_are_compared(command_line):
    folder = command_line.folder
    squares = [shapely.box(x, 5e6, x + 20, 5e6 + 20) for x in (600000, 600100, 600200)]
    reference = gpd.GeoDataFrame(geometry=squares, crs="EPSG:32632")
    reference.to_file(folder / "reference.gpkg")
    bow = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    mapped = reference.iloc[:2].set_geometry([squares[0], shapely.transform(bow, shift)])
    mapped.to_crs("EPSG:4326").to_file(folder / "mapped.geojson")
    command_line.environment["COLUMNS"] = "100"
    compare = ("inventory", "compare", "reference.gpkg", "mapped.geojson")
    done = command_line(*compare, "--out", "pages/compared.json")
    assert "mapped.geojson: 1 invalid polygons were repaired" in done.stderr
    assert "precision" in done.stdout
    found = json.loads((folder / "pages/compared.json").read_text())
    assert found["reference"]["num_landslides"] == 3
    assert found["mapped"] == {
        "path": "mapped.geojson", "num_landslides": 2, "num_left_out": 0, "num_repaired": 1,
    }  # fmt: skip
    assert found["crs"] == "EPSG:32632"
    assert found["number"]["recall"] == pytest.approx(1 / 3)
    assert found["area"]["recall"] == pytest.approx(1 / 3, rel=1e-3)
    assert sum(found["area_density"]["reference"]["num"]) == 3
    with Image.open(folder / "pages/compared.png") as picture:
        assert min(picture.size) > 400
    refused = command_line(*compare, "--out", "page.html", status=2).stderr
    assert "does not end in .json" in refused
    refused = command_line(*compare, "--layer-a", "roads", status=2).stderr
    assert "has no layer 'roads'" in refused


def shift(corners):
    return corners + np.array([600500, 5e6])
