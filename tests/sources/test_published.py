"""The LACNN paper's HDF5 file: same layout, small."""

import sys
import threading

import h5py
import numpy as np
import pytest

from landslide_dist.config.categories import inspire
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.sources import open_sources, target_grid
from landslide_dist.sources import published_file as module

from .conftest import UTM, whole

MEAN_M, STD_M = 420.0, 650.0
BOUNDS = [700_000, 5_099_000, 700_900, 5_100_100]
GROUPS = {"lithology": (1, 44), "land_cover": (45, 5), "rock_family": (50, 5), "rock_age": (55, 38)}


@pytest.fixture
def truth():
    """What a region of 110 x 90 px holds; the last column is outside of it."""
    rng = np.random.default_rng(5)
    shape = (110, 90)
    truth = {name: rng.integers(0, n + 1, shape).astype("u1") for name, (_, n) in GROUPS.items()}
    truth["elevation"] = rng.uniform(0, 3000, shape).astype("f4")
    truth["landslide"] = rng.integers(0, 2, shape).astype("u1")
    for name in GROUPS:
        truth[name][:, -1] = 0
    truth["landslide"][:, -1] = 255
    return truth


def planes(truth):
    """The published features without padding."""
    features = np.zeros((94, *truth["elevation"].shape), np.float32)
    for name, (first, count) in GROUPS.items():
        for code in range(1, count + 1):
            features[first + code - 1] = truth[name] == code
    features[1:93, :, -1] = -3.4e38
    features[0] = 7  # nobody reads the slope
    features[93] = (truth["elevation"].astype("f8") - MEAN_M) / STD_M
    return features


@pytest.fixture
def write(truth, tmp_path):
    def make(features=None, labels=None, chunks=(2, 33, 31), region="Veneto"):
        path = tmp_path / "veneto.h5"
        features = planes(truth) if features is None else features
        if labels is None:
            labels = np.where(truth["landslide"] == 255, -9, truth["landslide"])[None]
        padded = np.pad(features, ((0, 0), (64, 64), (64, 64)), mode="reflect")
        with h5py.File(path, "w") as file:
            # lzf has no contiguous form.
            options = {"chunks": chunks, "compression": "lzf"} if chunks else {}
            file.create_dataset(f"{region}/data", data=padded, dtype="f4", **options)
            file.create_dataset(f"{region}/gt", data=labels, dtype="f4", compression="lzf")
        return str(path)

    return make


@pytest.fixture
def open_file(configure):
    def make(path, bounds=BOUNDS, **settings):
        published = {"kind": "veneto-hdf5", "path": path, **settings}
        if "elevation" not in settings:
            published["elevation"] = {"mean_m": MEAN_M, "std_m": STD_M}
        config = configure(
            {"published": published}, grid={"crs": UTM, "pixel_m": 10, "bounds": bounds}
        )
        grid = target_grid(config)
        return open_sources(config, grid), grid

    return make


@pytest.mark.parametrize("chunks", [(2, 33, 31), (94, 16, 16), (1, 238, 218), None])
def test_every_variable_is_what_was_published(truth, write, open_file, chunks, monkeypatch):
    monkeypatch.setattr(module, "_PIECE_BYTES", 30_000)  # several pieces in so small a file
    sources, grid = open_file(write(chunks=chunks))
    assert list(sources) == ["elevation", *GROUPS, "landslide"]
    for name, source in sources.items():
        block = whole(source, grid)
        assert block.dtype == np.dtype(source.variable.dtype)
        # Float32 of a standardised height.
        np.testing.assert_allclose(block, truth[name], rtol=0, atol=2e-4, err_msg=name)
        for window in (Window(30, 40, 50, 23), Window(109, 0, 1, 90)):
            np.testing.assert_array_equal(source.read(window), block[window.slices], name)
    assert sources["rock_family"].variable.flags[1] == "metamorphic"
    assert {entry["path"] for s in sources.values() for entry in s.provenance()} == {
        sources["lithology"].file.path
    }


def test_channels_are_those_of_the_file(write, configure):
    config = configure(
        {
            "published": {
                "kind": "veneto-hdf5",
                "path": write(),
                "elevation": {"mean_m": 0, "std_m": 1},
            }
        }
    )
    assert config.categories() == dict(inspire())
    assert sum(len(c.codes) for c in config.categories().values()) + 2 == 94


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("leading", [False, True])
def test_labels_of_any_layout(truth, write, open_file, padded, leading):
    labels = np.where(truth["landslide"] == 255, np.nan, truth["landslide"])
    labels[3, 4] = 0.5  # neither
    if padded:
        labels = np.pad(labels, 64, mode="reflect")
    sources, grid = open_file(write(labels=labels[None] if leading else labels))
    expected = truth["landslide"].copy()
    expected[3, 4] = 255
    np.testing.assert_array_equal(whole(sources["landslide"], grid), expected)


def test_mirrored_columns_hold_no_data(truth, write, open_file):
    sources, grid = open_file(write(), filled_columns_px=25)
    for name, source in sources.items():
        block = whole(source, grid)
        nodata = source.variable.nodata
        np.testing.assert_array_equal(block[:, 65:], np.full((110, 25), nodata))
        np.testing.assert_allclose(block[:, :65], truth[name][:, :65], rtol=0, atol=2e-4)
        np.testing.assert_array_equal(source.read(Window(5, 70, 9, 20)), block[5:14, 70:])
    with pytest.raises(ConfigError, match="filled_columns_px 90 leaves nothing of 90"):
        open_file(write(), filled_columns_px=90)


def test_heights_out_of_range_are_unlabelled(truth, write, open_file):
    features = planes(truth)
    features[93, 10:20, 10:20] = -3.4e38
    features[93, 0, 0] = np.nan
    path = write(features)
    sources, grid = open_file(path)
    elevation, landslide = (whole(sources[name], grid) for name in ("elevation", "landslide"))
    gone = np.zeros(grid.shape, bool)
    gone[10:20, 10:20] = gone[0, 0] = True
    np.testing.assert_array_equal(np.isnan(elevation), gone)
    np.testing.assert_array_equal(landslide == 255, gone | (truth["landslide"] == 255))
    high = {"mean_m": MEAN_M, "std_m": STD_M, "valid_range": [1000, 9000]}
    elevation = whole(open_file(path, elevation=high)[0]["elevation"], grid)
    assert np.nanmin(elevation) >= 1000


def test_the_dem_itself_beside_the_file(truth, write, configure, write_raster):
    from affine import Affine

    heights = np.arange(110 * 90, dtype="f4").reshape(110, 90)
    dem = write_raster(heights, Affine(10, 0, BOUNDS[0], 0, -10, BOUNDS[3]))
    published = {"kind": "veneto-hdf5", "path": write()}
    grid = {"crs": UTM, "pixel_m": 10, "bounds": BOUNDS}
    config = configure({"published": published, "elevation": {"path": dem}}, grid)
    sources = open_sources(config, target_grid(config))
    np.testing.assert_array_equal(whole(sources["elevation"], target_grid(config)), heights)
    for wrong in (
        {"published": published},
        {
            "published": {**published, "elevation": {"mean_m": 0, "std_m": 1}},
            "elevation": {"path": dem},
        },
    ):
        with pytest.raises(ConfigError, match="give either published.elevation"):
            configure(wrong, grid)
    with pytest.raises(ConfigError, match="brings its own maps"):
        configure({"published": published, "elevation": {"path": dem}, "inventory": {"path": dem}})
    with pytest.raises(ConfigError, match="either synthetic or files"):
        configure({"published": published, "synthetic": {}})


@pytest.mark.parametrize("value", [0.5, 2.0, np.nan])
def test_a_class_plane_of_other_values_is_refused_with_its_place(truth, write, open_file, value):
    features = planes(truth)
    features[7, 40, 12] = value
    sources, grid = open_file(write(features))
    message = rf"feature 7 \(phyllite\) is {value:g} at row 40, column 12 of the grid"
    with pytest.raises(DataError, match=message):
        whole(sources["lithology"], grid)
    with pytest.raises(DataError, match=message):
        sources["lithology"].read(Window(40, 12, 1, 1))
    whole(sources["land_cover"], grid)


def test_two_classes_in_a_pixel_are_refused_with_their_place(truth, write, open_file):
    features = planes(truth)
    features[50:55, 109, 3] = 0, 1, 0, 0, 1
    sources, grid = open_file(write(features))
    message = r"two classes at row 109, column 3 .* 51 \(sedimentary\) and 54 \(unknown\)"
    with pytest.raises(DataError, match=message):
        whole(sources["rock_family"], grid)


def test_refusals(truth, write, open_file, tmp_path):
    path = write()
    with pytest.raises(ConfigError, match=r"110 x 90 px inside its padding of 64, .* 110 x 91"):
        open_file(path, bounds=[*BOUNDS[:2], BOUNDS[2] + 10, BOUNDS[3]])
    with pytest.raises(DataError, match="no array 'Italy/data'; it has groups Veneto"):
        open_file(path, region="Italy")
    with pytest.raises(DataError, match=r"shape \(93, 238, 218\); \(94, rows, columns\)"):
        open_file(write(planes(truth)[1:]))
    with pytest.raises(DataError, match=r"gt has shape \(1, 110, 91\), which is neither"):
        open_file(write(labels=np.zeros((1, 110, 91))))
    with pytest.raises(DataError, match=r"gt has shape \(2, 110, 90\)"):
        open_file(write(labels=np.zeros((2, 110, 90))))
    with pytest.raises(DataError, match=r"nowhere.h5' cannot be read as HDF5"):
        open_file(str(tmp_path / "nowhere.h5"))
    path = write()
    content = (tmp_path / "veneto.h5").read_bytes()
    (tmp_path / "veneto.h5").write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match="cannot be read as HDF5") as caught:
        open_file(path)
    assert "\n" not in str(caught.value)


def test_without_h5py(write, open_file, monkeypatch):
    path = write()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"pip install 'landslide-dist\[hdf5\]'"):
        open_file(path)


def test_the_library_serves_one_thread_at_a_time(write, open_file):
    sources, grid = open_file(write())
    done = threading.Event()

    def read():
        whole(sources["landslide"], grid)
        done.set()

    with module.HDF5_LOCK:
        reader = threading.Thread(target=read)
        reader.start()
        assert not done.wait(0.3)
    reader.join(10)
    assert done.is_set()


def test_no_plane_is_ever_whole_in_memory(truth, write, open_file, monkeypatch):
    """What one read holds is bounded by the block and the piece, not by the file."""
    monkeypatch.setattr(module, "_PIECE_BYTES", 2 * 50 * 60 * 4)
    sources, _ = open_file(write(chunks=(2, 10, 31)))
    sizes = [
        piece.values.nbytes
        for piece in sources["lithology"].file.features(1, 44, Window(20, 10, 70, 60))
    ]
    assert max(sizes) <= module._PIECE_BYTES
    assert sum(sizes) == 44 * 70 * 60 * 4
