"""A run of chips whose pictures, scene, cube and map lie on a real S3 server."""

import time
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import rasterio
import yaml
from PIL import Image

from landslide_dist.config.chips import CroppedChips, PictureChips
from landslide_dist.config.load import load_chips
from landslide_dist.errors import DataError, StoreError
from landslide_dist.sources.chips import chip_counts, files_below
from landslide_dist.sources.labelled_chips import open_chips
from landslide_dist.stages.bias.region import find_map
from landslide_dist.stages.chips.evaluate import evaluate_chips
from landslide_dist.stages.chips.explain import explain_chips
from landslide_dist.stages.chips.scenes import predict_scenes
from landslide_dist.stages.chips.train import ChipTrainer, train_chips
from landslide_dist.stages.doctor.needs import Needs
from landslide_dist.store.location import filesystem

from ..chip_files import scene, settings, write_chips, write_scene

pytestmark = pytest.mark.s3

PLACE = "s3://landslides/test"
#: 45 px of 4 m are 18 px of the scene: 4 x 3 blocks.
SHAPE = (80, 60)


def upload(folder, url=f"{PLACE}/input"):
    fsspec.filesystem("s3").put(f"{folder}/", f"{url}/", recursive=True)
    return url


def objects(url):
    """Name below the URL -> what the server says of it."""
    fs, path = filesystem(url)
    fs.invalidate_cache()
    return {
        name.removeprefix(f"{path}/"): info for name, info in fs.find(path, detail=True).items()
    }


def pictures(url, **own):
    given = {"landslide": f"{url}/landslide/*.png", "other": f"{url}/other/*.png", "size_px": 40}
    return PictureChips(kind="pictures", **given | own)


@pytest.fixture
def given(tmp_path, identity, monkeypatch):
    """Gives the run of one YAML, whose places are in the environment: local ones, or on S3."""
    own = write_chips(tmp_path / "input", count=6)
    write_scene(own / "scene.tif", SHAPE)
    plain = settings(Path("$INPUT"), run_dir="$RUN", scenes_dir="$SCENES")
    plain["chips"]["pixel_m"] = 4.0
    plain["models"]["cnn"] |= {"seen_at_m": 10, "epochs": 1}
    plain["scenes"] = {"here": scene("$INPUT/scene.tif", SHAPE)}
    plain["common"] = {"cube": {"storage": {"chunk_px": 32, "shard_px": 64}}}
    (tmp_path / "chips.yaml").write_text(yaml.safe_dump(plain))
    places = {
        "local": {"INPUT": str(own), "SCENES": str(tmp_path / "elsewhere")},
        "on_s3": {"INPUT": upload(own), "SCENES": f"{PLACE}/scenes/"},
    }

    def load(name):
        for variable, place in {"RUN": str(tmp_path / name), **places[name]}.items():
            monkeypatch.setenv(variable, place)
        return load_chips(tmp_path / "chips.yaml")

    return load


def test_one_yaml_gives_the_same_from_files_and_from_s3(given, tmp_path, s3_server):
    for config in (given("local"), given("on_s3")):
        train_chips(config)
        evaluate_chips(config)
        predict_scenes(config)
    ours, local = objects(f"{PLACE}/scenes/here"), tmp_path / "elsewhere" / "here"
    fs, at = filesystem(f"{PLACE}/scenes/here")
    shards = [name for name in ours if "/c/" in name]
    assert {name.split("/")[0] for name in shards} == {"cube.zarr", "predictions"}
    paths = [path for path in local.rglob("c/**/*") if path.is_file()]
    assert sorted(shards) == sorted(str(path.relative_to(local)) for path in paths)
    for name in shards:
        assert fs.cat_file(f"{at}/{name}") == (local / name).read_bytes()
    tifs = [f"{each}/scenes/here/predictions/cnn.tif" for each in ("local", "on_s3")]
    with rasterio.open(tmp_path / tifs[0]) as one, rasterio.open(tmp_path / tifs[1]) as other:
        assert not np.isnan(one.read(1)).any()
        np.testing.assert_array_equal(one.read(1), other.read(1))
    assert len({(tmp_path / run / "metrics.json").read_text() for run in ("local", "on_s3")}) == 1
    assert not list((tmp_path / "on_s3").rglob("zarr.json"))
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    kept += [fs.cat_file(f"{at}/{name}") for name in ours]
    assert len(kept) > 20
    for text in kept:
        assert all(secret.encode() not in text for secret in s3_server.admin)


def test_what_is_on_s3_is_found_there_again(given, identity, tmp_path):
    config = given("on_s3")
    train_chips(config)
    predict_scenes(config)
    before = objects(f"{PLACE}/scenes"), written(tmp_path)
    # The server tells whole seconds.
    time.sleep(1)
    train_chips(config)
    predict_scenes(config)
    assert (objects(f"{PLACE}/scenes"), written(tmp_path)) == before
    found = find_map(ChipTrainer(config), "here", "cnn")
    assert found.location == f"{PLACE}/scenes/here/predictions/cnn.zarr"
    explain_chips(config, ["cnn"], "here", None, 2)
    assert (tmp_path / "on_s3" / "explain" / "cnn" / "here.tif").exists()
    assert Needs.of(config).cubes == (f"{PLACE}/scenes/here/cube.zarr",)

    elsewhere = config.model_copy(update={"scenes_dir": "s3://no-such-bucket/scenes"})
    with pytest.raises(StoreError, match="no-such-bucket") as caught:
        predict_scenes(elsewhere)
    assert "\n" not in str(caught.value)
    identity(("nobody", "wrong"))
    with pytest.raises(DataError, match=r"landslide/\*.png' was refused"):
        predict_scenes(config)


def written(folder):
    """File -> when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_chips_on_s3_are_those_of_files(tmp_path, identity):
    write_chips(tmp_path, count=3)
    (tmp_path / "masks").mkdir()
    for path in sorted(tmp_path.glob("*/00?.png")):
        named = path.rename(path.with_name(f"{path.parent.name}-{path.name}"))
        mask = np.zeros((40, 40), np.uint8)
        mask[:10] = 255 * (path.parent.name == "landslide")
        Image.fromarray(mask).save(tmp_path / "masks" / named.name)
    local = open_chips(pictures(tmp_path, masks=str(tmp_path / "masks")))
    # Patterns pass over what some systems leave beside other files.
    (tmp_path / "other" / "._a.png").write_bytes(b"no picture")
    url = upload(tmp_path)
    for pattern in (f"{url}/landslide/*.png", f"{url}/**/landslide/*[!x].p?g"):
        chips = open_chips(pictures(url, landslide=pattern, masks=f"{url}/masks/"))
        assert chips.names == tuple(name.replace(str(tmp_path), url) for name in local.names)
        np.testing.assert_array_equal(chips.images, local.images)
        np.testing.assert_array_equal(chips.masks, local.masks)
    np.testing.assert_array_equal(
        list(chip_counts(f"{url}/landslide").values()),
        list(chip_counts(tmp_path / "landslide").values()),
    )


def test_squares_of_images_on_s3_are_those_of_files(tmp_path, identity):
    random = np.random.default_rng(0)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:17, 10:22] = 1
    for part in ("a", "a-b"):
        for name in ("images", "masks"):
            (tmp_path / part / name).mkdir(parents=True)
        for number, kind in ((2, "png"), (10, "h5")):
            image, its_mask = (
                tmp_path / part / f"{name}s" / f"{name}_{number}.{kind}"
                for name in ("image", "mask")
            )
            if kind == "png":
                colours = random.integers(0, 255, (40, 60, 3), dtype=np.uint8)
                Image.fromarray(colours).save(image)
                Image.fromarray(mask * 255).save(its_mask)
                continue
            for path, variable, values in (
                (image, "img", random.uniform(0.5, 3, (40, 60, 14))),
                (its_mask, "mask", mask),
            ):
                with h5py.File(path, "w") as file:
                    file[variable] = values
    config = CroppedChips(kind="crops", folder=str(tmp_path), size_px=20, min_share=0.1)
    local = open_chips(config)
    assert len(local) == 20
    # An object of the folder itself, as some programs make it.
    fs, path = filesystem(upload(tmp_path))
    fs.pipe_file(f"{path}/a/", b"")
    assert list(files_below(f"{PLACE}/input")) == list(files_below(tmp_path))
    on_s3 = open_chips(config.model_copy(update={"folder": f"{PLACE}/input/"}))
    assert on_s3.names == local.names
    np.testing.assert_array_equal(on_s3.images, local.images)
    np.testing.assert_array_equal(on_s3.masks, local.masks)
    fs.pipe_file(f"{path}/a/images/image_10.h5", b"no HDF5")
    with pytest.raises(DataError, match=r"image_10\.h5' cannot be read as HDF5"):
        open_chips(config.model_copy(update={"folder": f"{PLACE}/input"}))


def test_what_is_wrong_with_chips_on_s3_is_one_line(tmp_path, identity):
    url = upload(write_chips(tmp_path, count=2))
    crops = CroppedChips(kind="crops", folder=f"{url}/landslide", size_px=20)
    nowhere = {"landslide": "s3://no-such-bucket/a/*.png"}
    fs, path = filesystem(url)
    fs.pipe_file(f"{path}/broken/a.png", fs.cat_file(f"{path}/other/000.png")[:-200])
    fs.pipe_file(f"{path}/text/a.png", b"no picture")
    for source, message in (
        (pictures(url, **nowhere), "cannot be reached: there is no bucket 'no-such-bucket'"),
        (pictures(url, landslide=f"{url}/a/*.png"), "no chips are found by 's3://landslides/test"),
        (pictures(url, landslide="gs://a/*.png"), "'gs://a/*.png' has scheme 'gs'; inputs are"),
        (pictures(url, landslide=f"{url}/broken/*"), "broken/a.png' cannot be read as a picture"),
        (
            pictures(url, landslide=f"{url}/text/*"),
            f"cannot be read as a picture: cannot identify image file '{url}/text/a.png'",
        ),
        (pictures(url, masks=f"{url}/masks"), f"000.png' has no mask '{url}/masks/000.png'"),
        (crops, f"no image_N.h5 or image_N.png below '{url}/landslide'"),
        (
            crops.model_copy(update={"folder": "s3://no-such-bucket/a"}),
            "/a' cannot be reached: The specified",
        ),
    ):
        refused(source, message)
    with pytest.raises(DataError, match="text/a.png' cannot be read: "):
        chip_counts(f"{url}/text")
    with pytest.raises(DataError, match="pictures below 's3://.*/nothing': it is empty"):
        chip_counts(f"{url}/nothing")
    identity(("nobody", "wrong"))
    for source in (pictures(url), crops):
        refused(source, "was refused: ", "check the credentials in the environment")


def refused(source, *messages):
    with pytest.raises(DataError) as caught:
        open_chips(source)
    for message in messages:
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)
