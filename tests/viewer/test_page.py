import socket

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.document.events import ColumnDataChangedEvent

from landslide_dist.errors import ConfigError
from landslide_dist.viewer.controls import numbers
from landslide_dist.viewer.page import MapPage
from landslide_dist.viewer.readout import read_pixel
from landslide_dist.viewer.server import start, url_of


@pytest.fixture
def page(region):
    return MapPage(Document(), region.atlas)


def test_a_page_begins_with_the_last_model_over_the_relief(page):
    ground, layer = page.draw()
    assert ground.layer.key == "hillshade"
    assert layer.layer.key == "probability good"
    assert page.canvas.figure.title.text == "Landslide probability, good"
    assert page.controls.borders.visible is False


def test_a_chosen_layer_brings_its_own_controls(page):
    controls = page.controls
    controls.overlay.value = "slope"
    assert controls.range.visible
    assert not controls.in_classes.visible
    controls.overlay.value = "errors good"
    assert controls.threshold.visible
    assert controls.threshold.value == 0.3
    controls.overlay.value = "none"
    assert page.draw()[1] is None


def test_choices_reach_the_picture(page):
    controls = page.controls
    before = page.draw()[1].painted.pixels
    controls.in_classes.active = [0]
    classes = page.draw()[1]
    assert len(classes.style.thresholds) == 4
    assert (classes.painted.pixels != before).any()
    controls.borders.value = "0.5"
    assert page.draw()[1].style.thresholds == (0.5,)
    controls.overlay.value = "errors good"
    controls.parts.active = [2]
    controls.threshold.value = 0.9
    style = page.draw()[1].style
    assert (style.threshold, style.parts) == (0.9, frozenset({2}))
    controls.overlay.value = "elevation"
    controls.low.value, controls.high.value = 700.0, 750.0
    assert (page.draw()[1].style.low, page.draw()[1].style.high) == (700.0, 750.0)
    controls.high.value = 600.0  # not a range: the scale that fits is kept
    assert page.draw()[1].style.high != 600.0


def sent(page):
    """A counter of the bytes of pictures that go to the browser from now on."""
    events = []
    page._document.on_change(events.append)

    def count():
        filled = [event.model for event in events if isinstance(event, ColumnDataChangedEvent)]
        # What a source holds now: a palette's change empties it on the way.
        return sum(i.nbytes for source in set(filled) for i in source.data.get("image", ()))

    return count


def test_a_pixel_is_one_byte_for_each_layer(page):
    drawn = page.draw()
    assert [one.painted.pixels.dtype for one in drawn] == [np.uint8, np.uint8]
    count = sent(page)
    page.canvas.show(*drawn)
    assert count() == 0  # it is there already
    page.canvas.show(None, None)
    page.canvas.show(*drawn)
    assert count() == sum(one.extract.window.height * one.extract.window.width for one in drawn)


def test_only_what_changed_is_sent(page):
    count = sent(page)
    page.controls.opacity.value = 0.3
    page._show(page.draw())
    assert count() == 0
    page.controls.high.value = 0.9  # of the upper layer: the ground is left alone
    page._show(page.draw())
    after_scale = count()
    assert after_scale == page.draw()[1].painted.pixels.size
    x = page.canvas.figure.x_range
    step = (x.end - x.start) / 50
    x.update(start=x.start + step, end=x.end - step)  # within the margin, at the same level
    page._show(page.draw())
    assert count() == after_scale


def test_a_composite_is_drawn_by_itself_and_masked(page, region):
    page.controls.overlay.value = "composite 2024-02-01 post"
    page._show(page.draw())
    shown = {
        name: page.canvas.figure.select_one({"name": name}).data_source.data["image"]
        for name in ("ground", "ground rgb", "layer", "layer rgb")
    }
    assert [len(images) for images in shown.values()] == [1, 0, 0, 1]
    assert shown["layer rgb"][0].dtype == np.uint32
    page.controls.overlay.value = "slope"
    page._show(page.draw())
    assert not page.canvas.figure.select_one({"name": "layer rgb"}).data_source.data["image"]


def test_two_tabs_do_not_share_their_choices(page, region):
    other = MapPage(Document(), region.atlas)
    page.controls.overlay.value = "slope"
    assert other.controls.overlay.value == "probability good"


def test_a_click_is_marked(page, region):
    x, y = float(region.grid.x[77]), float(region.grid.y[60])
    page.canvas.mark(read_pixel(region.atlas.layers, region.grid, x, y))
    (uphill,) = page.canvas.figure.select(name="uphill")
    assert len(uphill.data_source.data["x1"]) == 2
    page.canvas.mark(None)
    assert not uphill.data_source.data["x1"]


def test_a_click_tells_errors_as_they_are_painted(page, region, monkeypatch):
    good, landslide = region.arrays["good"], region.arrays["landslide"]
    rows, columns = np.nonzero((landslide == 1) & (good > 0.35) & (good < 0.9))
    x, y = float(region.grid.x[columns[0]]), float(region.grid.y[rows[0]])
    monkeypatch.setattr(page, "_in_background", lambda work, then: then(work()))
    page.controls.overlay.value = "errors good"
    page._tapped(x, y)
    assert "landslide, predicted" in page.controls.readout.text
    page.controls.threshold.value = 0.95
    page._tapped(x, y)
    assert "landslide, missed" in page.controls.readout.text


def test_class_borders_are_read_leniently():
    assert numbers("0.2; 0.05,x 7 0") == (0.05, 0.2)


def test_a_taken_port_is_one_clear_line(region):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is taken.*--port"):
            start(region.atlas, "127.0.0.1", port)
    with pytest.raises(ConfigError, match="cannot listen at 192.0.2.1"):
        start(region.atlas, "192.0.2.1", 0)
    assert url_of("127.0.0.1", 5006) == "http://127.0.0.1:5006/"
