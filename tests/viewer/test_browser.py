"""The real command and a real browser: what users see, from the first paint to a click."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from landslide_dist.viewer.canvas import Canvas
from landslide_dist.viewer.pictures import draw
from landslide_dist.viewer.server import start, url_of

from ..services.chromium import browser, find_chromium
from ..stages.conftest import SMOKE, CommandLine, command_line_environment

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

#: Whether the map shows ground, a layer and its explanation.
PAINTED = """
(() => { const d = Bokeh.documents[0]; const images = d.get_model_by_name("layer").data_source.data;
  return images.image.length == 1 && d.is_idle })()
"""
TITLE = 'Bokeh.documents[0].get_model_by_name("map").title.text'
EDGES = """
(() => { const m = Bokeh.documents[0].get_model_by_name("map");
  return {left: m.x_range.start, right: m.x_range.end, bottom: m.y_range.start,
          top: m.y_range.end, width_px: m.inner_width, height_px: m.inner_height} })()
"""
LAYER = 'Bokeh.documents[0].get_model_by_name("layer").data_source.data'
STATUS = 'Bokeh.documents[0].get_model_by_name("status").text'


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    """A run with a prediction, and the address at which its map is served."""
    folder = tmp_path_factory.mktemp("browser")
    command_line = CommandLine(folder, command_line_environment())
    settings = {
        **SMOKE,
        "cube": {**SMOKE["cube"], "storage": {"chunk_px": 128, "shard_px": 512}},
        "sources": {"synthetic": {"seed": 1, "height": 1000, "width": 1300, "base_rate": 0.15}},
        "patches": {"core_px": 250, "oversample": 1},
        "models": {"llr": {"kind": "llr", "epochs": 1, "learning_rate": 0.05}},
        "predict": {"tile_px": 256},
    }
    run = command_line.write(settings)
    for stage in ("ingest", "derive", "split", "train", "predict"):
        command_line(stage, run)
    server = subprocess.Popen(
        [
            Path(sys.executable).with_name("landslide-dist"), "view", run, "--port", "0",
            "--no-open",
        ],
        cwd=folder, env=command_line.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        said = []
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                break
        else:
            raise AssertionError("".join(said))
        yield SimpleNamespace(url=found[0], folder=folder, server=server)
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture(scope="module")
def tabs(tmp_path_factory):
    program = find_chromium()
    if program is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with browser(program, tmp_path_factory.mktemp("chromium")) as open_tab:
        yield open_tab


@pytest.fixture
def page(viewed, tabs):
    page = tabs()
    start = time.perf_counter()
    page.navigate(viewed.url)
    page.wait_for(PAINTED)
    page.first_paint_s = time.perf_counter() - start
    settle(page)
    yield page
    assert page.complaints == []
    assert page.requests
    # Works offline: nothing is asked of anyone but the server itself.
    strangers = [url for url in page.requests if not url.startswith((viewed.url, "data:", "blob:"))]
    assert strangers == ["about:blank"] * len(strangers)


def settle(page):
    """Wait until the picture has not changed for a while."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < 0.8:
        now = page.evaluate(
            f"{STATUS} + JSON.stringify(['layer', 'ground'].map(n => "
            "{ const d = Bokeh.documents[0].get_model_by_name(n).data_source.data;"
            " return [d.x[0], d.y[0], d.dw[0], d.dh[0]] }))"
        )
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.05)


def choose(page, name, value):
    page.evaluate(f'Bokeh.documents[0].get_model_by_name("{name}").value = "{value}"; null')


def map_box(page):
    """Centre of the map on the screen, and its size."""
    return page.evaluate(
        """(() => { const view = Bokeh.index.find_one_by_name?.("map")
             ?? [...Bokeh.index.all_views()].find(v => v.model.name == "map");
             const box = view.frame.bbox, el = view.el.getBoundingClientRect();
             return [el.left + box.x + box.width / 2, el.top + box.y + box.height / 2,
                     box.width, box.height] })()"""
    )


def test_first_paint_and_what_is_on_the_page(page, viewed):
    assert page.first_paint_s < 10
    words = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(e => e.shadowRoot ? [e.shadowRoot] : [])"
        ".length"
    )
    assert words > 0
    legend = page.evaluate('Bokeh.documents[0].get_model_by_name("legend").text')
    assert "Landslide probability, llr" in legend
    assert page.evaluate("document.title") == "smoke – landslide map"
    assert len(page.screenshot(viewed.folder / "first.png")) > 50_000


def test_layers_switch(page, viewed):
    pictures = {page.screenshot(viewed.folder / "probability.png")}
    for key in ("slope", "lithology", "uphill 100", "landslide", "errors llr", "none"):
        choose(page, "overlay", key)
        settle(page)
        pictures.add(page.screenshot(viewed.folder / f"{key.replace(' ', '_')}.png"))
    assert len(pictures) == 7
    choose(page, "base", "elevation")
    settle(page)
    pictures.add(page.screenshot(viewed.folder / "elevation.png"))
    assert len(pictures) == 8


def test_opacity_and_classes_change_the_picture(page, viewed):
    before = page.screenshot(viewed.folder / "before.png")
    page.evaluate('Bokeh.documents[0].get_model_by_name("opacity").value = 0.2; null')
    time.sleep(0.5)
    faded = page.screenshot(viewed.folder / "faded.png")
    page.evaluate('Bokeh.documents[0].get_model_by_name("in_classes").active = [0]; null')
    page.wait_for('Bokeh.documents[0].get_model_by_name("legend").text.includes("very high")')
    settle(page)
    assert len({before, faded, page.screenshot(viewed.folder / "classes.png")}) == 3


def test_zoom_reads_a_finer_level_and_pan_another_window(page, viewed):
    assert "level 1" in page.evaluate(STATUS)
    x, y, *_ = map_box(page)
    for _ in range(8):
        page.wheel(x, y, -3)
    page.wait_for(f'{STATUS}.includes("every pixel")')
    settle(page)
    near = page.screenshot(viewed.folder / "near.png")
    left = page.evaluate(f"{LAYER}.x[0]")
    page.drag(x, y, x + 60, y + 15)
    settle(page)
    # A short way: the margin of what was read holds it.
    assert page.evaluate(f"{LAYER}.x[0]") == left
    assert page.screenshot(viewed.folder / "panned.png") != near
    for _ in range(12):
        page.wheel(x, y, 3)
    page.wait_for(f'{STATUS}.includes("level 1")')
    settle(page)
    for _ in range(8):
        page.wheel(x - 300, y, -3)
    page.wait_for(f'{STATUS}.includes("every pixel") && {LAYER}.x[0] != {left}')


def test_pixels_are_square(page):
    *_, width, height = map_box(page)
    x_m, y_m = page.evaluate(
        """(() => { const f = Bokeh.documents[0].get_model_by_name("map");
             return [f.x_range.end - f.x_range.start, f.y_range.end - f.y_range.start] })()"""
    )
    assert x_m / width == pytest.approx(y_m / height, rel=0.01)


def test_a_click_shows_the_pixel_and_its_uphill_points(page, viewed):
    x, y, *_ = map_box(page)
    for _ in range(6):
        page.wheel(x, y, -3)
    settle(page)
    page.click(x, y)
    text = 'Bokeh.documents[0].get_model_by_name("readout").text'
    page.wait_for(f'{text}.includes("Elevation")')
    shown = page.evaluate(text)
    for word in ("Lithology", "Landslide probability, llr", "Uphill direction, 300 m", "EPSG:"):
        assert word in shown
    marks = 'Bokeh.documents[0].get_model_by_name("uphill").data_source.data.x1.length'
    page.wait_for(f"{marks} == 3")
    settle(page)
    page.screenshot(viewed.folder / "clicked.png")


def test_tabs_have_states_of_their_own(page, tabs, viewed):
    other = tabs()
    other.navigate(viewed.url)
    other.wait_for(PAINTED)
    choose(other, "overlay", "slope")
    settle(other)
    assert other.evaluate(TITLE) == "Slope"
    assert page.evaluate(TITLE) == "Landslide probability, llr"


@contextmanager
def served(atlas):
    """The address of a map that a thread of this process serves."""
    ready, found = threading.Event(), []

    def serve():
        asyncio.set_event_loop(asyncio.new_event_loop())
        server = start(atlas, "127.0.0.1", 0)
        found.extend((url_of("127.0.0.1", server.port), server))
        ready.set()
        server.io_loop.start()
        server.stop()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield found[0]
    finally:
        found[1].io_loop.add_callback(found[1].io_loop.stop)
        thread.join(30)


def colours_of(page, name):
    """What the browser made of a picture, ``(y, x, 4)``, north up."""
    rows, columns, values = page.evaluate(
        f"""(() => {{ const view = [...Bokeh.index.all_views()].find(v => v.model.name == "{name}");
             const made = view.glyph.image_data[0], context = made.getContext("2d");
             return [made.height, made.width,
                     [...context.getImageData(0, 0, made.width, made.height).data]] }})()"""
    )
    return np.array(values, np.uint8).reshape(rows, columns, 4)[::-1]


def test_the_browser_colours_bytes_as_the_palette_says(region, tabs, tmp_path):
    page = tabs()
    with served(region.atlas) as url:
        page.navigate(url)
        page.wait_for(PAINTED)
        settle(page)
        for key, name in (("lithology", "layer"), ("landslide", "layer"), ("slope", "layer"),
                          ("composite 2024-02-01 post", "layer rgb")):  # fmt: skip
            choose(page, "overlay", key)
            page.wait_for(f'{TITLE} == "{region.layers[key].title}"')
            settle(page)
            page.screenshot(tmp_path / f"{key.replace(' ', '_')}.png")
            view = Canvas(region.grid).view
            view = replace(view, **page.evaluate(EDGES))
            drawn = draw(region.layers[key], view, region.atlas.defaults.style(region.layers[key]))
            painted, found = drawn.painted, colours_of(page, name)
            if painted.palette is None:
                expected = painted.pixels[..., None].view(np.uint8)
            else:
                table = [[int(f"{c:f<9}"[i : i + 2], 16) for i in (1, 3, 5, 7)]
                         for c in painted.palette]  # fmt: skip
                expected = np.array(table, np.uint8)[painted.pixels]
            assert len(np.unique(expected.reshape(-1, 4), axis=0)) > 1
            # A canvas keeps colours multiplied by their opacity.
            np.testing.assert_array_equal(found[..., 3], expected[..., 3])
            solid = expected[..., 3] == 255
            # The panel rounds a scale to three digits: a step of its colours at most.
            np.testing.assert_allclose(found[solid].astype(int), expected[solid], atol=4)
    assert page.complaints == []


def test_a_run_without_a_cube_is_one_clear_line(tmp_path):
    command_line = CommandLine(tmp_path, command_line_environment())
    refused = command_line("view", command_line.write(SMOKE), status=2)
    assert "there is no store at" in refused.stderr
    assert "Traceback" not in refused.stderr
