"""Raw third-party files through the real command line; skipped where they are absent."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from landslide_dist.config import load
from landslide_dist.kernels.uphill import uphill_index
from landslide_dist.stages.context import RunContext
from landslide_dist.stages.division import Fold
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

CONFIGS = Path(__file__).parents[2] / "configs"
pytestmark = pytest.mark.shared_data


@pytest.fixture
def on_data(command_line, shared_data, monkeypatch):
    command_line.environment["LANDSLIDE_DATA"] = str(shared_data)
    monkeypatch.setenv("LANDSLIDE_DATA", str(shared_data))
    monkeypatch.chdir(command_line.folder)
    return command_line


@pytest.mark.parametrize(
    "name",
    ["bigtujunga", "hamersley", pytest.param("emilia_romagna", marks=pytest.mark.slow)],
)
def test_terrain_of_real_files(on_data, name):
    path = CONFIGS / "terrain" / f"{name}.yaml"
    on_data("ingest", str(path))
    on_data("derive", str(path))
    config = load(path)
    group = open_group(config.cube.location)
    elevation = cube.array(group, "elevation")
    slope, uphill = cube.array(group, "slope"), cube.array(group, "uphill")
    context = RunContext(config)
    # A window across a shard border equals the kernel on a window of its own with its halo.
    radius = max(context.radii_px.values())
    y0, x0 = (min(2048, n // 2) for n in elevation.shape)
    window = (slice(y0 - 40, y0 + 40), slice(x0 - 40, x0 + 40))
    around = tuple(slice(s.start - radius, s.stop + radius) for s in window)
    expected = uphill_index(elevation[around], radius)[radius:-radius, radius:-radius]
    np.testing.assert_array_equal(uphill[(-1, *window)], expected)
    steepness = slope[...]
    assert 0 < np.nanmedian(steepness) < 45
    assert np.nanmax(steepness) < 89


def test_a_looking_distance_below_the_pixel_names_usable_ones(on_data):
    path = str(CONFIGS / "terrain" / "hamersley.yaml")
    on_data("ingest", path)
    failed = on_data("derive", path, "--set", "cube.looking_distances_m=[30]", status=2)
    assert "30 m is below one pixel of 344.404 m; usable are 344.404" in failed.stderr


def test_geology_polygons_become_codes(on_data):
    path = CONFIGS / "terrain" / "hamersley.yaml"
    on_data("ingest", str(path))
    lithology = cube.open_cube(load(path).cube.location)["lithology"]
    codes, counts = np.unique(lithology, return_counts=True)
    assert codes.tolist() == list(range(8))
    assert counts[1:].sum() > 10_000
    assert "sedimentary_carbonate" in lithology.attrs["flag_meanings"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_logistic_regression_on_ecuador_is_sklearns(on_data):
    """Same points, same folds: our LLR against scikit-learn's on the published attributes."""
    path = str(CONFIGS / "susceptibility" / "ecuador.yaml")
    only_llr = ["models={llr: {kind: llr, epochs: 150, learning_rate: 0.05}}",
                "experiment.partitions=2"]  # fmt: skip
    settings = [part for setting in only_llr for part in ("--set", setting)]
    for stage in ("ingest", "derive"):
        on_data(stage, path)
    on_data("experiment", path, *settings, timeout_s=800)
    config = load(path, only_llr)
    summary = json.loads(Path(RunContext(config).paths.experiment).read_text())["summary"]
    group = open_group(config.cube.location)
    landslide = cube.array(group, "landslide")[...]
    names = ("slope", "elevation", "cplan", "cprof", "log10_carea")
    attributes = np.stack([cube.array(group, name)[...] for name in names])
    for kind in ("random_labels", "kmeans_labels"):
        theirs = np.mean([
            _sklearn_auc(attributes, landslide, Fold(kind, partition, fold).config(config))
            for partition in range(2)
            for fold in range(5)
        ])  # fmt: skip
        assert summary[kind]["llr"]["test_auc"][0] == pytest.approx(theirs, abs=0.02)
    # What is published for these points (mlr, 5 attributes): 0.810 random, 0.770 spatial.
    assert summary["random_labels"]["llr"]["test_auc"][0] == pytest.approx(0.810, abs=0.02)
    assert summary["kmeans_labels"]["llr"]["test_auc"][0] == pytest.approx(0.770, abs=0.02)


def _sklearn_auc(attributes, landslide, config):
    split = cube.array(open_group(RunContext(config).split_location), "split")[...]
    test = split == config.split.test_fold
    train = (split != 255) & ~test
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e6, max_iter=1000))
    # Some BLAS kernels raise the flag for invalid values on finite input; the AUC refuses real NaN.
    with np.errstate(invalid="ignore"):
        model.fit(attributes[:, train].T, landslide[train])
        probability = model.predict_proba(attributes[:, test].T)[:, 1]
    return roc_auc_score(landslide[test], probability)


def test_the_clear_pair_around_an_event_is_found(on_data):
    path = str(CONFIGS / "images" / "emilia_romagna.yaml")
    on_data("ingest", path)
    on_data("derive", path)
    ds = cube.open_cube(load(path).cube.location).load()
    assert ds.time.to_numpy().tolist() == ["2023-04-28", "2023-05-23"]
    assert ds.role.to_numpy().tolist() == ["pre", "post"]
    assert (ds.valid.mean(("y", "x")) > 0.98).all()
    assert ds.reflectance.shape == (2, 4, 128, 128)
