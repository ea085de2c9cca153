import numpy as np
import pytest

from landslide_dist.grid import Window
from landslide_dist.viewer import palette
from landslide_dist.viewer.legend import legend
from landslide_dist.viewer.paint import (
    Style,
    class_colours,
    classed,
    default_style,
    outcomes,
    paint,
    proposed_thresholds,
    steps,
)
from landslide_dist.viewer.palette import rgb
from landslide_dist.viewer.window import Extract, read_overview, values_of

BLACK, WHITE = "#000000", "#ffffff"


def test_steps_go_from_low_to_high_and_none_is_left_for_nothing():
    found = steps(np.array([[-5.0, 2.0, 3.0, 9.0, np.nan]]), Style(2.0, 4.0))
    assert found.dtype == np.uint8
    assert found.tolist() == [[1, 1, 128, 255, palette.NOTHING]]


def test_logarithmic_steps_give_each_order_of_magnitude_the_same_room():
    style = Style(0.001, 0.1, is_log=True)
    assert steps(np.array([[0.0, 0.001, 0.01, 0.1]]), style).tolist() == [[1, 1, 128, 255]]


def test_a_palette_has_a_colour_for_each_byte_and_nothing_is_transparent():
    ramp = palette.ramp((BLACK, WHITE))
    assert (ramp[1], ramp[255]) == (BLACK, WHITE)
    assert rgb(ramp[128])[0] == pytest.approx(127.5, abs=1)
    fading = palette.fading("#102030")
    assert fading[255] == "#102030ff"
    assert fading[1] == "#10203059"
    codes = palette.by_code({3: WHITE})
    assert codes[3] == WHITE
    for one in (ramp, fading, codes):
        assert len(one) == palette.SIZE
        assert one[palette.NOTHING].endswith("00")
    assert len(palette.susceptible(5)) == 5


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


def seen(painted):
    """The colours that the browser makes of a picture."""
    if painted.palette is None:
        return painted.pixels
    return np.array(painted.palette)[painted.pixels]


@pytest.mark.parametrize("index", range(22))
def test_every_layer_can_be_painted_and_explained(region, index):
    layer = list(region.layers.values())[index]
    extract, style = read_overview(layer), default_style(layer)
    painted = paint(layer, extract, style)
    assert painted.pixels.shape == extract.window.shape
    assert (painted.palette is None) == (layer.kind == "composite")
    if painted.palette is not None:
        assert painted.pixels.dtype == np.uint8
    assert layer.kind == "relief" or layer.title in legend(layer, extract, style)
    # At this size some clear pixel is nearly everywhere.
    flat = ("landslide", "valid 2024-01-01 pre", "valid 2024-02-01 post")
    assert len(np.unique(seen(painted))) > (0 if layer.key in flat else 2)


def test_codes_are_drawn_in_their_colours(region):
    layer = region.layers["lithology"]
    extract = read_overview(layer)
    colours = seen(paint(layer, extract, Style()))
    for code, flag in layer.classes.items():
        assert (colours[extract.values[0] == code] == flag.colour).all()


def test_a_composite_is_stretched_by_band_and_transparent_where_not_clear(region):
    layer = region.layers["composite 2024-02-01 post"]
    overview, style = read_overview(layer), default_style(layer)
    for band, (low, high) in zip(overview.values, style.stretch, strict=True):
        assert (low, high) == pytest.approx(np.nanquantile(band, (0.02, 0.98)))
        assert high < 10_000  # what is masked is not counted
    window = Window(80, 60, 50, 60)
    extract = Extract(0, window, region.grid, values_of(layer, 0, window))
    bytes_ = np.ascontiguousarray(paint(layer, extract, style).pixels).view(np.uint8)
    found = bytes_.reshape(*window.shape, 4)
    clear = region.arrays["valid"][1][window.slices] == 1
    np.testing.assert_array_equal(found[..., 3], np.where(clear, 255, 0))
    assert 0 < clear.mean() < 1
    for channel, (low, high) in enumerate(style.stretch):
        values = region.arrays["reflectance"][1, 2 - channel][window.slices]
        share = np.clip((values.astype(np.float32) - low) / (high - low), 0, 1)
        expected = np.where(clear, np.rint(255 * share), 0)
        np.testing.assert_allclose(found[..., channel], expected, atol=1)


def test_classes_of_a_prediction_are_named_in_the_legend(region):
    layer = region.layers["probability good"]
    borders = proposed_thresholds(layer)
    assert len(borders) == 4
    text = legend(layer, read_overview(layer), Style(thresholds=borders))
    for name in ("very low", "moderate", "very high", f"{borders[0]:g}"):
        assert name in text
