"""The encoder equals a dense definition: one-hot, standardise, then gather pixel by pixel."""

import numpy as np
import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.categories import Categories
from landslide_dist.config.channels import Channels
from landslide_dist.errors import DataError
from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.models.encoder import CompactEncoder

STATISTICS = {"slope": (15.0, 8.0), "elevation": (600.0, 250.0), "rain": (900.0, 300.0)}
#: Codes with gaps, one map with an "unknown" class and one without.
SOME_CHANNELS = Channels(
    {
        "soil": Categories(codes={3: "sand", 7: "peat", 250: "till"}),
        "family": Categories(codes={1: "igneous", 2: "unknown"}, unknown=2),
    },
    ("rain",),
)


def random_batch(channels, radii_px, dtype, side=31, context_px=12, num_samples=2):
    """Planes with no sense but every case: NaN, unlisted codes, outside, none."""
    rng = np.random.default_rng(0)
    shape = (num_samples, side, side)
    planes = {}
    for name in channels.continuous:
        plane = rng.normal(*STATISTICS[name], shape).astype(np.float32)
        plane[rng.random(shape) < 0.1] = np.nan
        planes[name] = plane
    for name, categories in channels.categorical.items():
        planes[name] = rng.choice([0, 99, 255, *categories.codes], shape).astype(np.uint8)
    none = np.iinfo(dtype).max
    uphill = [rng.integers(0, len(ring_offsets(r)), shape) for r in radii_px]
    uphill = [np.where(rng.random(shape) < 0.1, none, u).astype(dtype) for u in uphill]
    planes["uphill"] = np.stack(uphill, 1)
    core = (num_samples, side - 2 * context_px, side - 2 * context_px)
    return Batch(
        {name: torch.from_numpy(plane) for name, plane in planes.items()},
        torch.zeros(core, dtype=torch.uint8),
        torch.zeros(num_samples, 2, dtype=torch.int64),
        context_px,
    )


def dense_channels(batch, channels):
    """(sample, channel, y, x) of all planes, channel by channel."""
    out = {}
    for name in channels.continuous:
        mean, std = STATISTICS[name]
        out[name] = np.nan_to_num((batch.planes[name].numpy() - mean) / std)
    for name, categories in channels.categorical.items():
        codes = batch.planes[name].numpy()
        for code, label in categories.codes.items():
            hit = (codes == code) | ((codes == 0) & (categories.unknown == code))
            out[f"{name}={label}"] = hit.astype(np.float32)
    return np.stack([out[name] for name in channels.names], 1)


def dense_aligned(dense, uphill, radius_px, channel_numbers):
    """(sample, selected, y, x) of the middle, by a loop over pixels."""
    offsets = ring_offsets(radius_px)
    num_samples, _, height, width = dense.shape
    out = np.zeros((num_samples, len(channel_numbers), height, width), np.float32)
    for s, y, x in np.ndindex(num_samples, height, width):
        position = int(uphill[s, y, x])
        if position < len(offsets):
            ny, nx = (y, x) + offsets[position]
            if 0 <= ny < height and 0 <= nx < width:
                out[s, :, y, x] = dense[s, channel_numbers, ny, nx]
    return out


@pytest.mark.parametrize("chosen_px", [None, (3, 10), (10,), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_equals_the_dense_definition(dtype, chosen_px):
    radii_px = (3, 10)
    # Not in channel order, and not next to one another.
    aligned = ("rain", "soil=till", "slope", "family=unknown", "soil=sand")
    batch = random_batch(SOME_CHANNELS, radii_px, dtype)
    encoder = CompactEncoder(SOME_CHANNELS, STATISTICS, radii_px, aligned, chosen_px)
    dense = dense_channels(batch, SOME_CHANNELS)
    numbers = [SOME_CHANNELS.names.index(name) for name in aligned]
    parts = [dense] + [
        dense_aligned(dense, batch.planes["uphill"][:, i].numpy(), radius, numbers)
        for i, radius in enumerate(radii_px)
        if radius in (chosen_px or radii_px)
    ]
    reach_px = max(chosen_px or radii_px)
    middle = slice(reach_px, -reach_px)
    expected = np.concatenate(parts, 1)[..., middle, middle]
    encoded = encoder(batch)
    assert encoder.reach_px == reach_px
    assert encoded.dtype == torch.float32
    assert encoded.shape[1] == len(encoder.names) == 8 + (len(parts) - 1) * 5
    np.testing.assert_allclose(encoded, expected, atol=1e-6)
    cores = torch.ones_like(batch.target, dtype=torch.bool)
    pixels = expected[..., 12 - reach_px : 19 - reach_px, 12 - reach_px : 19 - reach_px]
    np.testing.assert_allclose(
        encoder.pixels(batch, cores), pixels.transpose(0, 2, 3, 1).reshape(98, -1), atol=1e-6
    )


def test_without_aligned_features_nothing_is_cropped_or_read():
    batch = random_batch(SOME_CHANNELS, (3, 10), np.uint8)
    encoder = CompactEncoder(SOME_CHANNELS, STATISTICS, (3, 10), ())
    np.testing.assert_allclose(encoder(batch), dense_channels(batch, SOME_CHANNELS), atol=1e-6)
    assert encoder.reach_px == 0
    assert "uphill" not in encoder.inputs


def test_outside_the_raster_every_channel_is_zero(region, channels):
    statistics = {"slope": (15.0, 8.0), "elevation": (600.0, 250.0)}
    encoder = CompactEncoder(channels, statistics, region.radii_px, channels.names)
    beyond = region.cut([(-40, -40, 30, 30)], context_px=5)
    assert not encoder(beyond).any()
    inside = encoder(region.whole(5))
    unknown = channels.names.index("rock_family=unknown")
    codes = torch.from_numpy(region.planes["rock_family"])
    assert torch.equal(inside[0, unknown] == 1, (codes == 0) | (codes == 5))


def test_the_published_channels(channels):
    statistics = {"slope": (0.0, 1.0), "elevation": (0.0, 1.0)}
    assert len(CompactEncoder(channels, statistics).names) == 94
    features = channels.names[10:32]
    assert len(CompactEncoder(channels, statistics, (3, 10, 30), features).names) == 94 + 66


def test_a_cube_of_other_distances_is_refused(region, channels):
    statistics = {"slope": (0.0, 1.0), "elevation": (0.0, 1.0)}
    encoder = CompactEncoder(channels, statistics, (2, 3, 5), ("slope",))
    with pytest.raises(DataError, match="2 looking distances but the model was made for 3"):
        encoder(region.whole(5))


def test_the_encoder_adds_no_weights(channels):
    statistics = {"slope": (0.0, 1.0), "elevation": (0.0, 1.0)}
    assert not CompactEncoder(channels, statistics, (3,), ("slope",)).state_dict()


def test_under_autocast_channels_are_rounded_and_the_model_is_the_same(region, make):
    """Half the memory, nothing else: the network would round its input itself."""
    model = make(kind="lacnn", widths=(4, 8))
    batch = region.cut([(10, 10, 24, 24), (40, 50, 24, 24)], model.exact_context_px)
    channels = model.encoder(batch)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        rounded = model.encoder(batch)
        expected = model.network(channels)
        found = model.network(rounded)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded, channels.bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
