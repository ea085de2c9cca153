import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from landslide_dist.evaluation.events import EventMap, EventOutcome, EventsResult, TrainedOn
from landslide_dist.evaluation.events_confusion import (
    CLOSE_PX,
    FN,
    FP,
    MASKED,
    PANEL_PX,
    TN,
    TP,
    View,
    confusion_classes,
    confusion_figure,
    majority,
    map_mcc,
    shrunk,
    window_tested,
)
from landslide_dist.evaluation.events_page import events_pictures, render_events
from landslide_dist.evaluation.events_summary import (
    Mean,
    ModelRow,
    differences,
    gain_sentence,
    gains,
    mean_over_events,
    model_rows,
)
from landslide_dist.evaluation.events_table import events_table
from landslide_dist.grid import Window

SECTIONS = {
    "Combined and single-area models": "spider-unet",
    "Unseen events": "unseen-unet",
    "What training on all events gains on unseen ones": None,
    "Leaving one event out": "jackknife-unet-10m",
    "Ablations": "ablation-unet-10m",
    "Maps": "confusion-A",
    "Magnitude and frequency": "magnitude-frequency",
}
#: (training, ablation) -> MCC on A, B, C and unseen E, F; seed 1 has 0.1 more.
MCC = {
    ("A", ""): (0.6, 0.3, 0.2, 0.4, 0.3),
    ("B", ""): (0.1, 0.5, 0.2, 0.1, 0.2),
    ("C", ""): (0.2, 0.1, 0.7, 0.1, 0.1),
    ("ALL", ""): (0.7, 0.4, 0.6, 0.3, 0.5),
    ("ALL", "no matching"): (0.5, 0.4, 0.5, 0.2, 0.1),
    ("ALL-A", ""): (0.2, 0.4, 0.6, 0.35, 0.4),
    ("ALL-B", ""): (0.7, 0.1, 0.6, 0.1, 0.4),
    ("ALL-C", ""): (0.7, 0.4, 0.1, 0.2, 0.55),
}
EVENTS = "ABCEF"


def outcome(training, event, mcc, seed=0, ablation="", pixel_m=10.0, **more):
    events = {"ALL": ("A", "B", "C")}.get(training)
    if events is None:
        left = training.removeprefix("ALL-")
        events = tuple(e for e in "ABC" if (e != left) == training.startswith("ALL-"))
    trained = TrainedOn("unet", training, events, pixel_m, seed, ablation)
    scores = {"mcc": mcc, "f1": mcc + 0.01, "precision": mcc + 0.2, "recall": mcc + 0.1}
    scores |= {"mcc_best": mcc + 0.05, "auc": 0.9, "ap": 0.5}
    return EventOutcome(trained, event, 1000, 50, scores | more, 0.4)


def event_map(event="A", shape=(60, 80), seed=0):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    landslide = (np.sin(x / 6) + np.cos(y / 5) > 1.2).astype(np.uint8)
    landslide[:, :20] = 255
    probability = np.clip(landslide % 255 * 0.7 + 0.3 * random.random(shape), 0, 1)
    probability = np.where(random.random(shape) < 0.1, 1 - probability, probability)
    probability = probability.astype(np.float32)
    probability[:10] = np.nan
    images = random.random((2, *shape, 3)).astype(np.float32)
    images[0, :10] = np.nan
    return EventMap(event, 10.0, images[0], images[1], landslide, probability)


@pytest.fixture
def result():
    outcomes = [
        outcome(training, event, value + 0.1 * seed, seed, ablation)
        for seed in (0, 1)
        for (training, ablation), values in MCC.items()
        for event, value in zip(EVENTS, values, strict=True)
    ]
    small = TrainedOn("unet", "B", ("B",), 30.0)
    outcomes.append(EventOutcome(small, "B", skipped="90 x 90 px are too few"))
    areas = {"A": np.geomspace(200, 1e5, 60), "E": np.geomspace(100, 1e4, 40)}
    return EventsResult(tuple(outcomes), ("E", "F"), (event_map(), event_map("E")), areas)


def only(result, keep):
    """Of what one kind of training found."""
    kept = tuple(o for o in result.outcomes if not o.skipped and keep(o.trained))
    return replace(result, outcomes=kept)


def test_the_table_holds_means_and_deviations_over_seeds(result):
    table = events_table(result)
    assert table.mcc.groups == (("trained on", ("A", "B", "C")), ("unseen", ("E", "F")))
    rows = dict(table.mcc.rows)
    assert list(rows) == [
        "M^A_10", "M^B_10", "M^C_10", "M^ALL_10", "M^ALL_10, no matching", "M^ALL-A_10",
        "M^ALL-B_10", "M^ALL-C_10", "M^B_30",
    ]  # fmt: skip
    for (training, ablation), values in MCC.items():
        cells = rows[ModelRow("unet", training, 10.0, ablation).name]
        for cell, value in zip(cells, values, strict=True):
            assert cell.value == pytest.approx(value + 0.05)
            assert cell.deviation == pytest.approx(0.1 / np.sqrt(2))
    best = [
        {name for name, cells in rows.items() if cells[column].best}
        for column in range(len(EVENTS))
    ]
    assert best[1:] == [{"M^B_10"}, {"M^C_10"}, {"M^A_10"}, {"M^ALL-C_10"}]
    assert best[0] == {"M^ALL_10", "M^ALL-B_10", "M^ALL-C_10"}
    assert "**0.750 ± 0.071**" in table.markdown()
    assert "| M^B_10 | B | 0.550 ± 0.071 | 0.560 ± 0.071 | 0.750 ± 0.071 | 0.650 ± 0.071 |" in (
        table.markdown()
    )


def test_what_was_skipped_shows_its_reason(result):
    table = events_table(result)
    assert table.notes == ("B at 30 m is left out: 90 x 90 px are too few",)
    assert "- B at 30 m is left out: 90 x 90 px are too few" in table.markdown()
    assert "| M^B_30 | B | – | – | – | – | 90 x 90 px are too few |" in table.markdown()
    assert dict(table.mcc.rows)["M^B_30"][1].text == "–"
    assert "90 x 90 px are too few" in render_events("name", replace(result, maps=()), "")


def test_an_unseen_event_that_is_too_small_is_no_model(result):
    trained = TrainedOn("unet", "", (), 30.0)
    small = (*result.outcomes, EventOutcome(trained, "E", skipped="too small"))
    table = events_table(replace(result, outcomes=small))
    assert "M^E_30" not in table.markdown()
    assert "| – | E, 30 m | – | – | – | – | too small |" in table.markdown()


def test_the_file_holds_every_digit(result):
    lines = list(csv.DictReader(io.StringIO(events_table(result).csv())))
    assert len(lines) == len(MCC) * len(EVENTS) + 1
    line = next(r for r in lines if (r["training"], r["event"]) == ("ALL-B", "E"))
    assert float(line["mcc"]) == pytest.approx(0.15)
    assert float(line["mcc_deviation"]) == pytest.approx(0.1 / np.sqrt(2))
    assert (line["seeds"], line["seen"], line["num_positive"]) == ("2", "false", "50")
    line = next(r for r in lines if (r["training"], r["event"]) == ("ALL-B", "A"))
    assert line["seen"] == "true"
    assert (lines[-1]["mcc"], lines[-1]["skipped"]) == ("", "90 x 90 px are too few")


def test_a_seed_that_finds_nothing_counts_as_zero():
    nan = float("nan")
    outcomes = (
        outcome("A", "A", 0.8),
        replace(outcome("A", "A", nan, 1), num_positive=50),
        replace(outcome("A", "B", nan), num_positive=0),
    )
    result = EventsResult(outcomes, (), (), {})
    row = ModelRow("unet", "A", 10.0)
    assert row.mean(result, "A").value == pytest.approx(0.4)
    assert np.isnan(row.mean(result, "B").value)


def test_gains_on_unseen_events_are_told_as_they_are(result):
    found = gains(result)
    assert [(g.seed, g.event) for g in found] == [(0, "E"), (1, "E"), (0, "F"), (1, "F")]
    # E: 0.3 against 0.4, 0.1, 0.1; F: 0.5 against 0.3, 0.2, 0.1.
    np.testing.assert_allclose([g.over_mean for g in found], [0.1, 0.1, 0.3, 0.3])
    np.testing.assert_allclose([g.over_best for g in found], [-0.1, -0.1, 0.2, 0.2])
    told = gain_sentence(found)
    assert "is 0.200 higher than that of the single-area models: 0.450 against 0.250" in told
    assert "beats their mean in 4 of 4 cases" in told
    assert told.endswith("in 2.")
    worse = [replace(g, combined=0.05) for g in found[:2]]
    assert "is 0.200 lower than" in gain_sentence(worse)
    page = render_events("name", replace(result, maps=()), "")
    assert told in page
    for cell in ("+0.100", "−0.100", "+0.300", "+0.200", "+0.050"):
        assert f"<td>{cell}</td>" in page


def test_changes_pair_seeds(result):
    row, combined = ModelRow("unet", "ALL-B", 10.0), ModelRow("unet", "ALL", 10.0)
    assert differences(result, row, combined, "B") == pytest.approx({0: -0.3, 1: -0.3})
    one = only(result, lambda t: t.training != "ALL" or t.seed == 1)
    assert differences(one, row, combined, "B") == pytest.approx({1: -0.3})
    mean = mean_over_events(result, combined, ["E", "F"])
    assert mean == pytest.approx(Mean(0.45, 0.1 / np.sqrt(2), 2))


def test_confusion_by_hand():
    landslide = np.array([[1, 1, 0, 0, 255, 1]], np.uint8)
    probability = np.array([[0.5, 0.4, 0.9, 0.1, 0.9, np.nan]], np.float32)
    expected = [[TP, FN, FP, TN, MASKED, MASKED]]
    np.testing.assert_array_equal(confusion_classes(landslide, probability), expected)


def test_majority_by_hand():
    classes = np.array(
        [
            [TN, TN, TP, FN, MASKED],
            [TN, TP, TP, TN, FP],
            [FP, FP, TN, TN, FN],
        ],
        np.uint8,
    )
    # Of MASKED and FP, one each, FP is shown; blocks of the last row and column are cut.
    expected = [[TN, TP, FP], [FP, TN, FN]]
    np.testing.assert_array_equal(majority(classes, 2, 5), expected)


def test_images_shrink_to_means_of_what_is_known():
    image = np.array([[1, 3, np.nan], [5, np.nan, np.nan]], np.float32)[..., None]
    np.testing.assert_array_equal(shrunk(image, 2)[..., 0], [[3, np.nan]])


def test_the_view_is_what_was_tested():
    event = event_map(shape=(60, 80))
    window = window_tested(event)
    # Tested: rows 10 to 59, columns 20 to 79, and a margin of 2 pixels.
    assert window == Window(8, 18, 52, 62)
    view = View.of(event, window, 31)
    assert (view.shape, view.pixel_m) == ((26, 31), 20.0)
    assert view.pre.shape == (26, 31, 3)
    nothing = replace(event, probability=np.full((60, 80), np.nan, np.float32))
    assert window_tested(nothing) is None
    assert confusion_figure(nothing, "m") is None


def test_the_mcc_of_a_map():
    landslide = np.array([[1, 1, 0, 0, 0, 255]], np.uint8)
    probability = np.array([[0.9, 0.1, 0.9, 0.1, 0.1, 0.9]], np.float32)
    event = EventMap("A", 10.0, *np.zeros((2, 1, 6, 3), np.float32), landslide, probability)
    # tp 1, fn 1, fp 1, tn 2.
    assert map_mcc(event) == pytest.approx((1 * 2 - 1 * 1) / np.sqrt(2 * 2 * 3 * 3))
    assert map_mcc(replace(event, probability=probability * 0)) == 0.0


def test_pictures_are_drawn(result):
    pictures = events_pictures(result)
    names = [name for name in SECTIONS.values() if name]
    assert list(pictures) == [*names[:-1], "confusion-E", names[-1]]
    for picture in pictures.values():
        image = Image.open(io.BytesIO(picture.png))
        assert image.format == "PNG"
        assert min(image.size) > 300
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_a_large_event_has_a_close_up():
    height = PANEL_PX + 40
    large = event_map(shape=(height, height // 2))
    small = event_map(shape=(CLOSE_PX, CLOSE_PX // 2))
    whole, small = (Image.open(io.BytesIO(confusion_figure(e, "m"))) for e in (large, small))
    assert whole.height > 1.4 * small.height


def test_the_page_is_whole_and_self_contained(result):
    page = render_events("my events", result, "name: <my events>\n")
    HTMLParser().feed(page)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert page.count("data:image/webp;base64,") == len(events_pictures(result))
    words = re.sub('base64,[^"]*', "", page)
    for heading in SECTIONS:
        assert f"<h2>{heading}</h2>" in words
    assert (
        "on each event alone, on all of them together and on all but one, at 10 and 30 m" in words
    )
    assert "the whole of E and F, which no model has seen" in words
    assert "M<sup>ALL−A</sup><sub>10</sub>" in words
    assert "name: &lt;my events&gt;" in words
    # A on its own ground; on that of B, which it has not seen.
    assert "<td>0.650<" in words
    assert "<td><em>0.350</em><" in words


@pytest.mark.parametrize(
    ("keep", "missing"),
    [
        (lambda t: not t.training.startswith("ALL-"), {"Leaving one event out"}),
        (lambda t: not t.ablation, {"Ablations"}),
        (
            lambda t: t.training != "ALL",
            {"Leaving one event out", "Ablations",
             "What training on all events gains on unseen ones"},
        ),
    ],
)  # fmt: skip
def test_what_was_not_run_has_no_section(result, keep, missing):
    page = render_events("name", replace(only(result, keep), maps=()), "")
    there = {heading for heading in SECTIONS if f"<h2>{heading}</h2>" in page}
    assert there == set(SECTIONS) - missing - {"Maps"}


def test_a_page_without_unseen_events(result):
    kept = tuple(o for o in result.outcomes if o.event in "ABC")
    nothing = np.full((60, 80), np.nan, np.float32)
    untested = replace(event_map(), probability=nothing)
    page = render_events("name", EventsResult(kept, (), (untested,), {}), "")
    assert "<h2>Maps</h2>" not in page
    assert "<h2>Unseen events</h2>" not in page
    assert "<h2>Ablations</h2>" not in page
    assert "<h2>Leaving one event out</h2>" in page
    assert "held-out part of these events. " in page


def test_one_seed_has_no_deviation(result):
    page = render_events("name", replace(only(result, lambda t: t.seed == 0), maps=()), "")
    assert "±" not in page
    assert "over seeds" not in page


def test_symbols_of_formulas():
    assert ModelRow("unet", "ALL-my_event", 2.5).symbol == (
        r"$M^{\mathrm{ALL}-\mathrm{my\_event}}_{2.5}$"
    )


def test_rows_of_a_resolution_stand_together(result):
    both = tuple(
        replace(o, trained=replace(o.trained, pixel_m=size))
        for o in result.outcomes
        for size in (30.0, 6.0)
    )
    sizes = [row.pixel_m for row in model_rows(replace(result, outcomes=both))]
    assert sizes == sorted(sizes)
