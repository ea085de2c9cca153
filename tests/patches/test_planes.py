import sys
import threading
import warnings

import numpy as np
import pytest
import torch

from landslide_dist.grid import Window
from landslide_dist.patches.planes import Planes, as_tensor, beyond

RNG = np.random.default_rng(0)
#: What the planes cover; they do not begin at the raster's corner.
COVERED = Window(-7, 20, 40, 35)
ARRAYS = {
    "elevation": RNG.random(COVERED.shape, dtype="float32"),
    "lithology": RNG.integers(0, 9, COVERED.shape).astype("uint8"),
    "landslide_age": RNG.integers(-5, 300, COVERED.shape).astype("int16"),
    "uphill": RNG.integers(0, 400, (3, *COVERED.shape)).astype("uint16"),
    "uphill_small": RNG.integers(0, 9, (2, *COVERED.shape)).astype("uint8"),
}
PAD_PX = 60
WINDOWS = [
    COVERED,
    Window(0, 30, 8, 9),
    Window(-7, 20, 5, 5),
    Window(28, 50, 5, 5),
    Window(-10, 25, 9, 9),
    Window(30, 15, 10, 10),
    Window(-20, 0, 70, 70),
    Window(-7, 55, 3, 3),
    Window(-47, 20, 40, 35),
    Window(-60, -30, 6, 6),
]


def padded(array, window):
    """The window of an array padded widely with what lies beyond the raster."""
    fill = np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max
    sides = [(0, 0)] * (array.ndim - 2) + [(PAD_PX, PAD_PX)] * 2
    inside = window.relative_to(COVERED)
    moved = Window(inside.y0 + PAD_PX, inside.x0 + PAD_PX, *inside.shape)
    return np.pad(array, sides, constant_values=fill)[(..., *moved.slices)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", ARRAYS)
def test_a_cut_is_a_slice_of_what_is_padded_with_beyond(name, window):
    array = ARRAYS[name]
    planes = Planes(COVERED, {name: torch.from_numpy(array)})
    # Full of another value: all of it has to be written.
    out = torch.full((*array.shape[:-2], *window.shape), 1, dtype=planes.tensors[name].dtype)
    planes.cut(name, window, out)
    np.testing.assert_array_equal(out, padded(array, window))


def test_beyond_is_nan_or_the_largest_code():
    assert np.isnan(beyond(torch.float32))
    assert beyond(torch.uint8) == 255
    assert beyond(torch.uint16) == 65535
    assert beyond(torch.int16) == 32767


def test_size_and_place_are_those_of_all_planes():
    planes = Planes(COVERED, {name: torch.from_numpy(array) for name, array in ARRAYS.items()})
    assert planes.nbytes == sum(array.nbytes for array in ARRAYS.values())
    assert planes.on_host
    elsewhere = {"elevation": torch.empty(COVERED.shape, device="meta")}
    assert not Planes(COVERED, dict(planes.tensors) | elsewhere).on_host


def read_only(array, owner):
    """The array as a reader gives it: a view, or itself (of a file that was mapped) unwritable."""
    array = array.copy() if owner else array.copy().view()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("owner", [False, True])
def test_a_tensor_is_over_the_memory_of_the_array(owner):
    array = read_only(ARRAYS["uphill"], owner)
    part = array[:, 3:9, 4:12]
    tensor = as_tensor(part)
    assert tensor.data_ptr() == part.ctypes.data
    np.testing.assert_array_equal(tensor, part)
    assert not array.flags.writeable


@pytest.fixture
def frequent_switches():
    """Threads take turns all the time."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_filters_of_warnings_are_those_of_all_threads_and_left_alone(frequent_switches):
    array = read_only(ARRAYS["uphill"], owner=False)
    filters, before = warnings.filters, list(warnings.filters)

    def make():
        for _ in range(5000):
            as_tensor(array)

    thread = threading.Thread(target=make)
    thread.start()
    while thread.is_alive():
        assert warnings.filters is filters
    thread.join()
    assert warnings.filters == before
