import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from landslide_dist.config.chips import CroppedChips, PictureChips
from landslide_dist.errors import DataError
from landslide_dist.sources.labelled_chips import open_chips

from ..chip_files import write_chips


def pictures(folder, **own):
    return PictureChips(
        kind="pictures",
        landslide=str(folder / "landslide" / "*.png"),
        other=str(folder / "other" / "*.png"),
        **{"size_px": 40, **own},
    )


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
    assert some.labels.sum() == 1
    assert len(some) == 3
    with pytest.raises(DataError, match="no square of 50 px"):
        open_chips(config.model_copy(update={"size_px": 50}))


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
