import numpy as np
import pytest
import torch
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config.chip_model import ChipCNNConfig, TransferConfig, chip_models
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models import checkpoint
from landslide_dist.models.chip import CHIP, ChipRecipe, build_chip_model
from landslide_dist.tasks.chips import ChipTask

SMALL = ChipCNNConfig(kind="chip_cnn", input_px=16, filters=(4, 4), hidden=8)


def built(config, extent_m=179.2, size_px=224, seed=0):
    torch.manual_seed(seed)
    return build_chip_model(ChipRecipe(config, extent_m, size_px)).eval()


def chips(count=3, side=224, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)


def batch(images, labels):
    count = len(images)
    target = torch.tensor(labels, dtype=torch.uint8)[:, None, None]
    return Batch({CHIP: images}, target, torch.zeros(count, 2, dtype=torch.int64), 0)


def test_the_papers_cnn_has_its_layers():
    model = built(ChipCNNConfig(kind="chip_cnn"))
    assert [tuple(c.weight.shape) for c in model.convolutions] == [
        (32, 3, 3, 3), (32, 32, 3, 3), (32, 32, 3, 3),
    ]  # fmt: skip
    assert model.hidden.in_features == 32 * 28 * 28
    assert model.output.out_features == 2
    assert model.feature_maps(torch.zeros(1, 3, 224, 224)).shape == (1, 32, 56, 56)


def test_the_papers_three_systems_and_their_settings():
    models = chip_models()
    assert [models[name].epochs for name in ("cnn", "resnet50", "resnet50_10m")] == [10, 10, 15]
    for model in models.values():
        assert (model.learning_rate, model.epsilon, model.batch_size) == (0.001, 1e-7, 32)
        assert model.plateau_patience is None
        assert model.weight_decay == 0
    assert ChipRecipe(models["resnet50_10m"], 179.2, 224).reduced_px == 18


def test_a_chip_is_reduced_and_enlarged_as_another_sensor_sees_it():
    model = built(SMALL.model_copy(update={"seen_at_m": 10.0, "input_px": 224}))
    images = chips()
    expected = images.float() / 255
    for side in (18, 224):
        expected = F.interpolate(
            expected, (side, side), mode="bilinear", align_corners=False, antialias=False
        )
    torch.testing.assert_close(model.seen(images), expected, rtol=0, atol=0)
    # What has that pixel size already is enlarged only.
    small = chips(side=18)
    enlarged = F.interpolate(small.float() / 255, (224, 224), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model.seen(small), enlarged, rtol=0, atol=0)


@pytest.mark.parametrize(("pixel_m", "side"), [(10, 18), (20, 9), (0.8, 224), (6, 30)])
def test_the_ground_of_a_chip_in_pixels_of_other_sensors(pixel_m, side):
    assert ChipRecipe(SMALL, 179.2, 224).pixels(pixel_m) == side


def test_pixels_that_are_too_coarse_are_refused():
    with pytest.raises(ConfigError, match=r"is 1 pixel\(s\) of 120 m"):
        ChipRecipe(SMALL, 179.2, 224).pixels(120)
    with pytest.raises(ConfigError, match="poolings leave nothing"):
        built(SMALL.model_copy(update={"filters": (2,) * 5}))


def test_the_loss_is_the_cross_entropy_of_labelled_chips():
    model, task = built(SMALL), ChipTask()
    images = chips()
    logits = model.classify(images).detach().double()
    # Two classes by hand: -log p of the label; the third chip fills up the batch.
    p = torch.softmax(logits, 1)
    expected = -torch.log(p[0, 1]) - torch.log(p[1, 0])
    given = batch(images, [1, 0, 255])
    torch.testing.assert_close(task.sums(model, given)[0], expected)
    assert task.counts(given.target).tolist() == [2]
    torch.testing.assert_close(model.probability(images), p[:, 1].float())


@pytest.fixture(scope="module")
def transfer():
    config = TransferConfig(kind="transfer", backbone="efficientnet_lite0", weights=None, hidden=8)
    return built(config.model_copy(update={"input_px": 64}))


def test_frozen_layers_stay_as_they_are_bit_for_bit(transfer):
    before = {n: t.clone() for n, t in transfer.backbone.state_dict().items()}
    head = transfer.hidden.weight.clone()
    transfer.train()
    assert not any(m.training for m in transfer.backbone.modules())
    optimiser = torch.optim.Adam(transfer.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        ChipTask().sums(transfer, batch(chips(side=64), [1, 0, 1])).sum().backward()
        optimiser.step()
    transfer.eval()
    for name, tensor in transfer.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not torch.equal(transfer.hidden.weight, head)


def test_fine_tuning_moves_the_whole_network():
    config = TransferConfig(
        kind="transfer", backbone="efficientnet_lite0", weights=None, fine_tune=True, input_px=64
    )
    model = built(config).train()
    assert all(p.requires_grad for p in model.parameters())
    assert any(m.training for m in model.backbone.modules())
    ChipTask().sums(model, batch(chips(side=64), [1, 0, 1])).sum().backward()
    first = next(model.backbone.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_colours_are_normalised_as_the_weights_want_them(transfer):
    grey = torch.full((1, 3, 64, 64), 0.5)
    colours = torch.tensor(transfer.backbone.mean).view(1, 3, 1, 1)
    scale = torch.tensor(transfer.backbone.std).view(1, 3, 1, 1)
    expected = transfer.backbone.feature_maps((grey - colours) / scale)
    torch.testing.assert_close(transfer.feature_maps(grey), expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["cnn", "transfer"])
def test_a_file_gives_the_same_classifier(tmp_path, kind, transfer):
    model = transfer if kind == "transfer" else built(SMALL)
    path = tmp_path / "model.ckpt"
    checkpoint.save_chip_model(path, model, {"model_hash": "abc"})
    again, metadata = checkpoint.load_chip_model(path)
    assert metadata["model_hash"] == checkpoint.fingerprint(path) == "abc"
    assert again.recipe == model.recipe
    images = chips(side=32)
    np.testing.assert_array_equal(
        again.classify(images).detach().numpy(), model.classify(images).detach().numpy()
    )
    with pytest.raises(DataError, match="holds a landslide_dist chip model"):
        checkpoint.load(path)


def test_other_files_are_refused(tmp_path):
    assert checkpoint.fingerprint(tmp_path / "none.ckpt") is None
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoint.load_chip_model(tmp_path / "none.ckpt")
    torch.save({"weights": 1}, tmp_path / "other.ckpt")
    with pytest.raises(DataError, match="is not a landslide-dist model"):
        checkpoint.load_chip_model(tmp_path / "other.ckpt")
