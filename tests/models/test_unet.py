"""The U-Net's size, and its reach measured by perturbing what it sees."""

import pytest
import torch

from landslide_dist.models.unet import UNet, unet_halo_px, unet_stride_px


def test_published_numbers():
    network = UNet(94, (16, 32, 64, 128, 128), 0.013)
    assert network.halo_px == 122
    assert network.stride_px == 16
    num_filters = [(94, 16), (16, 32), (32, 64), (64, 128), (128, 128)]
    num_filters += [(128 + 128, 128), (128 + 64, 64), (64 + 32, 32), (32 + 16, 16)]
    expected = sum(9 * (i * o + o * o) + 2 * o for i, o in num_filters) + 16 + 1
    assert sum(p.numel() for p in network.parameters()) == expected == 1_238_193


@pytest.mark.parametrize("num_levels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("axis", [-2, -1])
def test_halo_is_the_exact_reach(num_levels, axis):
    """A line of pixels is perturbed at every position on the pooling grid.

    Weights are random but positive, so that no ReLU and no maximum hides the change.
    """
    torch.manual_seed(num_levels)
    halo_px, stride_px = unet_halo_px(num_levels), unet_stride_px(num_levels)
    network = UNet(1, (2,) * num_levels, 0.01).double().eval()
    for parameter in network.parameters():
        parameter.data.copy_(torch.rand_like(parameter) + 0.1)
    length = (2 * (halo_px + 2) // stride_px + 3) * stride_px
    width = 4 * stride_px
    reaches = []
    with torch.no_grad():
        blank = torch.zeros(1, 1, length, width, dtype=torch.float64)
        blank = blank if axis == -2 else blank.mT.contiguous()
        before = network(blank)
        for residue in range(stride_px):
            at = length // 2 // stride_px * stride_px + residue
            image = blank.clone()
            image.select(axis, at).fill_(1e6)
            changed = (network(image) != before).any(-1 if axis == -2 else -2).flatten().nonzero()
            assert 0 < changed.min() <= changed.max() < length - 1
            reaches += [at - int(changed.min()), int(changed.max()) - at]
    assert max(reaches) == halo_px


def test_any_size_is_padded_at_the_bottom_and_right():
    network = UNet(3, (4, 4, 4), 0.01).eval()
    image = torch.randn(2, 3, 21, 18)
    padded = torch.zeros(2, 3, 24, 20)
    padded[..., :21, :18] = image
    with torch.no_grad():
        assert network(image).shape == (2, 21, 18)
        torch.testing.assert_close(network(image), network(padded)[:, :21, :18])
