"""The residual U-Net: its reach by perturbation, its heads, its dropout."""

import pytest
import torch

from landslide_dist.models.dropout import draw_by
from landslide_dist.models.resunet import ResidualUNet

PUBLISHED = (32, 64, 128, 256, 512)


def network(widths=(4, 6, 8), dropout=0.0, num_channels=3):
    torch.manual_seed(0)
    return ResidualUNet(num_channels, widths, dropout, 0.1)


def test_published_numbers():
    model = network(PUBLISHED, 0.2, 8)
    assert (model.halo_px, model.stride_px, model.num_heads) == (122, 16, 5)
    assert sum(p.numel() for p in model.parameters()) == 8_289_413


@pytest.mark.parametrize("num_levels", [1, 2, 3, 4])
@pytest.mark.parametrize("axis", [-2, -1])
def test_halo_is_the_exact_reach(num_levels, axis):
    """Weights are positive, so that no ReLU and no maximum hides the change."""
    model = network((2,) * num_levels, num_channels=1).double().eval()
    for parameter in model.parameters():
        parameter.data.copy_(torch.rand_like(parameter) + 0.1)
    halo_px, stride_px = model.halo_px, model.stride_px
    length, width = (2 * (halo_px + 2) // stride_px + 3) * stride_px, 4 * stride_px
    reaches = []
    with torch.no_grad():
        blank = torch.zeros(1, 1, length, width, dtype=torch.float64)
        blank = blank if axis == -2 else blank.mT.contiguous()
        before = model(blank)
        for residue in range(stride_px):
            at = length // 2 // stride_px * stride_px + residue
            image = blank.clone()
            image.select(axis, at).fill_(1e6)
            changed = (model(image) != before).any(-1 if axis == -2 else -2).flatten().nonzero()
            assert 0 < changed.min() <= changed.max() < length - 1
            reaches += [at - int(changed.min()), int(changed.max()) - at]
    assert max(reaches) == halo_px


def test_the_first_head_is_the_output_and_each_block_has_one():
    model = network().eval()
    image = torch.randn(2, 3, 21, 18)
    with torch.no_grad():
        heads = model.all_heads(image)
        assert heads.shape == (2, 3, 21, 18)
        torch.testing.assert_close(heads[:, 0], model(image))
    for head in range(3):
        model.zero_grad()
        model.all_heads(image)[:, head].sum().backward()
        own = model.output[-1] if head == 0 else model.sides[head - 1]
        assert own.weight.grad is not None
        assert float(own.weight.grad.abs().sum()) > 0


def test_training_starts_at_the_share_of_landslides():
    model = network(dropout=0.2).eval()
    with torch.no_grad():
        probability = model.all_heads(torch.randn(2, 3, 64, 64)).sigmoid()
    assert float(probability.mean()) == pytest.approx(0.1, abs=0.03)


def test_dropout_follows_the_keys_of_the_samples():
    model = network(dropout=0.4)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    image = torch.randn(1, 3, 16, 16).expand(3, -1, -1, -1)
    draw_by(model, torch.tensor([7, 8, 7]))
    with torch.no_grad():
        first = model(image)
        again = model(image)
    torch.testing.assert_close(first, again)
    torch.testing.assert_close(first[0], first[2])
    assert not torch.allclose(first[0], first[1])
