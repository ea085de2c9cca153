"""Tiles with the exact context agree with the whole image to 1e-5."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from landslide_dist.errors import ConfigError

SMALL = {"widths": (4, 6, 8)}
DENSE = {
    "llr": {},
    "nn": {"hidden": (8, 4)},
    "lann": {"hidden": (8, 4)},
    "cnn": SMALL,
    "lacnn": SMALL,
}


def whole_image(model, region):
    """The reference: raster encoded, zeros around it, one run, cropped."""
    channels = model.encoder(region.whole(model.reach_px))
    height, width = region.shape
    margin = -(-model.halo_px // model.stride_px) * model.stride_px
    bottom, right = -height % model.stride_px, -width % model.stride_px
    padded = F.pad(channels, (margin, margin + right, margin, margin + bottom))
    return model.network(padded)[0, margin : margin + height, margin : margin + width]


def tiled(model, region, height, width):
    """Every tile from its own window of compact planes."""
    rows, columns = region.shape
    out = torch.full((rows, columns), torch.nan)
    cores = [
        (y, x, height, width) for y in range(0, rows, height) for x in range(0, columns, width)
    ]
    logits = model(region.cut(cores, model.exact_context_px))
    for (y, x, _, _), tile in zip(cores, logits, strict=True):
        out[y : y + height, x : x + width] = tile[: rows - y, : columns - x]
    return out


@pytest.mark.parametrize("kind", DENSE)
@settings(max_examples=6, deadline=None)
@given(num_y=st.integers(3, 20), num_x=st.integers(3, 20))
def test_tiles_equal_the_whole_image(kind, num_y, num_x, region, make):
    model = make(kind=kind, **DENSE[kind])
    with torch.no_grad():
        reference = whole_image(model, region)
        result = tiled(model, region, num_y * 4, num_x * 4)
    assert reference.std() > 0.01
    torch.testing.assert_close(result, reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize("distances_m", [[20], [50]])
@pytest.mark.parametrize("kind", ["lann", "lacnn"])
def test_tiles_of_a_model_that_looks_at_some_distances(kind, distances_m, region, make):
    aligned = {"looking_distances_m": distances_m}
    model = make(kind=kind, aligned=aligned, **DENSE[kind])
    assert model.reach_px == distances_m[0] // 10
    with torch.no_grad():
        reference = whole_image(model, region)
        result = tiled(model, region, 24, 40)
    torch.testing.assert_close(result, reference, atol=1e-5, rtol=0)


def test_the_published_network_on_tiles(region, make):
    model = make(kind="lacnn")
    assert (model.halo_px, model.stride_px, model.reach_px) == (122, 16, 5)
    assert model.exact_context_px == 128 + 5
    with torch.no_grad():
        reference = whole_image(model, region)
        torch.testing.assert_close(tiled(model, region, 48, 48), reference, atol=1e-5, rtol=0)


def test_too_little_context_shows(region, make):
    """The paper's habit of less context than the halo is not exact: the test above can fail."""
    model = make(kind="cnn", **SMALL)
    for parameter in model.parameters():
        parameter.data.abs_()
    with torch.no_grad():
        exact, short = (model(region.cut([(32, 32, 16, 16)], c)) for c in (28, 12))
    assert (exact - short).abs().max() > 1e-5


def test_context_less_than_the_uphill_look_is_refused(region, make):
    with pytest.raises(ConfigError, match=r"4 px of context but the uphill look reaches 5 px"):
        make(kind="lann")(region.whole(4))


@pytest.mark.parametrize("kind", ["lann", "lacnn", "cnn"])
def test_training_may_use_less_context(kind, region, make):
    model = make(kind=kind, **DENSE[kind])
    assert model(region.cut([(8, 8, 30, 20)], 5)).shape == (1, 30, 20)


def test_logits_are_float32_under_autocast(region, make):
    model = make(kind="lacnn", **SMALL)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = model(region.whole(10))
    with torch.no_grad():
        full = model(region.whole(10))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, full, atol=0.1, rtol=0.1)
