"""A small cube with labels, a split and two predictions, on disk."""

from types import SimpleNamespace

import numpy as np
import pytest

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.kernels import scores as kernel
from landslide_dist.kernels.calibration import at_temperature, fit_temperature
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_indices
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

GRID = Grid.from_bounds("EPSG:32632", 10, (600000, 5100000, 601500, 5101200))


def write(location, variables, storage, attrs=None, coords=None):
    cube.create(location, GRID, [v for v, _ in variables], storage, attrs or {}, coords)
    group = open_group(location, "r+")
    for variable, values in variables:
        for window in cube.shard_windows(location):
            block = values[(..., *window.slices)].astype(variable.dtype)
            cube.write_block(cube.array(group, variable.name), window, block)


@pytest.fixture
def make_run(tmp_path):
    """Shard side -> locations and arrays of one and the same run."""

    def make(shard_px=64, name="run"):
        random = np.random.default_rng(0)
        y, x = np.mgrid[: GRID.height, : GRID.width]
        elevation = 800 + 150 * np.sin(x / 20) * np.cos(y / 25) + random.random(GRID.shape) * 4
        elevation = elevation.astype(np.float32)
        logit = -2 + 1.5 * np.sin(x / 9) + np.cos(y / 13)
        truth = 1 / (1 + np.exp(-logit))
        landslide = (random.random(GRID.shape) < truth).astype(np.uint8)
        landslide[:, :10] = schema.UNLABELLED
        split = np.where(x < 80, 0, np.where(x < 110, 1, 2)).astype(np.uint8)
        split[landslide == schema.UNLABELLED] = schema.UNLABELLED
        split[(x >= 76) & (x < 84)] = schema.UNLABELLED
        predictions = {
            "naive": np.full(GRID.shape, 0.2, np.float32),
            "good": (1 / (1 + np.exp(-logit - 0.5 * random.normal(size=GRID.shape)))),
        }
        predictions["good"] = predictions["good"].astype(np.float32)
        predictions["good"][:, :5] = np.nan
        root = tmp_path / name
        storage = StorageConfig(chunk_px=16, shard_px=shard_px)
        run = SimpleNamespace(
            cube=str(root / "cube.zarr"), split=str(root / "split.zarr"),
            predictions={n: str(root / f"{n}.zarr") for n in predictions},
            parts={"train": frozenset({0}), "validation": frozenset({1}), "test": frozenset({2})},
            landslide=landslide, values=split, truth=truth, probability=predictions,
            storage=storage,
        )  # fmt: skip
        lithology = schema.categorical("lithology", {1: "clay", 2: "granite"})
        variables = [
            (schema.ELEVATION, elevation),
            (schema.SLOPE, slope(elevation, 10.0)),
            (schema.uphill(2, "uint8"), uphill_indices(elevation, (3, 10), np.dtype("uint8"))),
            (lithology, (x // 40) % 3),
            (schema.LANDSLIDE, landslide),
            (schema.TRUE_PROBABILITY, truth),
        ]
        attrs = {"source": [{"path": "dem.tif", "size": 1234, "mtime": "2024-01-01"}]}
        write(run.cube, variables, storage, attrs, {"distance": [30, 100]})
        write(run.split, [(schema.SPLIT, split)], storage)
        for model, values in predictions.items():
            write(run.predictions[model], [(schema.PROBABILITY, values)], storage)
        return run

    return make


@pytest.fixture
def write_variable():
    return write


@pytest.fixture
def calibration():
    """A ``calibration.json`` as ``predict`` writes it, of a model that was too sure of itself."""
    random = np.random.default_rng(3)
    logit = random.normal(-2.5, 1.2, 60_000)
    landslide = (random.random(logit.size) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
    before = ScoreCounts.from_block(1 / (1 + np.exp(-1.8 * logit)), landslide)
    temperature = fit_temperature(before)

    def scores_of(counts):
        curve = kernel.reliability(counts)._asdict()
        return {
            "nll": kernel.nll(counts), "brier": kernel.brier(counts),
            "ece": kernel.expected_calibration_error(counts),
            "reliability": {key: values.tolist() for key, values in curve.items()},
        }  # fmt: skip

    after = at_temperature(before, temperature)
    return {
        "temperature": temperature, "num_pixels": before.num_labelled,
        "before": scores_of(before), "after": scores_of(after),
    }  # fmt: skip
