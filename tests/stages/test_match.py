"""Images of a cube matched to a reference by ``derive``, from files to the stored variable."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from skimage.exposure import match_histograms

from landslide_dist.store.cube import open_cube
from landslide_dist.store.location import stored_bytes

SHAPE = (150, 130)
BANDS = ("red", "green", "blue")


def write(path, data):
    with rasterio.open(
        path, "w", driver="GTiff", height=data.shape[-2], width=data.shape[-1],
        count=1 if data.ndim == 2 else len(data), dtype=data.dtype, crs="EPSG:32632",
        transform=Affine(10, 0, 500000, 0, -10, 5000000),
    ) as file:  # fmt: skip
        file.write(data, 1 if data.ndim == 2 else None)


@pytest.fixture
def settings(tmp_path):
    rng = np.random.default_rng(0)
    write(tmp_path / "dem.tif", rng.normal(500, 20, SHAPE).astype("float32"))
    images = []
    for role, level in (("pre", 600), ("post", 900)):
        bands = {}
        for i, band in enumerate(BANDS):
            values = rng.gamma(4, level / 4 * (i + 1), SHAPE).clip(1, 9000).astype("uint16")
            values[:20, :30] = 0
            write(tmp_path / f"{role}_{band}.tif", values)
            bands[band] = f"{role}_{band}.tif"
        images.append({"role": role, "source": {"kind": "files", "bands": bands}})
    return {
        "name": "event",
        "run_dir": "run",
        "cube": {
            "location": "cube.zarr",
            "grid": {"like": "dem.tif"},
            "storage": {"chunk_px": 32, "shard_px": 64},
        },
        "sources": {
            "elevation": {"path": "dem.tif"},
            "reflectance": {"boa_offset": 0, "images": images, "bands": list(BANDS)},
        },
    }


@pytest.fixture
def chips(tmp_path):
    """A folder of labelled pictures, dark and reddish."""
    rng = np.random.default_rng(1)
    folder = tmp_path / "chips"
    folder.mkdir()
    pictures = rng.gamma(9, [[[[9]], [[6]], [[5]]]], (4, 3, 24, 24)).clip(0, 255).astype("uint8")
    for number, picture in enumerate(pictures):
        with rasterio.open(
            folder / f"{number}.png", "w", driver="PNG", height=24, width=24, count=3, dtype="uint8"
        ) as file:
            file.write(picture)
    return folder, pictures.transpose(1, 0, 2, 3).reshape(3, -1)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_every_image_gets_the_distribution_of_the_chips(command_line, settings, chips):
    folder, pixels = chips
    matching = {"reference": {"kind": "chips", "folder": str(folder)}, "dtype": "float32"}
    settings["cube"]["matching"] = matching
    config = command_line.write(settings)
    command_line("ingest", config)
    printed = command_line("derive", config)
    assert "match: 9 blocks" in printed.stderr
    assert "up to date" in command_line("derive", config).stderr
    ds = open_cube(str(command_line.folder / "cube.zarr")).load()
    for time in range(2):
        valid = ds.valid[time].to_numpy() == 1
        assert not valid[:20, :30].any()
        for band in range(3):
            source = ds.reflectance[time, band].to_numpy()[valid]
            expected = match_histograms(source, pixels[band]).astype(np.float32)
            matched = ds.matched[time, band].to_numpy()
            np.testing.assert_array_equal(matched[valid], expected)
            assert np.isnan(matched[~valid]).all()
    saved = json.loads((command_line.folder / "run" / "reference_pre.json").read_text())
    assert sorted(saved["bands"]) == sorted(BANDS)


@pytest.mark.slow
def test_another_cube_is_a_reference_for_pre_and_post_each(command_line, settings):
    config = command_line.write(settings)
    command_line("ingest", config)
    settings["cube"]["location"] = "matched.zarr"
    settings["cube"]["matching"] = {"reference": {"kind": "cubes", "locations": ["cube.zarr"]}}
    other = command_line.write(settings, "other.yaml")
    command_line("ingest", other)
    command_line("derive", other)
    ds = open_cube(str(command_line.folder / "matched.zarr")).load()
    # An image matched to its own distribution stays as it is.
    valid = ds.valid.to_numpy()[:, None] == 1
    np.testing.assert_array_equal(ds.matched.to_numpy() * valid, ds.reflectance.to_numpy() * valid)
    # And the tables it saved do the same.
    table = {"kind": "table", "path": "run/reference_pre.json"}
    settings["cube"]["matching"]["reference"] = table
    again = command_line.write(settings, "again.yaml")
    command_line("derive", again)
    ds = open_cube(str(command_line.folder / "matched.zarr")).load()
    same = (ds.matched[0] == ds.reflectance[0]).to_numpy()[:, valid[0, 0]]
    assert same.all()
    assert not (ds.matched[1] == ds.reflectance[1]).to_numpy()[:, valid[1, 0]].all()


def test_a_cube_without_images_cannot_be_matched(command_line, settings):
    del settings["sources"]["reflectance"]
    settings["cube"]["matching"] = {"reference": {"kind": "cubes", "locations": ["cube.zarr"]}}
    config = command_line.write(settings)
    command_line("ingest", config)
    assert "has no images to match" in command_line("derive", config, status=2).stderr


@pytest.mark.slow
def test_a_plan_names_what_matching_takes(command_line, settings):
    # To itself: what values there are afterwards decides how well they compress.
    own = {"kind": "cubes", "locations": ["cube.zarr"]}
    settings["cube"]["matching"] = {"reference": own}
    config = command_line.write(settings)
    command_line("plan", config, "--json", "plan.json")
    *_, planned = json.loads((command_line.folder / "plan.json").read_text())
    for stage in ("ingest", "derive"):
        command_line(stage, config)
    stored = {
        name: stored_bytes(str(command_line.folder / "cube.zarr" / name))
        for name in ("reflectance", "valid", "matched")
    }
    assert (planned["stage"], planned["blocks"]) == ("match", 9)
    assert planned["written_bytes"] == pytest.approx(stored["matched"], rel=0.1)
    read_once = stored["reflectance"] + stored["valid"]
    assert planned["read_bytes"] == pytest.approx(2 * read_once, rel=0.1)
    assert planned["seconds"] > 0
