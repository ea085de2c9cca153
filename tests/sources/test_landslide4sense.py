import h5py
import numpy as np
import pytest
from PIL import Image

from landslide_dist.errors import DataError
from landslide_dist.sources.landslide4sense import find_patches

SIDE = 32


def write_h5(path, name, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[name] = values
    return path


def write_png(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def image(seed=0):
    return np.random.default_rng(seed).uniform(0.5, 3, (SIDE, SIDE, 14))


def mask(rows=8):
    values = np.zeros((SIDE, SIDE), np.uint8)
    values[:rows, :10] = 1
    return values


def write_published(folder, numbers=(1, 12)):
    for number in numbers:
        write_h5(folder / "img" / f"image_{number}.h5", "img", image(number))
        write_h5(folder / "mask" / f"mask_{number}.h5", "mask", mask(number))


def test_images_of_hdf5_are_stretched_band_by_band(tmp_path):
    write_published(tmp_path)
    patches = find_patches(tmp_path)
    assert [patch.name for patch in patches] == ["image_1", "image_12"]
    colours, landslides = patches[1].read()
    np.testing.assert_array_equal(landslides, mask(12) == 1)
    assert (colours.shape, colours.dtype) == ((3, SIDE, SIDE), np.uint8)
    # Red, green and blue are bands 4, 3 and 2; a fiftieth of each is black, another white.
    for ours, band in zip(colours, np.moveaxis(image(12)[..., [3, 2, 1]], 2, 0), strict=True):
        low, high = np.quantile(band, [0.02, 0.98])
        expected = np.interp(band, [low, high], [0, 255])
        np.testing.assert_allclose(ours, expected, atol=0.5 + 1e-9)
        assert [(ours == value).mean() for value in (0, 255)] == pytest.approx([0.02] * 2, abs=0.01)


def test_an_even_band_is_black(tmp_path):
    write_h5(tmp_path / "image_1.h5", "img", np.ones((SIDE, SIDE, 14)))
    write_h5(tmp_path / "mask_1.h5", "mask", mask())
    assert (find_patches(tmp_path)[0].read()[0] == 0).all()


def test_pictures_are_read_as_they_are(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4)).astype(np.uint8)
    opaque = np.full((SIDE, SIDE, 4), 255, np.uint8)
    opaque[..., :3] *= mask()[..., None]
    for part in ("train", "validation"):
        write_png(tmp_path / part / "images" / "image_7.png", colours)
        write_png(tmp_path / part / "masks" / "mask_7.png", opaque)
    write_png(tmp_path / "more" / "image_7.png", colours[..., :3])
    write_png(tmp_path / "more" / "mask_for_image_7.png", mask() * 255)
    patches = find_patches(tmp_path)
    assert [p.name for p in patches] == ["more/image_7", "train/image_7", "validation/image_7"]
    for patch in patches:
        found, landslides = patch.read()
        np.testing.assert_array_equal(found, np.moveaxis(colours[..., :3], 2, 0))
        np.testing.assert_array_equal(landslides, mask() == 1)


def test_images_and_masks_go_together(tmp_path):
    with pytest.raises(DataError, match="nowhere' does not exist"):
        find_patches(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no image_N\.h5 or image_N\.png"):
        find_patches(tmp_path)
    write_published(tmp_path)
    (tmp_path / "img" / "image_12.h5").unlink()
    with pytest.raises(DataError, match=r"mask_12\.h5 have no image of the same number"):
        find_patches(tmp_path)
    write_published(tmp_path)
    (tmp_path / "mask" / "mask_1.h5").unlink()
    with pytest.raises(DataError, match=r"image_1\.h5 have no mask of the same number"):
        find_patches(tmp_path)
    write_published(tmp_path)
    write_png(tmp_path / "mask" / "mask_1.png", mask())
    with pytest.raises(DataError, match="have one number"):
        find_patches(tmp_path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("img", image()[..., :3], r"image_1\.h5': img has shape \(32, 32, 3\)"),
        ("img", image() * np.nan, "not finite"),
        ("data", image(), r"image_1\.h5' has no 'img'; it has data"),
        ("img", image()[:20], r"20 x 32 px but '.*mask_1\.h5' 32 x 32"),
    ],
)
def test_other_images_are_refused(tmp_path, name, values, message):
    write_h5(tmp_path / "image_1.h5", name, values)
    write_h5(tmp_path / "mask_1.h5", "mask", mask())
    with pytest.raises(DataError, match=message):
        find_patches(tmp_path)[0].read()


def test_other_masks_and_broken_files_are_refused(tmp_path):
    path = write_h5(tmp_path / "image_1.h5", "img", image())
    write_h5(tmp_path / "mask_1.h5", "mask", mask() * 3)
    patch = find_patches(tmp_path)[0]
    with pytest.raises(DataError, match="is no mask: it has the values 0, 3"):
        patch.read()
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DataError, match="cannot be read as HDF5"):
        patch.read()
    write_png(tmp_path / "image_2.png", np.zeros((SIDE, SIDE), np.uint16))
    write_png(tmp_path / "mask_2.png", mask())
    with pytest.raises(DataError, match="bands of uint16; pictures must be 8-bit"):
        find_patches(tmp_path)[1].read()


@pytest.mark.shared_data
def test_real_patches_show_what_their_pictures_show(shared_data):
    patches = find_patches(shared_data / "licence_unclear" / "landslide4sense" / "h5")
    assert [patch.name for patch in patches] == ["image_1", "image_4"]
    brighter = []
    for patch, num_landslide in zip(patches, (405, 211), strict=True):
        colours, landslides = patch.read()
        assert landslides.sum() == num_landslide
        assert colours.shape == (3, 128, 128)
        brighter.append(colours[0][landslides].mean() / colours[0][~landslides].mean())
    # Landslides are bare ground; that of the second patch lies in the shadow of a cloud.
    assert brighter[0] > 3
    assert brighter[1] < 0.5
