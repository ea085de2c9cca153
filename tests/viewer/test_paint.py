import numpy as np
import pytest

from landslide_dist.viewer.legend import legend
from landslide_dist.viewer.paint import (
    Style,
    class_colours,
    classed,
    default_style,
    outcomes,
    packed,
    paint,
    proposed_thresholds,
    ramp,
    rgb,
)
from landslide_dist.viewer.window import read_overview

BLACK, WHITE = "#000000", "#ffffff"


def test_a_ramp_goes_from_low_to_high_and_is_transparent_where_there_is_nothing():
    found = ramp((BLACK, WHITE), np.array([[-5.0, 2.0, 3.0, 9.0, np.nan]]), Style(2.0, 4.0))
    assert found[0, :4, 0].tolist() == [0, 0, 128, 255]
    assert found[0, :, 3].tolist() == [255, 255, 255, 255, 0]


def test_a_logarithmic_ramp_gives_each_order_of_magnitude_the_same_room():
    style = Style(0.001, 0.1, is_log=True)
    found = ramp((BLACK, WHITE), np.array([[0.0, 0.001, 0.01, 0.1]]), style)
    assert found[0, :, 0].tolist() == [0, 0, 128, 255]


def test_a_class_border_belongs_to_the_class_above():
    found = classed(np.array([0.04, 0.05, 0.2, 0.9, np.nan]), (0.05, 0.2))
    assert found.tolist() == [0, 1, 2, 2, 255]
    assert len(set(class_colours(Style(thresholds=(0.1, 0.2, 0.3, 0.4))))) == 5


def test_outcomes_are_those_of_labelled_pixels_of_the_shown_parts(region):
    layer = region.layers["errors good"]
    extract = read_overview(layer)
    label, probability, part = extract.values
    everything = outcomes(extract, Style(threshold=0.3))
    called = probability >= 0.3
    for code, expected in {
        3: (label == 1) & called, 2: (label == 1) & ~called & np.isfinite(probability),
        1: (label == 0) & called, 0: (label == 0) & ~called & np.isfinite(probability),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(everything == code, expected)
    test_alone = outcomes(extract, Style(threshold=0.3, parts=frozenset({2})))
    np.testing.assert_array_equal(test_alone != 255, (everything != 255) & (part == 2))


@pytest.mark.parametrize("index", range(14))
def test_every_layer_can_be_painted_and_explained(region, index):
    layer = list(region.layers.values())[index]
    extract, style = read_overview(layer), default_style(layer)
    colours = paint(layer, extract, style)
    assert colours.shape == (*extract.window.shape, 4)
    assert colours[..., 3].any()
    assert layer.kind == "relief" or layer.title in legend(layer, extract, style)
    if layer.key != "landslide":
        assert len(np.unique(colours.reshape(-1, 4), axis=0)) > 2


def test_classes_of_a_prediction_are_named_in_the_legend(region):
    layer = region.layers["probability good"]
    borders = proposed_thresholds(layer)
    assert len(borders) == 4
    text = legend(layer, read_overview(layer), Style(thresholds=borders))
    for name in ("very low", "moderate", "very high", f"{borders[0]:g}"):
        assert name in text


def test_pixels_go_to_the_browser_lowest_row_first():
    picture = np.zeros((2, 3, 4), np.uint8)
    picture[0, 0] = (*rgb("#102030"), 255)
    assert packed(picture)[1, 0] == 0xFF302010
    assert packed(picture)[0, 0] == 0
