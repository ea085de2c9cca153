"""Channels of event models, against the kernels and by hand."""

import numpy as np
import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import NDVIDifferenceConfig, ResUNetConfig
from landslide_dist.errors import ConfigError
from landslide_dist.kernels import terrain as kernel
from landslide_dist.models import build_model
from landslide_dist.models.event_encoder import EventEncoder

CHANNELS = EventChannels(("red", "nir"), 10.0)
STATISTICS = {
    "pre_red": (1000.0, 200.0),
    "pre_nir": (3000.0, 500.0),
    "post_red": (1200.0, 300.0),
    "post_nir": (2500.0, 400.0),
    "slope": (20.0, 8.0),
}


def batch(side=20, context_px=1):
    rng = np.random.default_rng(0)
    outer = side + 2 * context_px
    images = {
        name: torch.from_numpy(rng.integers(400, 4000, (2, outer, outer)).astype(np.uint16))
        for name in CHANNELS.images
    }
    heights = rng.random((2, outer, outer), dtype=np.float32).cumsum(1).cumsum(2) * 3
    return Batch(
        {**images, "elevation": torch.from_numpy(heights)},
        torch.zeros(2, side, side, dtype=torch.uint8),
        torch.zeros(2, 2, dtype=torch.int64),
        context_px,
    )


def test_channels_by_hand():
    given = batch()
    channels = EventEncoder(CHANNELS, STATISTICS)(given)
    assert channels.shape == (2, 6, 20, 20)
    for position, name in enumerate(CHANNELS.images):
        mean, std = STATISTICS[name]
        plane = given.planes[name].numpy()[:, 1:-1, 1:-1]
        np.testing.assert_allclose(
            channels[:, position].numpy(), (plane - mean) / std, rtol=1e-5, atol=1e-5
        )
    for sample in range(2):
        heights = given.planes["elevation"][sample].numpy()
        slope = kernel.slope(heights, 10.0)[1:-1, 1:-1]
        shade = kernel.hillshade(heights, 10.0)[1:-1, 1:-1]
        np.testing.assert_allclose(channels[sample, 4].numpy(), (slope - 20) / 8, atol=1e-4)
        np.testing.assert_allclose(channels[sample, 5].numpy(), 2 * shade - 1, atol=1e-5)


@pytest.mark.parametrize("absent", [0, 65535])
def test_masked_pixels_are_zero_and_say_nothing(absent):
    given = batch()
    encoder = EventEncoder(CHANNELS, STATISTICS)
    before = encoder(given)
    given.planes["pre_red"].view(torch.int16)[0, 5, 5] = absent if absent == 0 else -1
    given.planes["elevation"][1, 8, 8] = float("nan")
    after = encoder(given)
    assert float(after[0, 0, 4, 4]) == 0
    assert (after[1, 4:, 6:9, 6:9] == 0).all()
    changed = (after != before).nonzero()
    assert {tuple(c[:2].tolist()) for c in changed} == {(0, 0), (1, 4), (1, 5)}


def test_published_network_sees_the_window_of_slope_too():
    model = build_model(ResUNetConfig(kind="resunet"), CHANNELS, STATISTICS, {}, 0.02)
    assert (model.halo_px, model.reach_px, model.exact_context_px) == (122, 1, 129)
    assert model.supervised(batch(32)).shape == (2, 5, 32, 32)


def test_ndvi_difference_is_one_channel_and_pixels_agree():
    model = build_model(NDVIDifferenceConfig(kind="ndvi_difference"), CHANNELS, STATISTICS, {}, 0.1)
    given = batch(context_px=0)
    planes = {name: plane.numpy().astype(np.float64) for name, plane in given.planes.items()}
    ndvi = {
        role: (planes[f"{role}_nir"] - planes[f"{role}_red"])
        / (planes[f"{role}_nir"] + planes[f"{role}_red"])
        for role in ("pre", "post")
    }
    channel = model.encoder(given)[:, 0].numpy()
    np.testing.assert_allclose(channel, ndvi["post"] - ndvi["pre"], atol=1e-5)
    torch.testing.assert_close(model.labelled_logits(given), model(given).flatten())


def test_ndvi_needs_its_bands():
    red = EventChannels(("red",), 10.0)
    with pytest.raises(ConfigError, match="needs the bands red and nir"):
        build_model(NDVIDifferenceConfig(kind="ndvi_difference"), red, STATISTICS, {}, 0.1)
