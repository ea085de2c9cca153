"""Detected against recorded landslides, from two scenes' maps and a catalog to the page."""

import csv
import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from pydantic import ValidationError
from scipy import stats

from landslide_dist.config.bias import BiasRegion
from landslide_dist.config.chips import ChipsConfig
from landslide_dist.config.load import load_chips
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.progress import console
from landslide_dist.stages.bias.compare import bias, compare_regions
from landslide_dist.stages.bias.region import _in_degrees, find_map
from landslide_dist.stages.bias.sheet import draw_sheet
from landslide_dist.stages.chips.scenes import predict_scenes
from landslide_dist.stages.chips.train import ChipTrainer, train_chips
from landslide_dist.stages.doctor.inputs import inputs
from landslide_dist.stages.doctor.needs import Needs

from ..chip_files import scene, settings, write_chips, write_scene
from .conftest import CommandLine, command_line_environment

SHAPES = {"one": (200, 170), "other": (180, 200)}
#: Centres of the scenes lie near 123.0 W, 44.25 N.
INSIDE, BESIDE = (-122.985, 44.245), (-122.5, 44.245)


def write_catalog(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "event_date", "longitude", "latitude", "location_accuracy"])
        for number, (day, (longitude, latitude)) in enumerate(rows):
            writer.writerow([number, day, longitude, latitude, "5km"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, two scenes with a map each, a catalog, and what is land cover."""
    folder = write_chips(tmp_path_factory.mktemp("bias"))
    for seed, (name, shape) in enumerate(SHAPES.items()):
        hole = (slice(40, 45), slice(100, 110)) if name == "one" else None
        write_scene(folder / f"{name}.tif", shape, seed, hole)
    # Columns of blocks 0 and 1 are wholly water, a third of those of column 2.
    cover = np.ones(SHAPES["other"], dtype=np.uint8)
    cover[:, : 2 * 18 + 6] = 2
    with rasterio.open(
        folder / "cover.tif", "w", driver="GTiff", count=1, dtype="uint8", crs="EPSG:32610",
        height=cover.shape[0], width=cover.shape[1],
        transform=Affine(10, 0, 500_000, 0, -10, 4_900_000),
    ) as file:  # fmt: skip
        file.write(cover, 1)
    write_catalog(
        folder / "catalog.csv",
        [("2010-05-01", INSIDE)] * 3 + [("2016-05-01", INSIDE)] * 2 + [("2010-06-01", BESIDE)],
    )
    given = config(folder)
    train_chips(given)
    predict_scenes(given)
    return folder


def config(folder, regions=None, **own):
    # 45 px of 4 m are 180 m: 18 px of the scene.
    scenes = {name: scene(folder / f"{name}.tif", shape) for name, shape in SHAPES.items()}
    scenes["other"]["sources"]["categorical"] = {
        "land_cover": {"source": {"path": str(folder / "cover.tif")},
                       "categories": {"codes": {1: "wood", 2: "water"}}}
    }  # fmt: skip
    given = {
        "catalog": str(folder / "catalog.csv"),
        "model": "cnn",
        "regions": regions or {"north": {"scene": "one"}, "south": {"scene": "other"}},
        "periods": {"all": ["2007-01-01", "2019-12-31"], "late": ["2015-01-01", "2019-12-31"]},
        "thresholds": [0.3, 0.5],
        "draws": 100,
        "block_cells": 3,
    }
    plain = settings(folder, scenes=scenes, bias=given | own.pop("bias", {}), **own)
    plain["chips"]["pixel_m"] = 4.0
    plain["models"]["cnn"]["seen_at_m"] = 10
    plain["common"] = {"cube": {"storage": {"chunk_px": 32, "shard_px": 64}}}
    return ChipsConfig.model_validate(plain)


@pytest.fixture(scope="module")
def printed(folder):
    """What the command says when it is first run."""
    plain = config(folder).model_dump(mode="json", by_alias=True)
    command_line = CommandLine(folder, command_line_environment())
    return command_line("bias", command_line.write(plain, "chips.yaml")).stderr


def compared(given):
    return compare_regions(ChipTrainer(given))[1:]


def probability(folder, name):
    drawn = find_map(ChipTrainer(config(folder)), name, "cnn")
    with rasterio.open(drawn.cog) as tif:
        return tif.read(1)


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def result(folder):
    return json.loads((folder / "run" / "bias.json").read_text())


def with_region(folder, **region):
    return config(folder, {"north": {"scene": "one"}, "south": {"scene": "other", **region}})


@pytest.mark.slow
def test_from_maps_and_a_catalog_to_all_files(folder, printed):
    found = result(folder)
    north, south = found["regions"]
    counted = probability(folder, "one")
    assert np.isnan(counted).sum() == 2
    assert (north["num_blocks"], north["num_unclear"], north["num_masked"]) == (99, 2, 0)
    assert north["blocks"] == [int((counted >= np.float32(t)).sum()) for t in (0.3, 0.5)]
    # Five lie in both scenes, which lie at the same place, one beside them.
    assert north["recorded"] == south["recorded"] == {"all": 5, "late": 2}
    first = found["factors"][0]
    assert first["factor"] == pytest.approx(first["detected"][0] / first["detected"][1])
    assert found["made_of"]["regions"]["south"]["records"]["late"] == ["3", "4"]
    rows = rows_of(folder / "run" / "bias.csv")
    assert len(rows) == 4
    page = (folder / "run" / "bias.html").read_text()
    assert page.count("data:image/webp;base64,") == 8
    assert "Checked by eye" not in page
    assert "checked" not in found
    assert "bias: late, from 0.5: bias factor" in printed
    assert "by eye" not in printed
    assert "bias.html" in printed
    sheet = rows_of(folder / "run" / "bias_detections_north.csv")
    assert len(sheet) == min(50, north["blocks"][0])
    for row in sheet:
        at = tuple(map(int, row["block"][1:].split("c")))
        assert float(row["probability"]) == pytest.approx(counted[at], abs=1e-4)
        assert row["landslide"] == row["remark"] == ""
    with Image.open(folder / "run" / "bias_detections_north.png") as picture:
        assert min(picture.size) > 500
    # The middle of the upper left block is 90 m from the scene's corner.
    corner = gpd.GeoSeries([shapely.Point(500_090, 4_899_910)], crs=32610).to_crs(4326)[0]
    for row in sheet:
        y, x = map(int, row["block"][1:].split("c"))
        assert float(row["latitude"]) == pytest.approx(corner.y - y * 180 / 111_100, abs=1e-4)
        assert float(row["longitude"]) == pytest.approx(corner.x + x * 180 / 79_900, abs=1e-4)


@pytest.mark.slow
def test_the_same_run_writes_the_same_files_but_what_is_filled_in(folder, printed):
    run = folder / "run"
    names = [f"bias{end}" for end in (".json", ".csv", ".html", "_detections_south.png")]
    before = [(run / name).read_bytes() for name in names]
    path = run / "bias_detections_north.csv"
    filled = path.read_text().replace(",,\n", ",?,a road\n", 1)
    path.write_text(filled)
    with console.capture() as said:
        bias(load_chips(folder / "chips.yaml"))
    assert "bias_detections_north.csv is filled in and was left alone" in said.get()
    assert [(run / name).read_bytes() for name in names] == before
    assert path.read_text() == filled
    with pytest.raises(ConfigError, match="not for the blocks that are drawn now"):
        bias(config(folder, bias={"thresholds": [0.6]}))
    assert [(run / name).read_bytes() for name in names] == before
    path.unlink()


def test_blocks_that_are_mostly_masked_do_not_count(folder):
    found, _ = compared(with_region(folder, masked={"land_cover": [2]}))
    south = found.regions[1]
    counted = probability(folder, "other")
    assert south.num_masked == 2 * 10
    assert south.num_classified == 9 * 10
    assert south.blocks == tuple(int((counted[:, 2:] >= np.float32(t)).sum()) for t in (0.3, 0.5))


def test_a_polygon_bounds_blocks_and_records(folder, tmp_path):
    # The west of the scene, and half as much ground beyond it, in degrees.
    west = shapely.box(500_000 - 450, 4_898_200, 500_000 + 900, 4_900_000)
    path = tmp_path / "west.gpkg"
    gpd.GeoSeries([west], crs=32610).to_crs(4326).to_file(path)
    write_catalog(tmp_path / "c.csv", [("2010-05-01", (-122.999, 44.245)), ("2010-05-01", INSIDE),
                                       ("2010-05-01", (-123.003, 44.245))])  # fmt: skip
    given = with_region(folder, polygon=str(path))
    catalog = {"catalog": str(tmp_path / "c.csv")}
    given = given.model_copy(update={"bias": given.bias.model_copy(update=catalog)})
    with console.capture() as said:
        found, regions = compared(given)
    south = found.regions[1]
    assert south.num_blocks == 5 * 10
    counted = probability(folder, "other")[:, :5]
    assert south.blocks[0] == (counted >= np.float32(0.3)).sum()
    assert [r.recorded["all"] for r in found.regions] == [2, 1]
    assert regions[1].outside_share == pytest.approx(1 / 3, abs=1e-3)
    assert "bias: 33.3% of" in said.get()


def test_an_area_across_the_antimeridian_is_two_parts():
    across = shapely.box(800_000, 8_000_000, 900_000, 8_100_000)
    area = _in_degrees(across, "EPSG:32760")
    assert area.geom_type == "MultiPolygon"
    assert shapely.covers(area, shapely.Point(179.98, -17.6))
    assert shapely.covers(area, shapely.Point(-179.9, -17.6))
    assert not shapely.covers(area, shapely.Point(0, -17.6))
    assert area.area < 2


@pytest.mark.parametrize(
    ("outlines", "message"),
    [
        ([shapely.Point(500_500, 4_899_000)], "where polygons are needed"),
        ([shapely.box(600_000, 4_800_000, 600_100, 4_800_100)], "do not overlap"),
        ([shapely.box(500_001, 4_899_001, 500_010, 4_899_010)], "the centre of none"),
    ],
)
def test_a_polygon_of_no_use_is_named(folder, tmp_path, outlines, message):
    path = tmp_path / "region.gpkg"
    gpd.GeoSeries(outlines, crs=32610).to_file(path)
    with pytest.raises(DataError, match=message):
        bias(with_region(folder, polygon=str(path)))


@pytest.fixture
def sheets(folder):
    """Region -> its sheet as the run draws it, not filled in; none is left behind."""
    given = config(folder)
    _, regions = compared(given)
    random = np.random.Generator(np.random.Philox(given.bias.seed))
    found = {}
    for placed in regions:
        sheet = draw_sheet(placed, given.bias.thresholds[0], random, folder / "run")
        sheet.path.write_text(sheet.table)
        found[placed.name] = sheet.path
    yield found
    for path in found.values():
        path.unlink()


def fill_in(path, answers, remark=""):
    rows = rows_of(path)
    assert len(rows) == 50
    for row, answer in zip(rows, answers, strict=True):
        row |= {"landslide": answer, "remark": remark}
    # As spreadsheets write it: with a mark at the start and other ends of lines.
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.slow
def test_what_people_fill_in_corrects_the_factor_of_the_lowest_threshold(folder, sheets):
    yes, no = ["yes", "Y", "1", "TRUE", " Yes "] * 6, ["no", "N", "0", "False", "NO"] * 2
    fill_in(sheets["north"], yes + no + ["?", ""] * 5)
    fill_in(sheets["south"], ["yes"] * 20 + ["no"] * 30)
    filled = [path.read_bytes() for path in sheets.values()]
    with console.capture() as said:
        bias(config(folder))
    assert [path.read_bytes() for path in sheets.values()] == filled
    found = result(folder)
    north, south = found["checked"]["regions"]
    assert (north["num_drawn"], north["num_judged"], north["num_right"]) == (50, 40, 30)
    assert (south["num_drawn"], south["num_judged"], south["num_right"]) == (50, 50, 20)
    exact = stats.binomtest(30, 40).proportion_ci(0.95, "exact")
    assert north["interval"] == pytest.approx([exact.low, exact.high])
    for period, checked in zip(("all", "late"), found["checked"]["factors"], strict=True):
        plain = next(f for f in found["factors"] if f["period"] == period)
        assert plain["threshold"] == found["checked"]["threshold"] == 0.3
        assert checked["period"] == period
        assert checked["factor"] == pytest.approx(plain["factor"] * 0.75 / 0.4)
        low, high = checked["interval"]
        assert low < checked["factor"] < high
        assert high / low > plain["poisson"][1] / plain["poisson"][0]
        line = f"checked by eye {checked['factor']:.3g} ({low:.3g} to {high:.3g})"
        # Captured lines are as wide as a terminal.
        assert line in " ".join(said.get().split())
    assert said.get().count("checked by eye") == 4
    assert "north, checked by eye: 30 of 40 right, precision 0.75 (" in said.get()
    assert "Checked by eye" in (folder / "run" / "bias.html").read_text()
    numbers, _ = compared(config(folder))
    assert (folder / "run" / "bias.csv").read_text() == numbers.to_csv()


@pytest.mark.slow
def test_one_region_alone_that_is_judged_has_a_precision_but_no_factor(folder, sheets):
    fill_in(sheets["north"], ["yes"] * 10 + ["no"] * 10 + [""] * 30)
    fill_in(sheets["south"], [""] * 50, "a road?")
    with console.capture() as said:
        bias(config(folder))
    north, south = result(folder)["checked"]["regions"]
    assert (north["num_judged"], north["precision"]) == (20, 0.5)
    assert (south["num_drawn"], south["num_judged"], south["precision"]) == (50, 0, None)
    reason = "no detection of south is judged"
    assert {f["reason"] for f in result(folder)["checked"]["factors"]} == {reason}
    assert said.get().count(f"bias: there is no bias factor checked by eye: {reason}") == 1
    assert reason in (folder / "run" / "bias.html").read_text()
    assert "a road?" in sheets["south"].read_text()


def test_an_answer_that_is_neither_yes_nor_no_is_named(folder, sheets):
    block = rows_of(sheets["south"])[30]["block"]
    fill_in(sheets["south"], ["yes"] * 30 + ["perhaps"] + ["no"] * 19)
    names = [folder / "run" / f"bias{end}" for end in (".json", ".csv", ".html")]
    before = [name.read_bytes() if name.exists() else None for name in names]
    with pytest.raises(ConfigError) as refused:
        bias(config(folder))
    line = str(refused.value)
    assert "\n" not in line
    assert str(sheets["south"]) in line
    assert f"block {block}: landslide is 'perhaps'; give yes or no" in line
    assert [name.read_bytes() if name.exists() else None for name in names] == before


def test_the_layer_of_a_polygon_file_is_chosen(folder, tmp_path):
    path = tmp_path / "regions.gpkg"
    for layer, blocks in (("wide", 9), ("narrow", 8)):
        area = shapely.box(500_000, 4_898_200, 500_000 + blocks * 180, 4_900_000)
        gpd.GeoSeries([area], crs=32610).to_file(path, layer=layer)
    found, _ = compared(with_region(folder, polygon=str(path), layer="narrow"))
    assert found.regions[1].num_blocks == 8 * 10
    with pytest.raises(DataError, match="layer"):
        compared(with_region(folder, polygon=str(path)))
    for layer, status in (("wide", "ok"), ("none", "fail")):
        given = with_region(folder, polygon=str(path), layer=layer)
        checks = {check.name: check for check in inputs(Needs.of(given))}
        assert checks["input bias.regions.south"].status == status
    with pytest.raises(ValidationError, match="layer 'wide' is of no file: give polygon"):
        BiasRegion(scene="other", layer="wide")


def test_what_cannot_be_compared_is_named(folder):
    with pytest.raises(ConfigError, match="does not say what to compare"):
        bias(config(folder).model_copy(update={"bias": None}))
    with pytest.raises(ConfigError, match="'water' is no categorical variable"):
        bias(with_region(folder, masked={"water": [1]}))
    with pytest.raises(ConfigError, match="has no code 7"):
        bias(with_region(folder, masked={"land_cover": [7]}))
    with pytest.raises(DataError, match="no bias factor at any threshold in any period"):
        bias(config(folder, bias={"periods": {"long ago": ["1990-01-01", "1990-01-02"]}}))
    with pytest.raises(DataError, match="there is no map of 'one' by 'cnn' as they are now: run"):
        bias(config(folder, classify={"min_valid": 0.5}))
    with pytest.raises(DataError, match="there is no map of 'one' by 'cnn' as they are now: run"):
        bias(config(folder, matching=False))
    moved = config(folder).model_dump(mode="json", by_alias=True)
    moved["scenes"]["one"]["cube"]["grid"]["bounds"][1] += 180
    with pytest.raises(DataError, match="'one' is not in its cube as the run is set now: run pre"):
        bias(ChipsConfig.model_validate(moved))
    with pytest.raises(ConfigError, match="run train"):
        bias(config(folder, split={"seed": 3}))


def test_the_command_prints_one_line_where_it_is_refused(folder, command_line):
    plain = config(folder).model_dump(mode="json", by_alias=True)
    name = command_line.write(plain, "chips.yaml")
    done = command_line("bias", name, "--set", "bias=null", status=2)
    assert done.stderr.strip().count("\n") == 0
    assert "does not say what to compare" in done.stderr
