"""The page of a run of chips: scores, wrong calls, and the maps that there are."""

import re

import numpy as np
import pytest
import yaml

from landslide_dist.evaluation.chips_page import MAX_WRONG, wrong_calls

from ..chip_files import scene, settings, write_chips, write_scene

SHAPE = (100, 90)


@pytest.fixture
def folder(tmp_path):
    write_chips(tmp_path)
    write_scene(tmp_path / "scene.tif", SHAPE)
    return tmp_path


def write(folder, **own):
    tree = settings(folder, **own)
    tree["chips"]["pixel_m"] = 4.0
    tree["common"] = {"cube": {"storage": {"chunk_px": 32, "shard_px": 64}}}
    (folder / "chips.yaml").write_text(yaml.safe_dump(tree))
    return "chips.yaml"


def test_a_run_ends_with_a_page_of_what_it_found(command_line, folder):
    here = {"here": scene(folder / "scene.tif", SHAPE)}
    run = write(folder, scenes=here)
    command_line("train", run)
    command_line("report", run)
    page = (folder / "run" / "report.html").read_text()
    assert "Not classified as the run is set now: here by cnn." in page
    command_line("run", run)
    page = (folder / "run" / "report.html").read_text()
    assert "Not classified" not in page
    titles = re.findall(r"<h[23][^>]*>([^<]*)</h[23]>", page)
    assert titles == ["Scores", "Wrong calls on the test part", "cnn", "Scenes", "here by cnn"]
    # Chips of the test part, whose row stands beside those of the other two.
    assert re.findall(r'<td class="name">(\w+)</td><td>(\d+)</td>', page) == [
        ("train", "24"), ("validation", "8"), ("test", "8"),
    ]  # fmt: skip
    assert 'src="http' not in page
    elsewhere = command_line("report", run, "--output", "page.html")
    assert "page.html" in elsewhere.stderr
    assert (folder / "page.html").read_text() == page


def test_a_page_of_several_runs_takes_runs_of_regions(command_line, folder):
    run = write(folder)
    refused = command_line("report", run, run, status=2)
    assert "is a run of chips; this command takes the run of one region" in refused.stderr


def test_the_worst_calls_come_first(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "landslide_dist.evaluation.chips_page.blocks_figure",
        lambda name, groups: drawn.extend(groups) or b"",
    )
    labels = np.array([1] * 8 + [0, 0, 0], np.uint8)
    probability = np.array([0.4, 0.1, 0.3, 0.2, 0.05, 0.45, 0.5, 0.9, 0.6, 0.95, 0.2], np.float32)
    images = np.full((11, 3, 4, 4), 255, np.uint8)
    wrong_calls("cnn", images, labels, probability)
    missed, false = drawn
    assert missed.title == "6 of 8 landslides are missed"
    assert len(missed.images) == MAX_WRONG
    np.testing.assert_array_equal(missed.probabilities, np.float32([0.05, 0.1, 0.2, 0.3, 0.4]))
    assert false.title == "2 of 3 others are called landslides"
    np.testing.assert_array_equal(false.probabilities, np.float32([0.95, 0.6]))
    assert missed.images.max() == 1
