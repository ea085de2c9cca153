from landslide_dist.viewer.layers import GROUPS, class_colours


def test_every_variable_prediction_and_error_is_a_layer(region):
    assert list(region.layers) == [
        "hillshade", "elevation", "slope", "uphill 30", "uphill 100", "lithology", "landslide",
        "split", "probability good", "probability_std good", "susceptibility_class good",
        "errors good", "reflectance 2024-01-01 red", "reflectance 2024-02-01 red",
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
