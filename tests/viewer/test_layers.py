from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.store import cube
from landslide_dist.viewer.layers import GROUPS, find_layers
from landslide_dist.viewer.palette import class_colours


def test_every_variable_prediction_and_error_is_a_layer(region):
    assert list(region.layers) == [
        "hillshade", "elevation", "slope", "uphill 30", "uphill 100", "lithology", "landslide",
        "split", "probability good", "probability_std good", "susceptibility_class good",
        "errors good", "composite 2024-01-01 pre", "composite 2024-02-01 post",
        "reflectance 2024-01-01 pre blue", "reflectance 2024-01-01 pre green",
        "reflectance 2024-01-01 pre red", "reflectance 2024-02-01 post blue",
        "reflectance 2024-02-01 post green", "reflectance 2024-02-01 post red",
        "valid 2024-01-01 pre", "valid 2024-02-01 post",
    ]  # fmt: skip
    groups = [layer.group for layer in region.layers.values()]
    assert groups == sorted(groups, key=GROUPS.index)


def test_classes_have_names_and_colours_of_their_own(region):
    lithology = region.layers["lithology"].classes
    assert {code: flag.name for code, flag in lithology.items()} == {
        0: "unknown", 1: "clay", 2: "granite",
    }  # fmt: skip
    assert len({flag.colour for flag in lithology.values()}) == 3
    assert len(set(class_colours(44))) == 44


def test_levels_of_one_variable_are_shared(region):
    assert region.layers["hillshade"].pyramid == region.layers["elevation"].pyramid
    assert region.layers["uphill 30"].pyramid == region.layers["uphill 100"].pyramid


def test_classes_of_a_prediction_are_coloured_from_the_least_to_the_most(region):
    classes = region.layers["susceptibility_class good"].classes
    assert [flag.name for flag in classes.values()] == ["below 0.2", "0.2 to 0.6", "from 0.6"]
    assert 0 not in classes  # where there is no data nothing is drawn


def test_composites_find_their_bands_by_name(region):
    for step, name in enumerate(("2024-01-01 pre", "2024-02-01 post")):
        layer = region.layers[f"composite {name}"]
        assert (layer.kind, layer.leading, layer.bands) == ("composite", (step,), (2, 1, 0))
        assert layer.pyramid == region.layers[f"reflectance {name} red"].pyramid


def test_without_the_three_colours_there_is_no_composite(tmp_path):
    grid = Grid.from_bounds("EPSG:32632", 10, (600000, 5100000, 600320, 5100320))
    location = str(tmp_path / "cube.zarr")
    names = {"time": ["unknown"] * 2, "role": ["pre", "pre"], "pair": [0, 1], "band": ["nir"]}
    cube.create(location, grid, [schema.reflectance(2, 1)], StorageConfig(), {}, names)
    found = find_layers(location, {}, None, {}, lambda name: str(tmp_path / name))
    assert [layer.key for layer in found] == [
        "reflectance unknown pre 0 nir", "reflectance unknown pre 1 nir",
    ]  # fmt: skip
