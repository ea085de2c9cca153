import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landslide_dist.config.chips import CroppedChips, PictureChips
from landslide_dist.errors import DataError
from landslide_dist.sources.labelled_chips import open_chips

from ..chip_files import write_chips


def pictures(folder, **own):
    given = {name: str(folder / name / "*.png") for name in ("landslide", "other")}
    return PictureChips(kind="pictures", **given | {"size_px": 40} | own)


def test_pictures_keep_their_colours_and_labels(tmp_path):
    chips = open_chips(pictures(write_chips(tmp_path, count=3)))
    assert chips.images.shape == (6, 3, 40, 40)
    assert chips.labels.tolist() == [1, 1, 1, 0, 0, 0]
    for number in (0, 5):
        with Image.open(chips.names[number]) as picture:
            np.testing.assert_array_equal(
                chips.images[number], np.moveaxis(np.asarray(picture), -1, 0)
            )


def test_a_chip_of_another_size_is_resized_whole(tmp_path):
    write_chips(tmp_path, count=2)
    half = np.zeros((20, 60, 3), np.uint8)
    half[:, 30:] = 200
    Image.fromarray(half).save(tmp_path / "landslide" / "000.png")
    chip = open_chips(pictures(tmp_path)).images[0]
    assert chip.shape == (3, 40, 40)
    assert chip[:, :, :18].max() < 5
    assert chip[:, :, 22:].min() > 195


def test_counts_are_of_the_chosen_chips(tmp_path):
    chips = open_chips(pictures(write_chips(tmp_path, count=3)))
    chosen = np.array([True, False, True, False, False, False])
    counts = chips.counts(chosen)
    assert list(counts) == ["red", "green", "blue"]
    for band, name in enumerate(counts):
        values = chips.images[chosen, band]
        np.testing.assert_array_equal(counts[name], np.bincount(values.ravel(), minlength=256))


def test_masks_go_with_their_chips(tmp_path):
    write_chips(tmp_path, count=2)
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("000.png", "001.png"):
        mask = np.zeros((40, 40), np.uint8)
        mask[:10] = 255 * (name == "001.png")
        Image.fromarray(mask).save(masks / name)
    # Of the same names as those without landslides: the folders are told apart by their pictures.
    for number in range(2):
        os.replace(tmp_path / "other" / f"00{number}.png", tmp_path / "other" / f"1{number}.png")
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(masks / f"1{number}.png")
    chips = open_chips(pictures(tmp_path, masks=str(masks)))
    assert chips.masks is not None
    assert chips.masks.sum(axis=(1, 2)).tolist() == [0, 400, 0, 0]
    Image.fromarray(np.full((40, 40), 255, np.uint8)).save(masks / "11.png")
    with pytest.raises(DataError, match=r"11\.png' is among those without landslides"):
        open_chips(pictures(tmp_path, masks=str(masks)))
    (masks / "000.png").unlink()
    with pytest.raises(DataError, match=r"000\.png' has no mask"):
        open_chips(pictures(tmp_path, masks=str(masks)))


def test_pictures_without_a_table_are_groups_of_their_own(tmp_path):
    write_chips(tmp_path, count=3)
    assert open_chips(pictures(tmp_path)).groups.tolist() == [0, 1, 2, 3, 4, 5]
    # A table of other things tells nothing of patches.
    (tmp_path / "chips.csv").write_text("file,seen_by\nlandslide/000.png,a\n")
    assert open_chips(pictures(tmp_path)).groups.tolist() == [0, 1, 2, 3, 4, 5]


#: Picture -> patch; nowhere in the order of the pictures.
PATCHES = {"other/002": "b", "other/000": "b", "other/001": "a/1", "landslide/002": "c",
           "landslide/001": "b", "landslide/000": "c"}  # fmt: skip
GROUPS = [0, 1, 0, 1, 2, 1]


def write_table(path, patches):
    rows = [f"{number},{name}.png,x,{patch}\n" for number, (name, patch) in enumerate(patches)]
    path.write_text("\ufeffnumber,file,label,patch\n" + "".join(rows), encoding="utf-8")


def test_pictures_of_one_patch_are_a_group(tmp_path, monkeypatch):
    write_chips(tmp_path, count=3)
    write_table(tmp_path / "chips.csv", PATCHES.items())
    assert open_chips(pictures(tmp_path)).groups.tolist() == GROUPS
    monkeypatch.chdir(tmp_path / "landslide")
    here = pictures(tmp_path, landslide="*.png", other="../other/*.png")
    assert open_chips(here).groups.tolist() == GROUPS
    # Tables in the folders themselves; patches of one name in two of them are two.
    (tmp_path / "chips.csv").unlink()
    for folder in ("landslide", "other"):
        own = [(n.rpartition("/")[2], p) for n, p in PATCHES.items() if n.startswith(folder)]
        write_table(tmp_path / folder / "chips.csv", own)
    assert open_chips(pictures(tmp_path)).groups.tolist() == [0, 1, 0, 2, 3, 2]


def test_tables_behind_urls_are_read_as_well(tmp_path):
    write_chips(tmp_path, count=3)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        places = {name: f"http://127.0.0.1:{server.server_port}/{name}/*.png"
                  for name in ("landslide", "other")}  # fmt: skip
        assert open_chips(pictures(tmp_path, **places)).groups.tolist() == [0, 1, 2, 3, 4, 5]
        write_table(tmp_path / "chips.csv", PATCHES.items())
        assert open_chips(pictures(tmp_path, **places)).groups.tolist() == GROUPS
        server.shutdown()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,patch\nlandslide/000.png,a\n", r"has no patch of 'landslide/001\.png': give the"),
        (b"file,patch\nlandslide/000.png,\n", r"has no patch of 'landslide/000\.png': give the"),
        (b"picture,patch\nlandslide/000.png,a\n", r"has no patch of 'landslide/000\.png'"),
        (b"file,patch\n\xff\xfe,a\n", r"chips\.csv' cannot be read as a table: .*utf-8"),
    ],
)
def test_a_table_that_leaves_a_picture_out_is_refused(tmp_path, content, message):
    write_chips(tmp_path, count=2)
    (tmp_path / "chips.csv").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        open_chips(pictures(tmp_path))
    assert "\n" not in str(caught.value)


def truncate(path: Path):
    path.write_bytes(path.read_bytes()[:-200])


def grey(path: Path):
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(path)


def deep(path: Path):
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(path)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (truncate, r"landslide/001\.png' cannot be read as a picture"),
        (lambda path: path.write_text("no picture"), r"001\.png' cannot be read as a picture"),
        (grey, r"001\.png' is a picture of mode L; it must be 8-bit RGB"),
        (deep, r"001\.png' is a picture of mode I;16; it must be 8-bit RGB"),
        (lambda path: shutil.rmtree(path.parent), r"no chips are found by '.*landslide/\*\.png'"),
    ],
)
def test_what_is_no_chip_is_named(tmp_path, harm, message):
    write_chips(tmp_path, count=2)
    harm(tmp_path / "landslide" / "001.png")
    with pytest.raises(DataError, match=message):
        open_chips(pictures(tmp_path))


def test_a_picture_of_both_classes_is_refused(tmp_path):
    write_chips(tmp_path, count=2)
    both = PictureChips(kind="pictures", landslide=f"{tmp_path}/*/*.png", other=f"{tmp_path}/o*/*")
    with pytest.raises(DataError, match="is among the chips with and without"):
        open_chips(both)


@pytest.fixture
def masked(tmp_path):
    """One image of 40 x 60 px with a landslide of 12 x 12, partly beyond a square of 20."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:17, 10:22] = 255
    Image.fromarray(image).save(tmp_path / "images" / "image_1.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "mask_1.png")
    return tmp_path, image, mask


def test_squares_are_cut_where_the_mask_says_what_they_are(masked):
    folder, image, mask = masked
    config = CroppedChips(kind="crops", folder=str(folder), size_px=20, min_share=0.1)
    chips = open_chips(config)
    # 120 of 400 px lie in the first square, 24 in the second, which is neither one nor the other.
    assert chips.labels.tolist() == [1, 0, 0, 0, 0]
    assert chips.names[1].endswith("row 0, column 40")
    np.testing.assert_array_equal(chips.images[0], np.moveaxis(image[:20, :20], -1, 0))
    assert chips.masks is not None
    np.testing.assert_array_equal(chips.masks[0], mask[:20, :20] > 0)
    some = open_chips(config.model_copy(update={"per_class": 2}))
    assert chips.groups.tolist() == [0] * 5
    assert some.labels.sum() == 1
    assert len(some) == 3
    with pytest.raises(DataError, match="no square of 50 px"):
        open_chips(config.model_copy(update={"size_px": 50}))


def test_squares_of_one_image_are_a_group(masked):
    folder, image, mask = masked
    Image.fromarray(image[::-1]).save(folder / "images" / "image_2.png")
    Image.fromarray(mask * 0).save(folder / "masks" / "mask_2.png")
    config = CroppedChips(kind="crops", folder=str(folder), size_px=20, min_share=0.1)
    assert open_chips(config).groups.tolist() == [0] * 5 + [1] * 6
    some = open_chips(config.model_copy(update={"per_class": 6}))
    assert [f"image_{group + 1}" for group in some.groups] == [n.split(",")[0] for n in some.names]


@pytest.mark.shared_data
def test_real_chips(shared_data):
    bijie = shared_data / "licence_unclear" / "bijie"
    chips = open_chips(
        PictureChips(
            kind="pictures",
            landslide=str(bijie / "images" / "ls_*.png"),
            other=str(bijie / "images" / "nls_*.png"),
            masks=str(bijie / "masks"),
        )
    )
    assert chips.images.shape == (160, 3, 224, 224)
    assert chips.labels.sum() == 80
    assert chips.masks is not None
    assert chips.masks[chips.labels == 1].any(axis=(1, 2)).all()
