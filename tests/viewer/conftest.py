"""A small cube with labels, a split, two predictions and their levels of detail, on disk."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.grid import Grid
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_indices
from landslide_dist.store import cube, levels, pyramid
from landslide_dist.store.location import open_group
from landslide_dist.viewer.layers import Prediction, find_layers
from landslide_dist.viewer.page import Atlas

GRID = Grid.from_bounds("EPSG:32632", 10, (600000, 5100000, 603010, 5102370))
STORAGE = StorageConfig(chunk_px=32, shard_px=128)
PARTS = {"train": frozenset({0}), "validation": frozenset({1}), "test": frozenset({2})}


def write(location, variables, coords=None):
    cube.create(location, GRID, [v for v, _ in variables], STORAGE, {"made": 1}, coords)
    group = open_group(location, "r+")
    for variable, values in variables:
        for window in cube.shard_windows(location):
            block = values[(..., *window.slices)].astype(variable.dtype)
            cube.write_block(cube.array(group, variable.name), window, block)


def padded_slope(elevation):
    return slope(np.pad(elevation, 1, constant_values=np.nan), 10.0)[1:-1, 1:-1]


@pytest.fixture(scope="session")
def region(tmp_path_factory):
    """Arrays, layers with their pyramids, and what a server shows of them."""
    root = tmp_path_factory.mktemp("viewer")
    random = np.random.default_rng(0)
    y, x = np.mgrid[: GRID.height, : GRID.width]
    elevation = 800 + 150 * np.sin(x / 20) * np.cos(y / 25) + random.random(GRID.shape) * 4
    elevation = elevation.astype(np.float32)
    elevation[-40:, -40:] = np.nan
    logit = -2 + 1.5 * np.sin(x / 9) + np.cos(y / 13)
    truth = 1 / (1 + np.exp(-logit))
    landslide = (random.random(GRID.shape) < truth).astype(np.uint8)
    landslide[:, :10] = schema.UNLABELLED
    split = np.where(x < 120, 0, np.where(x < 200, 1, 2)).astype(np.uint8)
    split[landslide == schema.UNLABELLED] = schema.UNLABELLED
    good = (1 / (1 + np.exp(-logit - 0.5 * random.normal(size=GRID.shape)))).astype(np.float32)
    good[np.isnan(elevation)] = np.nan
    lithology = schema.categorical("lithology", {1: "clay", 2: "granite"})
    reflectance = random.integers(1, 4000, (2, 3, *GRID.shape)).astype(np.uint16)
    clear = (random.random((2, *GRID.shape)) < 0.7).astype(np.uint8)
    clear[1, :100, :90] = 0
    reflectance[1, :, :100, :90] = 60_000
    arrays = {
        "elevation": elevation, "slope": padded_slope(elevation), "landslide": landslide,
        "lithology": ((x // 40) % 3).astype(np.uint8), "split": split, "good": good,
        "uphill": uphill_indices(elevation, (3, 10), np.dtype("uint8")),
        "reflectance": reflectance, "valid": clear,
    }  # fmt: skip
    location, split_location = str(root / "cube.zarr"), str(root / "split.zarr")
    write(
        location,
        [
            (schema.ELEVATION, elevation), (schema.SLOPE, arrays["slope"]),
            (schema.uphill(2, "uint8"), arrays["uphill"]), (lithology, arrays["lithology"]),
            (schema.LANDSLIDE, landslide), (schema.reflectance(2, 3), reflectance),
            (schema.valid(2), clear),
        ],
        {
            "distance": [30, 100], "time": ["2024-01-01", "2024-02-01"], "role": ["pre", "post"],
            "pair": [0, 0], "band": ["blue", "green", "red"],
        },
    )  # fmt: skip
    write(split_location, [(schema.SPLIT, split)])
    classes = schema.susceptibility_class([0.2, 0.6])
    coded = np.where(np.isnan(good), 0, 1 + np.digitize(good, [0.2, 0.6])).astype(np.uint8)
    steps = np.where(np.isnan(good), 255, np.rint(good * 250)).astype(np.uint8)
    spread = schema.predicted("probability_std", "deviation of probability", "uint8")
    write(
        str(root / "good.zarr"),
        [(schema.PROBABILITY, good), (classes, coded), (spread, steps)],
    )
    predictions = {"good": Prediction(str(root / "good.zarr"), 0.3)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "SCREEN_PX", 64)
        layers = find_layers(
            location, predictions, split_location, PARTS, lambda name: str(root / "view" / name)
        )
        for one in {layer.pyramid: None for layer in layers}:
            pyramid.build_pyramid(one, "test", STORAGE)
        with ThreadPoolExecutor(2) as pool:
            yield SimpleNamespace(
                cube=location, layers={layer.key: layer for layer in layers}, arrays=arrays,
                atlas=Atlas("smoke", layers, GRID, PARTS, pool), grid=GRID,
            )  # fmt: skip
