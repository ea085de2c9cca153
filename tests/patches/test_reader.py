import pickle

import numpy as np
import pytest

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.errors import StoreError
from landslide_dist.grid import Grid, Window
from landslide_dist.patches.reader import HostReader, ZarrReader, open_reader
from landslide_dist.store import cube
from landslide_dist.store.location import delete, open_group

STORAGE = StorageConfig(chunk_px=16, shard_px=32)
GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, 500, 400))
VARIABLES = [schema.ELEVATION, schema.categorical("lithology", {1: "clay"}), schema.LANDSLIDE]
WINDOWS = [
    Window(3, 4, 20, 21),
    Window(-5, -6, 20, 20),
    Window(30, 40, 20, 20),
    Window(-9, -9, 80, 80),
    Window(-40, 5, 30, 30),
    Window(60, 60, 4, 4),
]


@pytest.fixture(scope="module")
def planes():
    rng = np.random.default_rng(0)
    return {
        "elevation": rng.random(GRID.shape, dtype="float32"),
        "lithology": rng.integers(0, 2, GRID.shape).astype("uint8"),
        "landslide": rng.integers(0, 2, GRID.shape).astype("uint8"),
        "uphill": rng.integers(0, 300, (3, *GRID.shape)).astype("uint16"),
        "split": rng.integers(0, 3, GRID.shape).astype("uint8"),
    }


@pytest.fixture(scope="module", params=["file", "memory"])
def locations(request, tmp_path_factory, planes):
    """A cube, and the split in a group of its own."""
    base = "memory://reader"
    if request.param == "file":
        base = str(tmp_path_factory.mktemp("cube"))
    main, split = f"{base}/cube.zarr", f"{base}/split.zarr"
    cube.create(main, GRID, VARIABLES, STORAGE, {})
    cube.add_variables(main, [schema.uphill(3, "uint16")], STORAGE, {"distance": [30, 100, 300]})
    cube.create(split, GRID, [schema.SPLIT], STORAGE, {})
    locations = dict.fromkeys(planes, main) | {"split": split}
    for name, location in locations.items():
        array = cube.array(open_group(location, "r+"), name)
        for window in cube.shard_windows(location):
            cube.write_block(array, window, planes[name][(..., *window.slices)])
    yield locations
    delete(main)
    delete(split)


def expected(plane, window):
    """The window cut from a plane padded widely with what lies beyond the raster."""
    fill = np.nan if plane.dtype.kind == "f" else np.iinfo(plane.dtype).max
    leading = [(0, 0)] * (plane.ndim - 2)
    padded = np.pad(plane, [*leading, (100, 100), (100, 100)], constant_values=fill)
    return padded[(..., *Window(window.y0 + 100, window.x0 + 100, *window.shape).slices)]


@pytest.mark.parametrize("window", WINDOWS)
def test_readers_cut_the_same_windows(locations, planes, window):
    for reader in (ZarrReader(locations), HostReader(planes), open_reader(locations, 1.0)):
        found = reader.read(window)
        assert list(found) == list(planes)
        for name, plane in planes.items():
            assert found[name].dtype == plane.dtype
            np.testing.assert_array_equal(found[name], expected(plane, window))


def test_fills_are_the_codes_of_the_contract(locations):
    found = ZarrReader(locations).read(Window(-2, -2, 2, 2))
    assert np.isnan(found["elevation"]).all()
    assert (found["lithology"] == schema.OUTSIDE_CODE).all()
    assert (found["landslide"] == schema.UNLABELLED).all()
    assert (found["split"] == schema.UNLABELLED).all()
    assert (found["uphill"] == schema.uphill(3, "uint16").nodata).all()


def test_only_the_wanted_variables_are_read(locations, planes):
    for reader in (ZarrReader(locations), HostReader(planes)):
        assert list(reader.read(WINDOWS[0], ("split", "uphill"))) == ["split", "uphill"]


def test_memory_decides(locations, planes):
    num_bytes = sum(plane.nbytes for plane in planes.values())
    assert isinstance(open_reader(locations, num_bytes / 2**30), HostReader)
    assert isinstance(open_reader(locations, (num_bytes - 1) / 2**30), ZarrReader)


def test_a_reader_travels_without_its_connections(locations, planes):
    reader = ZarrReader(locations)
    reader.read(WINDOWS[0])
    travelled = pickle.dumps(reader)
    assert len(travelled) < 1000
    found = pickle.loads(travelled).read(WINDOWS[1])
    np.testing.assert_array_equal(found["uphill"], expected(planes["uphill"], WINDOWS[1]))


def test_planes_in_memory_cannot_be_written_to(planes):
    found = HostReader(planes).read(Window(0, 0, 2, 2), ("split",))
    with pytest.raises(ValueError, match="read-only"):
        found["split"][0, 0] = 7
    # The user's own array stays writable.
    assert planes["split"].flags.writeable


def test_missing_variables_and_stores_are_named(locations, tmp_path):
    with pytest.raises(StoreError, match="no variable 'slope'"):
        open_reader(locations | {"slope": locations["elevation"]}, 1.0)
    with pytest.raises(StoreError, match="there is no store"):
        open_reader({"elevation": str(tmp_path / "none.zarr")}, 1.0)
