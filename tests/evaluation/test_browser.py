"""The pages in a real browser, as wide as a phone and as a desk."""

import json
import re
import shutil
import subprocess

import pytest

from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.evaluation.bias import compare_reporting
from landslide_dist.evaluation.bias_checked import check_detections
from landslide_dist.evaluation.bias_figures import counts_figure, ratio_figure
from landslide_dist.evaluation.bias_page import render_bias
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.report import Picture, render_report
from landslide_dist.evaluation.runs_page import Run, render_runs
from landslide_dist.evaluation.score import score_predictions
from landslide_dist.patches.audit import Sight, SplitAudit

from .bias_regions import TEXTS, config, pair

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

#: Runs inside the page: what a reader would have to scroll sideways for, and pictures that fail.
PROBE = """
<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach(d => { d.open = true; });
  const wide = [...document.querySelectorAll("body *")]
    .filter(e => !e.closest(".scroll, pre") && e.getBoundingClientRect().right > innerWidth + 1)
    .map(e => e.tagName + ": " + e.textContent.slice(0, 60));
  const empty = [...document.images].filter(i => !i.complete || !i.naturalWidth).length;
  document.body.dataset.probe = JSON.stringify({
    scroll: document.documentElement.scrollWidth, inner: innerWidth, wide, empty,
    images: document.images.length,
    headings: [...document.querySelectorAll("h2, h3.over")].map(e => e.textContent),
  });
});
</script>
"""


def look(tmp_path, page, width_px):
    """What the browser says of a page, its console, and a screenshot."""
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", PROBE + "</body>"))
    # A window is never as narrow as a phone: the page is shown in a frame that is.
    frame = tmp_path / "frame.html"
    frame.write_text(
        '<!doctype html><meta charset="utf-8">'
        "<style>body { margin: 0 } iframe { border: 0 }</style>"
        f'<iframe id="f" src="page.html" width="{width_px}" height="5000"></iframe>'
        "<script>addEventListener('load', () => { document.body.dataset.probe ="
        " document.getElementById('f').contentDocument.body.dataset.probe })</script>"
    )
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
        "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={max(width_px, 600)},5000", "--virtual-time-budget=20000",
    ]  # fmt: skip
    shot = tmp_path / f"{width_px}.png"
    done = subprocess.run(
        [CHROMIUM, *options, f"--screenshot={shot}", "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found, done.stdout[:500] + done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&")), console, shot


@pytest.fixture
def run(make_run):
    return make_run()


@pytest.fixture
def scores(run):
    config = EvaluateConfig(bootstrap_draws=10, bootstrap_block_px=32)
    return score_predictions(run.cube, run.split, run.predictions, run.parts, config)


@pytest.fixture
def pages(run, scores, calibration):
    audit = SplitAudit(40, (Sight("test", "train", 100, 25, 3),))
    long = "a: " + "x" * 300 + "\n"
    report = render_report(
        "a-rather-long-name-of-a-run-of-the-Eastern-Alps-2024", scores, run.cube, run.split,
        run.predictions, run.parts, audit, long, {"good": calibration},
    )  # fmt: skip
    made_of = {"run": {"made_of": {"cube": "1", "split": "s", "parts": {}}}}
    metrics = json.loads(json.dumps(made_of | to_metrics(scores)))
    compared = [
        Run(name, metrics, run.cube, run.predictions, {"run_dir": name, "long": name * 30})
        for name in ("eastern-alps-2024-block-split", "eastern-alps-2024-random-split")
    ]
    return {"report": report, "runs": render_runs(compared)}


@pytest.mark.parametrize("name", ["report", "runs"])
def test_a_page_fits_its_reader_without_an_error(tmp_path, pages, name):
    for width_px in (390, 1280):
        found, console, shot = look(tmp_path, pages[name], width_px)
        assert console == []
        assert found["inner"] == width_px
        assert found["scroll"] <= width_px
        assert found["wide"] == []
        assert found["empty"] == 0
        assert found["images"] >= 4
        assert shot.stat().st_size > 50_000


def test_the_page_of_two_regions_that_were_checked_by_eye_fits_a_phone(tmp_path):
    result = compare_reporting(pair(), config())
    checked = check_detections(result, ([True] * 30 + [False] * 20, [True, False, None]))
    curves = [Picture("counts", "", counts_figure(result)), Picture("", "", ratio_figure(result))]
    pictures = dict.fromkeys(("curves", "blocks", "maps", "histograms"), curves)
    page = render_bias(
        "run", result, config(), TEXTS, (180, 180), pictures, "a: " + "x" * 300, checked
    )
    found, console, _ = look(tmp_path, page, 390)
    assert console == []
    assert found["inner"] == 390
    assert found["scroll"] <= 390
    assert found["wide"] == []
    assert found["empty"] == 0
    assert found["images"] == 8
    assert "Checked by eye" in found["headings"]
