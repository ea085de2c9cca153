"""Grad-CAM of classifiers of chips, by hand and beside captum's."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch.nn import functional as F

from landslide_dist.config.chip_model import ChipCNNConfig, TransferConfig
from landslide_dist.inference.grad_cam import class_maps, grad_cam, resized
from landslide_dist.models.chip import ChipRecipe, build_chip_model

CNN = ChipCNNConfig(kind="chip_cnn", input_px=32, filters=(4, 6), hidden=8)
TRANSFER = TransferConfig(
    kind="transfer", backbone="efficientnet_lite0", weights=None, input_px=64, hidden=8
)


def build(config):
    torch.manual_seed(3)
    return build_chip_model(ChipRecipe(config, extent_m=180, size_px=24))


@pytest.fixture
def chips():
    return torch.randint(0, 256, (3, 3, 24, 24), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )


@pytest.mark.parametrize("config", [CNN, TRANSFER], ids=["cnn", "transfer"])
@pytest.mark.parametrize("target", [0, 1])
def test_it_is_captums(config, target, chips):
    model = build(config).eval()
    found = grad_cam(model, chips, target)
    # captum hooks a module: the activation in front of the head is made one.
    last = torch.nn.Identity()
    images = model.seen(chips).requires_grad_(True)

    def forward(images):
        return model.head(last(model.feature_maps(images)))

    method = LayerGradCam(forward, last)
    expected = method.attribute(images, target=target, relu_attributions=True)[:, 0]
    assert found.shape == expected.shape
    assert found.dtype == torch.float32
    assert found.max() > 0
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-7)


def test_it_is_the_papers_formula_by_hand(chips):
    """With a linear head each weight is what the head gives the map, over the map's size."""
    model = build(TRANSFER).eval()
    with torch.no_grad():
        # A hidden unit that counts: its bias keeps it positive, so that the ReLU lets all pass.
        model.hidden.bias.fill_(1e6)
        maps = model.feature_maps(model.seen(chips))
        combined = model.output.weight @ model.hidden.weight
        num_places = maps.shape[2] * maps.shape[3]
        for target in (0, 1):
            expected = torch.zeros(3, *maps.shape[2:])
            for sample in range(3):
                for y in range(maps.shape[2]):
                    for x in range(maps.shape[3]):
                        total = (combined[target] / num_places * maps[sample, :, y, x]).sum()
                        expected[sample, y, x] = max(float(total), 0.0)
            assert (expected > 1e-3).any()
            found = grad_cam(model, chips, target)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


def test_two_classes_of_one_pass_are_those_of_two(chips):
    model = build(CNN)
    both = class_maps(model, chips)
    for target in (0, 1):
        torch.testing.assert_close(both[:, target], grad_cam(model, chips, target))


def test_a_chip_is_explained_alone(chips):
    """Its neighbours in the batch have no part in it, even in a model with batch statistics."""
    model = build(TRANSFER.model_copy(update={"fine_tune": True})).train()
    together = grad_cam(model, chips, 1)
    alone = torch.cat([grad_cam(model, chip[None], 1) for chip in chips])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training, chips):
    model = build(TRANSFER).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    asked = [parameter.requires_grad for parameter in model.parameters()]
    found = grad_cam(model, chips, 1)
    assert not found.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_maps_are_enlarged_as_chips_are():
    cam = torch.arange(24.0).reshape(2, 1, 3, 4)
    fine = resized(cam, 9)
    assert fine.shape == (2, 1, 9, 9)
    torch.testing.assert_close(
        fine[:, 0], F.interpolate(cam, (9, 9), mode="bilinear", align_corners=False)[:, 0]
    )
    torch.testing.assert_close(resized(cam[:, 0, :3, :3], 3), cam[:, 0, :3, :3])
