"""A small region as compact planes, cut into batches the way a reader does."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.categories import inspire
from landslide_dist.config.channels import Channels
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.schema import OUTSIDE_CODE

RADII_PX = (2, 5)
#: By looking distance, on pixels of 10 m.
LOOKING_PX = {20.0: 2, 50.0: 5}
STATISTICS = {"slope": (15.0, 8.0), "elevation": (600.0, 250.0)}
SHARE = 0.013
ALIGNED = ("slope", "lithology=clay", "rock_family=unknown", "rock_age=Olocene", "elevation")


@dataclass(frozen=True)
class Region:
    """Planes of a whole raster."""

    planes: dict[str, np.ndarray]
    channels: Channels
    radii_px: tuple[int, ...] = RADII_PX

    @property
    def shape(self):
        return self.planes["elevation"].shape

    def cut(self, cores, context_px):
        """A batch of equal cores ``(y0, x0, height, width)``; they may reach beyond the raster."""
        planes = {
            name: torch.stack([_window(plane, core, context_px) for core in cores])
            for name, plane in self.planes.items()
        }
        target = torch.stack([_window(np.zeros(self.shape, np.uint8), core, 0) for core in cores])
        origin = torch.tensor([core[:2] for core in cores])
        return Batch(planes, target, origin, context_px)

    def whole(self, context_px):
        return self.cut([(0, 0, *self.shape)], context_px)


def _window(plane, core, context_px):
    y0, x0, height, width = core
    rows = np.arange(y0 - context_px, y0 + height + context_px)
    columns = np.arange(x0 - context_px, x0 + width + context_px)
    fill = np.nan if plane.dtype.kind == "f" else np.iinfo(plane.dtype).max
    out = np.full((*plane.shape[:-2], len(rows), len(columns)), fill, plane.dtype)
    inside = [(i >= 0) & (i < n) for i, n in zip((rows, columns), plane.shape[-2:], strict=True)]
    out[..., np.ix_(*inside)[0], np.ix_(*inside)[1]] = plane[
        ..., rows[inside[0], None], columns[inside[1]]
    ]
    return torch.from_numpy(out)


def _uphill(elevation, radius_px):
    height, width = elevation.shape
    heights = np.full((len(ring_offsets(radius_px)), height, width), -np.inf)
    padded = np.pad(np.nan_to_num(elevation, nan=-np.inf), radius_px, constant_values=-np.inf)
    for i, (dy, dx) in enumerate(ring_offsets(radius_px)):
        y0, x0 = radius_px + dy, radius_px + dx
        heights[i] = padded[y0 : y0 + height, x0 : x0 + width]
    none = ~np.isfinite(heights).any(0) | ~np.isfinite(elevation)
    return np.where(none, 255, heights.argmax(0)).astype(np.uint8)


@pytest.fixture(scope="session")
def channels():
    return Channels(inspire())


@pytest.fixture(scope="session")
def region(channels):
    """70 x 90 pixels with holes in every plane."""
    rng = np.random.default_rng(3)
    shape = (70, 90)
    elevation = rng.normal(600, 250, shape).astype(np.float32)
    slope = rng.gamma(3, 5, shape).astype(np.float32)
    elevation[rng.random(shape) < 0.05] = np.nan
    slope[rng.random(shape) < 0.05] = np.nan
    planes = {"slope": slope, "elevation": elevation}
    for variable, categories in channels.categorical.items():
        planes[variable] = rng.integers(0, len(categories.codes) + 1, shape).astype(np.uint8)
    assert max(plane.max() for plane in planes.values() if plane.dtype == np.uint8) < OUTSIDE_CODE
    planes["uphill"] = np.stack([_uphill(elevation, radius) for radius in RADII_PX])
    return Region(planes, channels)


@pytest.fixture(scope="session")
def make(channels):
    """Config, or kind of model -> model with random weights everywhere."""
    from pydantic import TypeAdapter

    from landslide_dist.config.model import ModelConfig
    from landslide_dist.models import build_model

    def build(randomise=True, **config):
        torch.manual_seed(5)
        parsed = TypeAdapter(ModelConfig).validate_python(config)
        model = build_model(parsed, channels, STATISTICS, LOOKING_PX, SHARE, ALIGNED)
        for parameter in model.parameters() if randomise else ():
            parameter.data += 0.05 * torch.randn_like(parameter)
        return model.eval()

    return build
