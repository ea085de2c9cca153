import subprocess
import sys

import numpy as np
import pytest
import rasterio

from landslide_dist.errors import DataError
from landslide_dist.sources.chips import chip_counts, files_below, files_matching

pytestmark = pytest.mark.filterwarnings(
    "ignore::rasterio.errors.NotGeoreferencedWarning"  # of the writer
)


def write(path, values, driver="PNG", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver=driver, count=len(values), height=values.shape[1],
        width=values.shape[2], dtype=values.dtype, **options,
    ) as file:  # fmt: skip
        file.write(values)
    with rasterio.open(path) as file:
        return file.read()


def picture(seed, height=12, width=9, bands=3, dtype="uint8"):
    return np.random.default_rng(seed).integers(0, 256, (bands, height, width)).astype(dtype)


def bincounts(pictures):
    return [sum(np.bincount(p[band].ravel(), minlength=256) for p in pictures) for band in range(3)]


def test_all_pictures_below_a_folder_are_counted(tmp_path):
    pictures = [
        write(tmp_path / "a.png", picture(0)),
        write(tmp_path / "deep" / "er" / "b.JPG", picture(1, 40, 30), "JPEG"),
        write(tmp_path / "deep" / "c.tif", picture(2), "GTiff"),
    ]
    (tmp_path / "labels.csv").write_text("a,1")
    counts = chip_counts(tmp_path)
    assert list(counts) == ["red", "green", "blue"]
    for ours, numpys in zip(counts.values(), bincounts(pictures), strict=True):
        assert ours.dtype == np.int64
        np.testing.assert_array_equal(ours, numpys)
    assert list(chip_counts(str(tmp_path), bands=("B04", "B03", "B02"))) == ["B04", "B03", "B02"]


def test_transparent_pixels_do_not_count(tmp_path):
    values = picture(0, bands=4)
    values[3] = np.where(picture(1)[0] < 100, 0, 255)
    write(tmp_path / "a.png", values)
    visible = values[:3, values[3] > 0][:, None]
    np.testing.assert_array_equal(list(chip_counts(tmp_path).values()), bincounts([visible]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (picture(0, bands=1), "1 bands of uint8; chips must be 8-bit RGB"),
        (picture(0, dtype="uint16"), "3 bands of uint16"),
        (picture(0, bands=5), "5 bands"),
        (picture(0, bands=4), "4 bands"),
    ],
)
def test_other_pictures_are_refused_by_name(tmp_path, values, message):
    write(tmp_path / "a.tif", values, "GTiff", photometric="MINISBLACK")
    with pytest.raises(DataError, match=rf"a\.tif' has {message}"):
        chip_counts(tmp_path)


def test_folders_without_pictures_and_broken_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        chip_counts(tmp_path / "nowhere")
    with pytest.raises(DataError, match="it is empty"):
        chip_counts(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match=r"no \.png.*pictures below .*it has notes\.txt"):
        chip_counts(tmp_path)
    write(tmp_path / "a.png", picture(0, 200, 200))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.png' cannot be read"):
        chip_counts(tmp_path)
    with pytest.raises(DataError, match="3 bands, got the names red, green"):
        chip_counts(tmp_path, bands=("red", "green"))


@pytest.fixture
def http(tmp_path):
    """A server that lists its folders."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen([*command, "--directory", str(tmp_path)], **options) as server:
        yield server.stdout.readline().partition("(")[2].partition("/)")[0]
        server.terminate()


def test_files_are_found_behind_urls_as_on_this_machine(tmp_path, http):
    for name in ("a/x.png", "a-b/y.png", "a/deep/z.tif", "a/notes.txt", "a/._x.png"):
        write(tmp_path / name, picture(0), "GTiff" if name.endswith("tif") else "PNG")
    folders = (str(tmp_path), f"file://{tmp_path}", http)
    for folder in folders:
        assert [str(path) for path in files_below(folder)] == [
            "a/._x.png", "a/deep/z.tif", "a/notes.txt", "a/x.png", "a-b/y.png",
        ]  # fmt: skip
        above = folder.removeprefix("file://")
        for pattern, names in (
            ("a*/*", ["a-b/y.png", "a/notes.txt", "a/x.png"]),
            ("**/*.[pt]*", ["a-b/y.png", "a/deep/z.tif", "a/notes.txt", "a/x.png"]),
            ("a/._*", ["a/._x.png"]),
            ("b/*", []),
        ):
            found = [file.path for file in files_matching(f"{folder}/{pattern}")]
            assert found == [f"{above}/{name}" for name in names]
    counts = [list(chip_counts(f"{folder}/a").values()) for folder in folders]
    np.testing.assert_array_equal(counts[1:], counts[:1] * 2)
    with pytest.raises(DataError, match=r"'http://127.0.0.1:9/\*' cannot be reached: ") as caught:
        files_matching("http://127.0.0.1:9/*")
    assert "\n" not in str(caught.value)


@pytest.mark.shared_data
def test_real_chips(shared_data):
    folder = shared_data / "licence_unclear" / "bijie"
    counts = chip_counts(folder / "images")
    totals = {int(band.sum()) for band in counts.values()}
    assert len(totals) == 1
    assert totals.pop() > 160 * 61 * 61
    with pytest.raises(DataError, match="masks"):
        chip_counts(folder)
