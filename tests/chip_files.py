"""Pictures that a small classifier can tell apart: landslides are brown, the rest is green."""

import numpy as np
import rasterio
from affine import Affine
from PIL import Image

BROWN, GREEN = (150, 110, 70), (60, 110, 50)


def write_chips(folder, count=20, side=40, seed=0):
    """``landslide/*.png`` and ``other/*.png`` below a folder."""
    random = np.random.default_rng(seed)
    for name, colour in (("landslide", BROWN), ("other", GREEN)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = random.normal(0, 12, (side, side, 3))
            picture = np.clip(np.array(GREEN) + noise, 0, 255)
            if name == "landslide":
                y, x = random.integers(0, side // 2, 2)
                part = (slice(y, y + side // 2), slice(x, x + side // 2))
                picture[part] = np.clip(np.array(colour) + noise[part], 0, 255)
            Image.fromarray(picture.astype(np.uint8)).save(folder / name / f"{number:03}.png")
    return folder


def settings(folder, **own):
    """A run of chips on them, as YAML would give it."""
    return {
        "name": "chips",
        "task": "chips",
        "run_dir": str(folder / "run"),
        "chips": {
            "kind": "pictures",
            "landslide": str(folder / "landslide" / "*.png"),
            "other": str(folder / "other" / "*.png"),
            "pixel_m": 0.8,
            "size_px": 45,
        },
        "models": {
            "cnn": {"kind": "chip_cnn", "input_px": 16, "filters": [8, 8], "hidden": 16,
                    "epochs": 8, "learning_rate": 0.01},
        },
        "training": {"accelerator": "cpu"},
        **own,
    }  # fmt: skip


def write_scene(path, shape=(200, 170), seed=0, hole=None):
    """A GeoTIFF of reflectance x 10000 in three bands, brown on its left half."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 120, (3, *shape)) + np.array([600, 1100, 500])[:, None, None]
    values[:, :, : shape[1] // 2] += np.array([900, 0, 200])[:, None, None]
    values = np.clip(values, 1, 10_000).astype(np.uint16)
    if hole is not None:
        values[(slice(None), *hole)] = 0
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint16", "height": shape[0],
               "width": shape[1], "crs": "EPSG:32610", "nodata": 0,
               "transform": Affine(10, 0, 500_000, 0, -10, 4_900_000)}  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    return values


def scene(path, shape=(200, 170)):
    """Its settings in a run of chips."""
    top, left = 4_900_000, 500_000
    bounds = [left, top - 10 * shape[0], left + 10 * shape[1], top]
    bands = {
        name: {"path": str(path), "band": n} for n, name in enumerate(("red", "green", "blue"), 1)
    }
    image = {"role": "post", "min_clear": 0, "source": {"kind": "files", "bands": bands}}
    return {
        "cube": {"grid": {"crs": "EPSG:32610", "pixel_m": 10, "bounds": bounds}},
        "sources": {"reflectance": {"boa_offset": 0, "images": [image]}},
    }
