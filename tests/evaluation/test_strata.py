import itertools

import geopandas as gpd
import numpy as np
import pytest
import shapely
from sklearn import metrics

from landslide_dist import schema
from landslide_dist.config.evaluate import EvaluateConfig, RegionsConfig
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.evaluation.metrics import to_metrics
from landslide_dist.evaluation.score import score_predictions
from landslide_dist.evaluation.strata import open_strata
from landslide_dist.grid import Window
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

LEFT, TOP = 600_000, 5_101_200
PARTS = (("train", 0), ("validation", 1), ("test", 2))


@pytest.fixture
def run(make_run):
    return make_run(32)


def strata_of(run, **settings):
    config = EvaluateConfig(bootstrap_draws=0, **settings)
    scores = score_predictions(run.cube, run.split, run.predictions, run.parts, config)
    metrics = to_metrics(scores)
    assert metrics["comparison"] is None
    return metrics["strata"], scores


def regions(tmp_path, boxes, crs="EPSG:32632", **names):
    """Boxes in pixels: columns and rows of the grid of the tests."""
    shapes = [
        shapely.box(LEFT + 10 * x0, TOP - 10 * y1, LEFT + 10 * x1, TOP - 10 * y0)
        for x0, y0, x1, y1 in boxes
    ]
    path = tmp_path / "regions.gpkg"
    gpd.GeoDataFrame(names, geometry=shapes, crs="EPSG:32632").to_crs(crs).to_file(path)
    return str(path)


def assert_sklearns(found, target, predicted, threshold):
    assert found["num_pixels"] == len(target)
    assert found["num_landslide"] == target.sum()
    assert found["nll"] == pytest.approx(metrics.log_loss(target, predicted, labels=[0, 1]))
    assert found["brier"] == pytest.approx(np.mean((predicted - target) ** 2))
    rounded = kernel.bin_centres()[kernel.bin_index(predicted)]
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(target, rounded), abs=1e-9)
    assert found["ap"] == pytest.approx(metrics.average_precision_score(target, rounded), abs=1e-9)
    counts = ScoreCounts.from_block(predicted, target)
    assert found["ece"] == pytest.approx(kernel.expected_calibration_error(counts, 15))
    for name, cut in (("mcc_at_0.5", 0.5), ("mcc_at_best", threshold)):
        called = rounded >= cut
        if called.all() or not called.any():
            assert found[name] is None  # which scikit-learn calls 0
        else:
            expected = metrics.matthews_corrcoef(target, called)
            assert found[name] == pytest.approx(expected, abs=1e-9)


def test_scores_of_every_stratum_and_part_are_sklearns(run, tmp_path):
    path = regions(tmp_path, [(20, 0, 90, 60), (90, 10, 150, 120)], name=["north", "east"])
    edges = (0, 15, 30, 60)
    strata, scores = strata_of(
        run,
        slope_classes_deg=edges,
        regions=RegionsConfig(path=path, name_field="name"),
    )
    assert list(strata) == ["slope", "lithology", "region"]
    y, x = np.indices(run.landslide.shape)
    slope = cube.array(open_group(run.cube), "slope")[:]
    where = {
        ("lithology", name): (x // 40) % 3 == code
        for code, name in enumerate(("unknown", "clay", "granite"))
    }
    where |= {
        ("slope", f"{low}–{high}°"): (slope >= low) & (slope < high)
        for low, high in itertools.pairwise(edges)
    }
    where["region", "north"] = (x >= 20) & (x < 90) & (y < 60)
    where["region", "east"] = (x >= 90) & (y >= 10)
    assert {(d, s) for d, by in strata.items() for s in by} == set(where)
    compared = 0
    for (division, stratum), inside in where.items():
        for part, value in PARTS:
            mine = inside & (run.values == value)
            found = strata[division][stratum]["good"].get(part)
            if not mine.any():
                assert found is None
                continue
            target, predicted = run.landslide[mine], run.probability["good"][mine]
            assert_sklearns(found, target, predicted.astype(np.float64), scores["good"].threshold)
            compared += 1
    assert compared > 15


def test_without_landslides_scores_are_null(run):
    landslide = run.landslide.copy()
    _y, x = np.indices(landslide.shape)
    clay = (x // 40) % 3 == 1
    landslide[clay & (landslide == 1)] = 0
    stored = cube.array(open_group(run.cube, "r+"), "landslide")
    for window in cube.shard_windows(run.cube):
        cube.write_block(stored, window, landslide[window.slices])
    strata, _ = strata_of(run, strata=("lithology",))
    assert list(strata) == ["lithology"]
    found = strata["lithology"]["clay"]["good"]["train"]
    assert found["num_landslide"] == 0
    assert found["nll"] > 0
    for score in ("auc", "ap", "mcc_at_0.5", "mcc_at_best"):
        assert found[score] is None


def test_slopes_on_the_edges_of_classes_and_beyond(run, write_variable):
    slope = np.full(run.landslide.shape, 7, np.float32)
    slope[0, :6] = 0, 5, 4.999, 90, 91, np.nan
    group = open_group(run.cube, "r+")
    for window in cube.shard_windows(run.cube):
        cube.write_block(cube.array(group, "slope"), window, slope[window.slices])
    config = EvaluateConfig(strata=("slope",), slope_classes_deg=(0, 5, 10, 90))
    (strata,) = open_strata(run.cube, cube.read_grid(run.cube), config)
    assert strata.read(Window(0, 0, 1, 7)).tolist() == [[0, 1, 0, 2, -1, -1, 1]]


def test_regions_are_reprojected_and_one_name_is_one_region(run, tmp_path):
    path = regions(
        tmp_path, [(0, 0, 30, 120), (60, 0, 90, 120)], crs="EPSG:4326", code=[7, 7]
    )  # fmt: skip
    config = EvaluateConfig(strata=(), regions=RegionsConfig(path=path, name_field="code"))
    (strata,) = open_strata(run.cube, cube.read_grid(run.cube), config)
    assert strata.labels == ("7",)
    found = strata.read(Window(0, 0, 120, 150))
    x = np.indices(found.shape)[1]
    assert ((found == 0) == ((x < 30) | ((x >= 60) & (x < 90)))).all()


def test_of_overlapping_regions_the_later_counts(run, tmp_path):
    path = regions(tmp_path, [(0, 0, 50, 50), (40, 0, 90, 50)], name=["b", "a"])
    config = EvaluateConfig(strata=(), regions=RegionsConfig(path=path, name_field="name"))
    (strata,) = open_strata(run.cube, cube.read_grid(run.cube), config)
    assert strata.read(Window(0, 38, 1, 4)).tolist() == [[1, 1, 0, 0]]


@pytest.mark.parametrize(
    ("boxes", "field", "message"),
    [
        ([(0, 0, 9, 9)], "nome", "has no attribute 'nome'; it has name"),
        ([(9000, 0, 9900, 9)], "name", "do not overlap"),
        (None, "name", "cannot be read|not found|does not exist|no such file"),
    ],
)
def test_regions_that_cannot_be_used_are_one_line(run, tmp_path, boxes, field, message):
    path = regions(tmp_path, boxes, name=["x"]) if boxes else str(tmp_path / "absent.gpkg")
    with pytest.raises(DataError, match=f"(?i){message}"):
        strata_of(run, regions=RegionsConfig(path=path, name_field=field))


def test_lines_are_no_regions(run, tmp_path):
    path = tmp_path / "lines.gpkg"
    line = shapely.LineString([(LEFT, TOP), (LEFT + 500, TOP - 500)])
    gpd.GeoDataFrame({"name": ["x"]}, geometry=[line], crs="EPSG:32632").to_file(path)
    with pytest.raises(DataError, match="holds LineString; regions are polygons"):
        strata_of(run, regions=RegionsConfig(path=str(path), name_field="name"))


def test_strata_that_the_cube_does_not_have_are_named(run):
    with pytest.raises(ConfigError, match="no classes of 'rock_age'; it has slope, lithology"):
        strata_of(run, strata=("rock_age",))


def test_classes_whose_names_do_not_fit_their_codes_are_not_taken(run):
    lithology = cube.array(open_group(run.cube, "r+"), "lithology")
    lithology.attrs["flag_meanings"] = "unknown clay gra nite"
    cube.add_variables(run.cube, [], run.storage)  # writes metadata of all arrays together
    with pytest.raises(DataError, match="has 4 names for 3 codes"):
        strata_of(run, strata=("lithology",))


def test_cubes_without_classes_have_no_strata(run, write_variable):
    write_variable(
        run.cube,
        [
            (schema.ELEVATION, np.zeros(run.landslide.shape)),
            (schema.LANDSLIDE, run.landslide),
        ],
        run.storage,
    )
    assert strata_of(run)[0] == {}


def test_edges_ascend():
    with pytest.raises(ValueError, match="ascending"):
        EvaluateConfig(slope_classes_deg=(0, 20, 10))
