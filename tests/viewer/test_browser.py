"""The real command and a real browser: what users see, from the first paint to a click."""

import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ..services.chromium import browser, find_chromium
from ..stages.conftest import SMOKE, CommandLine, command_line_environment

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

#: Whether the map shows ground, a layer and its explanation.
PAINTED = """
(() => { const d = Bokeh.documents[0]; const images = d.get_model_by_name("layer").data_source.data;
  return images.image.length == 1 && d.is_idle })()
"""
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
    left = page.evaluate('Bokeh.documents[0].get_model_by_name("layer").data_source.data.x[0]')
    page.drag(x, y, x + 200, y + 50)
    page.wait_for(f'Bokeh.documents[0].get_model_by_name("layer").data_source.data.x[0] != {left}')
    settle(page)
    assert page.screenshot(viewed.folder / "panned.png") != near
    for _ in range(12):
        page.wheel(x, y, 3)
    page.wait_for(f'{STATUS}.includes("level 1")')


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
    title = 'Bokeh.documents[0].get_model_by_name("map").title.text'
    assert other.evaluate(title) == "Slope"
    assert page.evaluate(title) == "Landslide probability, llr"


def test_a_run_without_a_cube_is_one_clear_line(tmp_path):
    command_line = CommandLine(tmp_path, command_line_environment())
    refused = command_line("view", command_line.write(SMOKE), status=2)
    assert "there is no store at" in refused.stderr
    assert "Traceback" not in refused.stderr
