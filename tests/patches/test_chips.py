import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from landslide_dist.batch import Batch
from landslide_dist.config.chip_model import ChipAugmentConfig
from landslide_dist.errors import DataError
from landslide_dist.patches.chips import AS_IT_IS, ChipAugment, ChipDataModule, divide
from landslide_dist.patches.ordered import Sampling

STILL = {"flips": False, "turn_deg": 0.0, "contrast": 0.0}


@given(st.integers(10, 300), st.integers(10, 300), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_each_class_is_divided_alike(landslides, others, seed):
    labels = np.repeat(np.array([1, 0], np.uint8), [landslides, others])
    parts = divide(labels, (0.6, 0.2, 0.2), seed)
    for value, count in ((1, landslides), (0, others)):
        sizes = np.bincount(parts[labels == value], minlength=3)
        np.testing.assert_allclose(sizes, np.array([0.6, 0.2, 0.2]) * count, atol=1)
        assert sizes.sum() == count
    np.testing.assert_array_equal(parts, divide(labels, (0.6, 0.2, 0.2), seed))


def test_two_seeds_are_two_divisions():
    labels = np.repeat(np.array([1, 0], np.uint8), 50)
    first, second = (divide(labels, (0.6, 0.2, 0.2), seed) for seed in (0, 1))
    assert (first != second).any()


def test_too_few_chips_are_refused():
    with pytest.raises(DataError, match="2 chips of class 1 leave none for"):
        divide(np.array([1, 1, *[0] * 20], np.uint8), (0.6, 0.2, 0.2), 0)


@pytest.fixture
def chips():
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
    labels = np.repeat(np.array([1, 0], np.uint8), 15)
    return images, labels, divide(labels, (0.6, 0.2, 0.2), 0)


def datamodule(chips, batch_size=4, augment=None):
    return ChipDataModule("chip", *chips, Sampling(batch_size, seed=3), augment)


def test_an_epoch_is_every_training_chip_once(chips):
    images, labels, parts = chips
    data = datamodule(chips)
    batches = list(data.train_dataloader())
    assert len(batches) == len(data.train_dataloader()) == 5
    numbers = torch.cat([b.origin[:, 0][b.target.flatten() != 255] for b in batches]).numpy()
    np.testing.assert_array_equal(np.sort(numbers), np.flatnonzero(parts == 0))
    for batch in batches:
        kept = batch.target.flatten() != 255
        np.testing.assert_array_equal(
            batch.planes["chip"][kept].numpy(), images[batch.origin[kept, 0]]
        )
        np.testing.assert_array_equal(
            batch.target.flatten()[kept].numpy(), labels[batch.origin[kept, 0]]
        )
        assert (batch.key == AS_IT_IS).all()
    data.set_epoch(1)
    again = torch.cat([b.origin[:, 0] for b in data.train_dataloader()])
    assert not torch.equal(again, torch.cat([b.origin[:, 0] for b in batches]))


def test_augmentation_doubles_the_training_chips_alone(chips):
    data = datamodule(chips, augment=ChipAugment(ChipAugmentConfig()))
    batches = list(data.train_dataloader())
    keys = torch.cat([b.key[b.target.flatten() != 255] for b in batches])
    numbers = torch.cat([b.origin[:, 0][b.target.flatten() != 255] for b in batches])
    assert len(keys) == 36
    assert (keys == AS_IT_IS).sum() == 18
    assert np.bincount(numbers.numpy()).max() == 2
    assert sum(len(b) for b in data.val_dataloader()) == 6


def sample(images, keys):
    count = len(images)
    target = torch.zeros(count, 1, 1, dtype=torch.uint8)
    return Batch({"chip": images}, target, torch.zeros(count, 2, dtype=torch.int64), 0, keys)


def vary(images, keys, **own):
    augment = ChipAugment(ChipAugmentConfig(**{**STILL, **own}))
    return augment(sample(images, torch.tensor(keys))).planes["chip"]


@pytest.fixture
def images():
    return torch.from_numpy(
        np.random.default_rng(1).integers(60, 190, (40, 3, 9, 9), dtype=np.uint8)
    )


def test_originals_stay_as_they_are(images):
    keys = [AS_IT_IS if n % 2 else n for n in range(40)]
    varied = vary(images, keys, flips=True, turn_deg=180.0, contrast=0.3)
    assert torch.equal(varied[1::2], images[1::2].float())
    assert all(not torch.equal(varied[n], images[n].float()) for n in range(0, 40, 2))


def test_copies_are_flipped_along_either_axis(images):
    varied = vary(images, list(range(40)), flips=True)
    found = set()
    for before, after in zip(images.float(), varied, strict=True):
        for axes in ((), (1,), (2,), (1, 2)):
            if torch.allclose(torch.flip(before, axes), after, atol=1e-3):
                found.add(axes)
    assert found == {(), (1,), (2,), (1, 2)}


def test_contrast_stretches_about_the_mean(images):
    varied = vary(images, list(range(40)), contrast=0.3)
    before, after = images.float(), varied
    gain = after.flatten(2).std(2) / before.flatten(2).std(2)
    assert 0.7 <= gain.min() < 0.8
    assert 1.2 < gain.max() <= 1.3001
    torch.testing.assert_close(after.mean((2, 3)), before.mean((2, 3)), atol=0.05, rtol=0)


def test_turned_chips_have_no_empty_corners(images):
    varied = vary(images, list(range(40)), turn_deg=180.0)
    assert varied.min() >= 59.9
    assert varied.max() <= 190


def test_a_copy_depends_on_its_key_alone(images):
    whole = vary(images, list(range(40)), flips=True, turn_deg=180.0, contrast=0.3)
    part = vary(images[7:9], [7, 8], flips=True, turn_deg=180.0, contrast=0.3)
    torch.testing.assert_close(whole[7:9], part, rtol=0, atol=1e-4)
