"""Items of maps and models against the schemas of STAC 1.1 and the required fields of MLM."""

import hashlib
import json

import numpy as np
import pystac
import pytest
import shapely
import torch
from jsonschema import Draft7Validator
from pyproj import Transformer
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from landslide_dist.config.categories import synthetic
from landslide_dist.config.channels import Channels
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.model import LACNNConfig, LLRConfig
from landslide_dist.config.publish import PublishConfig
from landslide_dist.grid import Grid
from landslide_dist.inference.mlm import model_item
from landslide_dist.inference.stac import add_model_link, footprint, prediction_item, write_item
from landslide_dist.models import build_model
from landslide_dist.models.export import card
from landslide_dist.schema import predicted, susceptibility_class
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

GRID = Grid.from_bounds("EPSG:32632", 10, (600000, 5100000, 601300, 5100900))
STORAGE = StorageConfig(chunk_px=16, shard_px=64)
#: What MLM 1.4 requires of an item and its parts, after its JSON schema.
DIMENSIONS = {
    "type": "object",
    "required": ["shape", "dim_order", "data_type"],
    "properties": {
        "shape": {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": -1}},
        "dim_order": {
            "type": "array", "uniqueItems": True,
            "items": {"type": "string", "pattern": "^[a-z-_]+$"},
        },
        "data_type": {"enum": ["uint8", "uint16", "float32"]},
    },
}  # fmt: skip
TASKS = {
    "type": "array", "uniqueItems": True, "minItems": 1,
    "items": {"enum": ["regression", "semantic-segmentation"]},
}  # fmt: skip
MLM = {
    "type": "object",
    "required": ["stac_extensions", "properties", "assets"],
    "properties": {
        "stac_extensions": {
            "contains": {"const": "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"}
        },
        "properties": {
            "required": [
                "mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output", "bands",
                "mlm:pretrained", "mlm:pretrained_source",
            ],
            "properties": {
                "mlm:name": {"type": "string", "pattern": "^[a-zA-Z][a-zA-Z0-9_.-]+[a-zA-Z0-9]$"},
                "mlm:framework": {"const": "PyTorch"},
                "mlm:framework_version": {"pattern": r"^\d+\.\d+\.\d+$"},
                "mlm:total_parameters": {"type": "integer", "minimum": 1},
                "mlm:tasks": TASKS,
                "mlm:hyperparameters": {
                    "type": "object", "minProperties": 1,
                    "patternProperties": {"^[0-9a-zA-Z_.-]+$": True},
                    "additionalProperties": False,
                },
                "mlm:input": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "required": ["name", "bands", "input"],
                        "properties": {"input": DIMENSIONS, "bands": {"minItems": 1}},
                    },
                },
                "mlm:output": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "required": ["name", "tasks", "result"],
                        "properties": {"result": DIMENSIONS, "tasks": TASKS},
                    },
                },
            },
        },
        "assets": {
            "minProperties": 1,
            "additionalProperties": {
                "required": ["href", "type", "roles", "mlm:artifact_type"],
                "properties": {"roles": {"contains": {"const": "mlm:model"}}},
            },
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def validate():
    """Check an item against the core schemas that pystac brings along."""
    schemas = get_local_schema_cache()
    registry = Registry().with_resources(
        (uri, Resource.from_contents(schema)) for uri, schema in schemas.items()
    )
    uri = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"
    return Draft7Validator(schemas[uri], registry=registry).validate


def stored_map(location, dtype="float32", bounds=()):
    """A map whose left third is not known; returns the probabilities."""
    values = np.random.default_rng(0).random(GRID.shape, dtype=np.float32)
    variables = [predicted("probability", "landslide probability", dtype)]
    variables += [susceptibility_class(bounds)] if bounds else []
    attributes = {"model": "m", "checkpoint": "abc", "cube": {"location": "c"}}
    cube.create(location, GRID, variables, STORAGE, attributes)
    steps = {"uint8": 250}.get(dtype, 1)
    stored = np.rint(values * steps) if steps > 1 else values
    stored[:, :40] = 255 if steps > 1 else np.nan
    array = cube.array(open_group(location, "r+"), "probability")
    for window in cube.shard_windows(location):
        cube.write_block(array, window, stored[window.slices].astype(dtype))
    return stored[:, 40:].astype(np.float64) / steps


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_the_item_of_a_map(tmp_path, validate, dtype):
    location = str(tmp_path / "predictions" / "m.zarr")
    known = stored_map(location, dtype)
    cog = tmp_path / "predictions" / "m.tif"
    item = prediction_item("run-m", location, {"probability": str(cog)}, {}, PublishConfig())
    add_model_link(item, "model.json", "run-m")
    path = tmp_path / "export" / "m" / "prediction.json"
    write_item(item, path)
    written = json.loads(path.read_text())
    validate(written)
    properties = written["properties"]
    assert properties["proj:code"] == "EPSG:32632"
    assert properties["proj:shape"] == [90, 130]
    assert properties["proj:transform"] == [10, 0, 600000, 0, -10, 5100900]
    assert properties["landslide_dist:checkpoint"] == "abc"
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "1900-01-01T00:00:00Z"
    assert properties["end_datetime"] == "9999-12-31T23:59:59Z"
    assert written["assets"]["probability"]["href"] == "../../predictions/m.tif"
    assert written["assets"]["probability"]["type"] == pystac.MediaType.COG
    assert written["assets"]["probability"]["roles"] == ["data"]
    assert written["assets"]["zarr"]["href"] == "../../predictions/m.zarr"
    (band,) = written["assets"]["probability"]["bands"]
    assert band["data_type"] == dtype
    assert band["nodata"] == {"float32": "nan", "uint8": 255}[dtype]
    assert band.get("raster:scale") == {"float32": None, "uint8": 1 / 250}[dtype]
    statistics = band["statistics"]
    assert statistics["mean"] == pytest.approx(known.mean())
    assert statistics["stddev"] == pytest.approx(known.std())
    assert statistics["minimum"] == pytest.approx(known.min())
    assert statistics["maximum"] == pytest.approx(known.max())
    assert statistics["valid_percent"] == pytest.approx(100 * 90 / 130, abs=1e-3)
    (link,) = written["links"]
    assert (link["rel"], link["href"]) == ("derived_from", "model.json")


def test_the_same_map_gives_the_same_item(tmp_path):
    location = str(tmp_path / "m.zarr")
    stored_map(location)
    for name in ("a", "b"):
        write_item(
            prediction_item("m", location, {}, {}, PublishConfig()), tmp_path / f"{name}.json"
        )
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_the_user_says_of_a_map(tmp_path, validate):
    location = str(tmp_path / "m.zarr")
    stored_map(location)
    publish = PublishConfig(
        title="A map", license="CC-BY-4.0", start="2015-03-01", end="2020-06-30"
    )
    written = prediction_item("m", location, {}, {}, publish).to_dict()
    validate(written)
    assert written["properties"]["title"] == "A map"
    assert written["properties"]["license"] == "CC-BY-4.0"
    assert written["properties"]["start_datetime"] == "2015-03-01T00:00:00Z"
    assert written["properties"]["end_datetime"] == "2020-06-30T23:59:59Z"
    with pytest.raises(ValueError, match="is after publish.end"):
        PublishConfig(start="2020-01-02", end="2020-01-01")


def test_classes_are_named(tmp_path, validate):
    location = str(tmp_path / "m.zarr")
    stored_map(location, bounds=(0.1, 0.5))
    written = prediction_item("m", location, {}, {}, PublishConfig()).to_dict()
    validate(written)
    first, second = written["assets"]["zarr"]["bands"]
    assert first["name"] == "probability"
    classes = second["classification:classes"]
    assert [c["value"] for c in classes] == [0, 1, 2, 3]
    assert classes[2]["description"] == "0.1 to 0.5"


def test_the_footprint_follows_the_edges_of_the_grid():
    grid = Grid.from_bounds("EPSG:32632", 100, (300000, 5000000, 700000, 5400000))
    geometry, bbox = footprint(grid)
    outline = shapely.geometry.shape(geometry)
    transformer = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    left, bottom, right, top = grid.bounds
    for x, y in [(left, bottom), (right, top), ((left + right) / 2, top), (left, 5200000)]:
        assert outline.exterior.distance(shapely.Point(transformer.transform(x, y))) < 1e-6
    assert outline.bounds == pytest.approx(bbox)
    assert outline.exterior.is_ccw


def test_a_footprint_across_the_antimeridian_has_two_parts():
    grid = Grid.from_bounds("EPSG:32701", 100, (100000, 8000000, 300000, 8200000))
    geometry, (west, south, east, north) = footprint(grid)
    assert geometry["type"] == "MultiPolygon"
    assert 170 < west < 180
    assert -180 < east < -170
    assert south < north < 0
    parts = shapely.geometry.shape(geometry).geoms
    assert [part.bounds[2] == 180 for part in parts] == [True, False]
    assert [part.bounds[0] == -180 for part in parts] == [False, True]
    assert all(part.exterior.is_ccw for part in parts)


@pytest.mark.parametrize(
    "config", [LLRConfig(kind="llr"), LACNNConfig(kind="lacnn", widths=(4, 8), init_from="a.ckpt")]
)
def test_the_item_of_a_model(tmp_path, validate, config):
    statistics = {"slope": (15.0, 8.0), "elevation": (600.0, 250.0)}
    model = build_model(
        config, Channels(synthetic()), statistics, {30.0: 3, 100.0: 10}, 0.1, ("slope",)
    )
    weights = tmp_path / "models" / "m" / "best.ckpt"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    description = card(model, {"looking_distances_m": [30, 100], "pixel_m": 10.0})
    files = {"checkpoint": str(weights)}
    item = model_item("run-m", model, description, GRID, files, "uint16", PublishConfig())
    write_item(item, tmp_path / "export" / "model.json")
    written = json.loads((tmp_path / "export" / "model.json").read_text())
    validate(written)
    Draft7Validator(MLM).validate(written)
    properties, asset = written["properties"], written["assets"]["checkpoint"]
    num_parameters = sum(p.numel() for p in model.parameters())
    assert properties["mlm:total_parameters"] == num_parameters
    assert [i["name"] for i in properties["mlm:input"]] == list(model.inputs)
    assert [band["name"] for band in properties["bands"]] == list(model.inputs)
    assert properties["bands"][0]["statistics"] == {"mean": 15.0, "stddev": 8.0}
    assert properties["mlm:pretrained"] == (config.kind == "lacnn")
    assert properties["mlm:framework_version"] == torch.__version__.partition("+")[0]
    if config.kind == "lacnn":
        assert properties["mlm:input"][-1]["input"]["shape"] == [-1, 2, -1, -1]
        assert properties["bands"][-1]["nodata"] == 65535
    assert asset["href"] == "../models/m/best.ckpt"
    assert asset["file:size"] == 7
    assert asset["file:checksum"] == "1220" + hashlib.sha256(b"weights").hexdigest()
