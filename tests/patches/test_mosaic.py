"""Regions side by side."""

import numpy as np
import pytest
import torch

from landslide_dist.grid import Window
from landslide_dist.patches.mosaic import Mosaic
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.region import RegionData

SHAPES = {"a": (50, 70), "b": (30, 33), "c": (64, 40)}


@pytest.fixture(scope="module")
def planes():
    rng = np.random.default_rng(0)
    return {
        name: {
            "elevation": rng.random(shape, dtype=np.float32),
            "reflectance": rng.integers(0, 9, (2, 3, *shape), dtype=np.uint16),
        }
        for name, shape in SHAPES.items()
    }


@pytest.fixture(scope="module")
def mosaic(planes):
    regions = {
        name: (HostReader(of), SHAPES[name], [Window(0, 0, 20, SHAPES[name][1])])
        for name, of in planes.items()
    }
    return Mosaic.beside_one_another(regions, core_px=16, context_px=5)


def test_every_region_is_whole_and_on_the_grid_of_cores(mosaic, planes):
    assert mosaic.shape[0] == 64
    for piece in mosaic.pieces:
        assert piece.place.x0 % 16 == piece.place.y0 % 16 == 0
        read = mosaic.read(piece.place)
        for name, plane in planes[piece.name].items():
            np.testing.assert_array_equal(read[name], plane)


def test_no_patch_touches_two_regions_and_beyond_each_is_nothing(mosaic):
    height, width = mosaic.shape
    inside = 0
    for y in range(0, height, 16):
        for x in range(0, width, 16):
            window = Window(y, x, 16, 16).expand(5)
            piece = mosaic.piece_at(window)
            elevation = mosaic.read(window, ["elevation"])["elevation"]
            assert elevation.shape == (26, 26)
            inside += int((~np.isnan(mosaic.read(Window(y, x, 16, 16))["elevation"])).sum())
            if piece is None:
                assert np.isnan(elevation).all()
    assert inside == sum(rows * columns for rows, columns in SHAPES.values())


def test_windows_are_those_of_all_regions(mosaic):
    windows = list(mosaic.windows)
    assert [w.width for w in windows] == [70, 33, 40]
    assert windows[1].x0 == mosaic.pieces[1].place.x0


def test_a_window_over_two_regions_is_refused(mosaic):
    with pytest.raises(ValueError, match=r"touches \['a', 'b'\]"):
        mosaic.piece_at(Window(0, 0, 5, mosaic.shape[1] // 2 + 20))


def test_held_planes_hold_nothing_between_the_regions(mosaic, planes):
    """Memory that no block fills must read as beyond the raster, not as what lay there before."""
    labels = {
        piece.name: HostReader(
            planes[piece.name]
            | {name: np.zeros(SHAPES[piece.name], np.uint8) for name in ("landslide", "split")}
        )
        for piece in mosaic.pieces
    }
    regions = {
        name: (reader, SHAPES[name], [Window(0, 0, *SHAPES[name])])
        for name, reader in labels.items()
    }
    labelled = Mosaic.beside_one_another(regions, core_px=16, context_px=5)
    parts = {"train": frozenset({0})}
    names = ["elevation", "reflectance"]
    data = RegionData(labelled, names, parts, labelled.shape, list(labelled.windows))
    filled = {
        name: torch.from_numpy(np.full(shape, 7, dtype))
        for name, (shape, dtype) in data.layout().items()
    }
    data.fill(filled)
    inside = np.zeros(labelled.shape, dtype=bool)
    for piece in labelled.pieces:
        inside[piece.place.slices] = True
    assert np.array_equal(~np.isnan(filled["elevation"].numpy()), inside)
    assert (filled["reflectance"].numpy()[..., ~inside] == 65535).all()
    assert np.array_equal(filled["train"].numpy() == 0, inside)
    assert (filled["train"].numpy()[~inside] == 255).all()
