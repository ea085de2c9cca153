import copy
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from landslide_dist.config.evaluate import EvaluateConfig
from landslide_dist.errors import DataError
from landslide_dist.evaluation import figures, maps
from landslide_dist.evaluation.calibration_figure import calibration_figure
from landslide_dist.evaluation.class_figures import class_figure, class_map
from landslide_dist.evaluation.comparison import compare_models
from landslide_dist.evaluation.difference_figure import difference_figure
from landslide_dist.evaluation.overview import Overview
from landslide_dist.evaluation.panel import telling_window
from landslide_dist.evaluation.report import _panel, render_report
from landslide_dist.evaluation.score import score_predictions
from landslide_dist.grid import Window
from landslide_dist.patches.audit import Sight, SplitAudit
from landslide_dist.store import cube
from landslide_dist.store.location import open_group


@pytest.fixture
def run(make_run):
    return make_run()


@pytest.fixture
def scores(run):
    config = EvaluateConfig(bootstrap_draws=10, bootstrap_block_px=32)
    return score_predictions(run.cube, run.split, run.predictions, run.parts, config)


AUDIT = SplitAudit(40, (Sight("test", "train", 100, 25, 3),))


def pixels(png):
    return imread(io.BytesIO(png), format="png")


def test_the_page_is_whole_and_self_contained(run, scores):
    audit = SplitAudit(
        40, (Sight("test", "train", 100, 25, 3), Sight("test", "validation", 9, 0, None))
    )
    page = render_report(
        "a <title>", scores, run.cube, run.split, run.predictions, run.parts, audit, "name: x", {}
    )  # fmt: skip
    HTMLParser().feed(page)
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "a &lt;title&gt;" in page
    for text in (*run.predictions, "best reachable", "dem.tif", "1,234", "25.0%", "beyond reach"):
        assert text in page
    assert page.count("data:image/webp;base64,") == 14
    assert len(page) < 5_000_000
    # Strata, classes and the comparison of models, with their numbers.
    for text in ("granite", "15–25°", "very high", "natural breaks", "less good", "better in"):
        assert text in page
    assert "None" not in page
    assert "temperature" not in page.lower()  # no model is calibrated
    assert "nan" not in re.sub('base64,[^"]*', "", page)


def test_the_page_tells_what_calibration_did(run, scores, calibration):
    page = render_report(
        "x", scores, run.cube, run.split, run.predictions, run.parts, AUDIT, "name: x",
        {"good": calibration},
    )  # fmt: skip
    section = page[page.index("Calibration by temperature") : page.index("Susceptibility classes,")]
    assert section.count("data:image/webp;base64,") == 1
    found = re.findall(r"<td>(.*?)</td>", section)
    before, after = calibration["before"], calibration["after"]
    scored = [when[key] for key in ("nll", "brier", "ece") for when in (before, after)]
    assert found == [
        "good", f"{calibration['temperature']:.3f}", "60,000", *(f"{v:.4f}" for v in scored),
    ]  # fmt: skip
    (caption,) = re.findall("<figcaption>(.*?)</figcaption>", section)
    numbers = [float(number) for number in re.findall(r"\d+\.\d+", caption)]
    expected = [calibration["temperature"], before["ece"], after["ece"]]
    assert numbers == pytest.approx(expected, abs=5e-4)
    assert before["ece"] > 2 * after["ece"]  # what is shown is worth showing


def test_the_curves_of_a_calibration_are_those_of_the_file(calibration):
    whole = pixels(calibration_figure("good", calibration))
    for when in ("before", "after"):
        other = copy.deepcopy(calibration)
        other[when]["reliability"]["observed"][7] *= 1.5
        assert not np.array_equal(whole, pixels(calibration_figure("good", other)))
    for change in ({"temperature": 3.0}, {"after": calibration["after"] | {"ece": 0.5}}):
        assert not np.array_equal(whole, pixels(calibration_figure("good", calibration | change)))


@pytest.mark.parametrize(
    "draw",
    [
        lambda s: figures.roc_figure(s, "test"),
        lambda s: figures.precision_recall_figure(s, "test"),
        lambda s: figures.reliability_figure(s, "test"),
        lambda s: figures.rate_figure(s, "train"),
        lambda s: figures.rate_figure(s, "test"),
    ],
)
def test_curves_show_the_scores(scores, draw):
    with_model = pixels(draw(scores))
    without = pixels(draw({name: s for name, s in scores.items() if name != "good"}))
    assert with_model.shape[0] > 500
    assert with_model.shape != without.shape or not np.array_equal(with_model, without)


def test_maps_show_the_data(run, write_variable):
    from landslide_dist import schema

    before = pixels(maps.susceptibility_map(run.cube, run.predictions["good"], "good"))
    values = run.probability["good"][::-1].copy()
    write_variable(run.predictions["good"], [(schema.PROBABILITY, values)], run.storage)
    after = pixels(maps.susceptibility_map(run.cube, run.predictions["good"], "good"))
    assert before.shape == after.shape
    assert (before != after).any(axis=-1).mean() > 0.2


def test_partition_map_has_a_colour_for_each_part(run):
    picture = pixels(maps.partition_map(run.cube, run.split, run.parts))[..., :3]
    hues = [(picture[..., 2] > picture[..., 0] + 0.2), (picture[..., 0] > picture[..., 2] + 0.3)]
    assert all(hue.mean() > 0.05 for hue in hues)


def test_classes_whose_names_do_not_fit_their_codes_are_not_drawn(run):
    lithology = cube.array(open_group(run.cube, "r+"), "lithology")
    lithology.attrs["flag_meanings"] = "unknown clay gra nite"
    cube.add_variables(run.cube, [], run.storage)  # writes metadata of all arrays together
    with pytest.raises(DataError, match="has 4 names for 3 codes"):
        maps.terrain_overview(run.cube)


def all_figures(run, scores, calibration):
    yield figures.roc_figure(scores, "test")
    yield figures.precision_recall_figure(scores, "test")
    yield figures.reliability_figure(scores, "test")
    yield figures.rate_figure(scores, "train")
    classes = scores["good"].classes
    yield class_figure(classes["natural_breaks"], "natural_breaks")
    yield class_map(run.cube, run.predictions["good"], classes["equal_area"], "classes")
    yield difference_figure(compare_models(scores), list(scores))
    yield maps.susceptibility_map(run.cube, run.predictions["good"], "good")
    yield maps.partition_map(run.cube, run.split, run.parts)
    yield _panel(run.cube, run.predictions)
    yield maps.terrain_overview(run.cube)
    yield calibration_figure("good", calibration)


def test_nothing_is_cut_off_at_the_edge_of_a_picture(run, scores, calibration):
    for number, figure in enumerate(all_figures(run, scores, calibration)):
        picture = pixels(figure)[..., :3]
        for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
            assert (edge == 1).all(), f"figure {number}"


@pytest.mark.parametrize(("side_px", "outlined"), [(9, True), (1, False)])
def test_landslides_are_outlined_where_they_are_areas(run, side_px, outlined):
    y, x = np.indices(run.landslide.shape)
    # A fifth of the region, in squares or in pixels.
    landslide = (y // side_px % 2 == 0) & (x // side_px % 5 < 2)
    stored = cube.array(open_group(run.cube, "r+"), "landslide")
    for window in cube.shard_windows(run.cube):
        cube.write_block(stored, window, landslide[window.slices].astype(np.uint8))
    picture = pixels(maps.susceptibility_map(run.cube, run.predictions["good"], "good"))
    blue = (picture[..., 2] > picture[..., 0] + 0.3).mean()
    assert (blue > 0.01) == outlined


def test_the_panel_shows_landslides_where_two_places_have_as_many(run):
    landslide = np.zeros(run.landslide.shape, np.uint8)
    landslide[10:14, 10:14] = landslide[-14:-10, -14:-10] = 1
    stored = cube.array(open_group(run.cube, "r+"), "landslide")
    for window in cube.shard_windows(run.cube):
        cube.write_block(stored, window, landslide[window.slices])
    assert landslide[telling_window(run.cube, 40).slices].sum() == 16


@pytest.mark.parametrize("max_px", [200, 41, 10])
def test_overviews_are_means_and_keep_thin_landslides(run, max_px):
    overview = Overview.of(run.cube, max_px)
    step = overview.step
    truth = run.truth.astype(np.float32)
    height, width = overview.shape
    expected = np.array([
        [truth[i * step : (i + 1) * step, j * step : (j + 1) * step].mean() for j in range(width)]
        for i in range(height)
    ])  # fmt: skip
    np.testing.assert_allclose(overview.mean("true_probability"), expected, rtol=1e-5)
    any_landslide = np.array([
        [
            (run.landslide[i * step : (i + 1) * step, j * step : (j + 1) * step] == 1).any()
            for j in range(width)
        ]
        for i in range(height)
    ])  # fmt: skip
    np.testing.assert_array_equal(overview.holds("landslide", {1}), any_landslide)


def test_a_window_of_an_overview_is_that_part(run):
    window = Window(30, 50, 60, 70)
    part = Overview.of(run.cube, 100, window).mean("true_probability")
    np.testing.assert_allclose(part, run.truth[window.slices].astype(np.float32), rtol=1e-6)
