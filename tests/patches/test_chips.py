from itertools import permutations

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
FRACTIONS = (0.6, 0.2, 0.2)


def divide_alone(labels, fractions, seed):
    """Each chip is a group of its own, numbered as the chips of a selection are."""
    return divide(labels, 3 * np.arange(len(labels)) + 1, fractions, seed)


@given(st.integers(10, 300), st.integers(10, 300), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_each_class_is_divided_alike(landslides, others, seed):
    labels = np.repeat(np.array([1, 0], np.uint8), [landslides, others])
    parts = divide_alone(labels, FRACTIONS, seed)
    for value, count in ((1, landslides), (0, others)):
        sizes = np.bincount(parts[labels == value], minlength=3)
        np.testing.assert_allclose(sizes, np.array([0.6, 0.2, 0.2]) * count, atol=1)
        assert sizes.sum() == count
    np.testing.assert_array_equal(parts, divide_alone(labels, FRACTIONS, seed))


#: 9 of 24 chips have a landslide; then every third of 37, of whom 13 are 4.55, 3.9 and 4.55.
MIXED, THIRDS = "100101000110010010100010", "1001001001001001001001001001001001001"


@pytest.mark.parametrize(
    ("labels", "fractions", "seed", "expected"),
    [
        (MIXED, FRACTIONS, 0, "200110020001020011002200"),
        (MIXED, FRACTIONS, 7, "210001001100220202010000"),
        (THIRDS, (0.35, 0.3, 0.35), 0, "2011200210210002211220011210002102122"),
        (THIRDS, (0.35, 0.3, 0.35), 7, "2111102012021022211000002210210220120"),
    ],
)
def test_single_chips_keep_their_division(labels, fractions, seed, expected):
    """Published tables, and runs that go on, are of this one."""
    found = divide_alone(np.array(list(labels), np.uint8), fractions, seed)
    assert "".join(map(str, found)) == expected


def chips_of(sizes, seed=0):
    """Labels and groups of the chips of some images, and which images, half, hold a landslide."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    holds = random.permutation(len(sizes)) < len(sizes) / 2
    labels = holds[groups] & (random.random(len(groups)) < 0.3)
    labels[np.searchsorted(groups, np.flatnonzero(holds))] = True
    return labels.astype(np.uint8), groups, holds


def chips_in(parts, chosen):
    return np.bincount(parts[chosen], minlength=3)


@pytest.mark.parametrize("seed", range(5))
def test_chips_of_one_image_come_into_one_part(seed):
    labels, groups, holds = chips_of([49] * 20, seed)
    parts = divide(labels, groups, FRACTIONS, seed)
    assert all(len(np.unique(parts[groups == group])) == 1 for group in range(20))
    for stratum in (holds, ~holds):
        assert chips_in(parts, stratum[groups]).tolist() == [6 * 49, 2 * 49, 2 * 49]
    # The numbers of the groups say nothing else.
    np.testing.assert_array_equal(divide(labels, 50 - 7 * groups, FRACTIONS, seed), parts)


def test_shares_are_of_chips_where_images_give_more_and_fewer():
    sizes = np.random.default_rng(0).integers(5, 50, 60)
    divisions = set()
    for seed in range(6):
        labels, groups, holds = chips_of(sizes)
        parts = divide(labels, groups, FRACTIONS, seed)
        for stratum in (holds, ~holds):
            found = chips_in(parts, stratum[groups])
            np.testing.assert_allclose(found, np.array(FRACTIONS) * found.sum(), atol=2)
        divisions.add(parts.tobytes())
    assert len(divisions) == 6


@pytest.mark.parametrize("seed", range(5))
def test_an_image_with_most_of_the_chips_leaves_no_part_empty(seed):
    labels = np.repeat(np.array([1, 0], np.uint8), [1050, 100])
    groups = np.append(np.zeros(999, np.int64), np.arange(151))
    parts = divide(labels, groups, FRACTIONS, seed)
    assert chips_in(parts, labels == 1).tolist() == [1000, 25, 25]


@pytest.mark.parametrize("seed", range(5))
def test_no_part_gives_its_last_image_away(seed):
    """Even where the parts come nearer to their shares by that."""
    labels = np.repeat(np.array([1, 0], np.uint8), [32, 10])
    groups = np.append(np.repeat([0, 1, 2], [13, 9, 10]), np.arange(3, 13))
    parts = divide(labels, groups, FRACTIONS, seed)
    assert chips_in(parts, labels == 1).tolist() == [13, 10, 9]


@given(st.lists(st.integers(1, 60), min_size=4, max_size=25), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_no_image_in_another_part_would_be_nearer(sizes, seed):
    labels, groups = np.ones(sum(sizes), np.uint8), np.repeat(np.arange(len(sizes)), sizes)
    # Single chips without a landslide, so that every part has some.
    labels = np.append(labels, np.zeros(10, np.uint8))
    groups = np.append(groups, len(sizes) + np.arange(10))
    parts = divide(labels, groups, FRACTIONS, seed)
    own = parts[np.searchsorted(groups, np.arange(len(sizes)))]
    # Whole chips, as a division of single ones has them.
    train, validation = np.rint(np.array([0.6, 0.8]) * sum(sizes))
    wanted = [train, validation - train, sum(sizes) - validation]

    def distance(of_group):
        return np.square(np.bincount(of_group, sizes, minlength=3) - wanted).sum()

    for group, part in enumerate(own):
        if (own == part).sum() > 1:
            for other in range(3):
                moved = own.copy()
                moved[group] = other
                assert distance(own) <= distance(moved)
    for one, other in permutations(range(len(sizes)), 2):
        swapped = own.copy()
        swapped[[one, other]] = own[[other, one]]
        assert distance(own) <= distance(swapped)


def test_two_seeds_are_two_divisions():
    labels = np.repeat(np.array([1, 0], np.uint8), 50)
    first, second = (divide_alone(labels, FRACTIONS, seed) for seed in (0, 1))
    assert (first != second).any()


def test_too_few_chips_are_refused():
    with pytest.raises(DataError, match="2 chips of class 1 from 2 images leave none for"):
        divide_alone(np.array([1, 1, *[0] * 20], np.uint8), FRACTIONS, 0)


def test_too_few_images_are_refused():
    """However many chips they give; a part without any would have no score."""
    labels = np.tile(np.array([1, 0, 0], np.uint8), 40)
    for images, part in ((1, "validation"), (3, "validation")):
        groups = np.arange(120) * images // 120
        with pytest.raises(DataError) as caught:
            divide(labels, groups, FRACTIONS, 0)
        assert str(caught.value) == (
            f"80 chips of class 0 from {images} images leave none for {part}: give chips of more "
            "images or other split.fractions"
        )
    assert len(np.unique(divide(labels, np.arange(120) * 4 // 120, FRACTIONS, 0))) == 3


@pytest.fixture
def chips():
    images = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
    labels = np.repeat(np.array([1, 0], np.uint8), 15)
    return images, labels, divide_alone(labels, FRACTIONS, 0)


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
