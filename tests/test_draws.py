"""Random numbers by hash."""

import pytest
import torch

from landslide_dist.draws import RANGE, drawn, halves, uniform


def test_numbers_are_uniform_and_keys_are_told_apart():
    rows, columns = torch.arange(1000)[:, None], torch.arange(1000)
    numbers = drawn(3, rows, columns).double() / RANGE
    assert numbers.shape == (1000, 1000)
    assert 0 <= float(numbers.min()) < float(numbers.max()) < 1
    counts = torch.histc(numbers, 16, 0, 1)
    assert float(counts.max() / counts.min()) < 1.03
    # Neither axis repeats, and what is first is not second.
    assert len(numbers.unique()) > 0.999 * numbers.numel()
    corner = drawn(3, rows[:50], columns[:50])
    assert int((corner == corner.T).sum()) == 50


@pytest.mark.parametrize("bit", [0, 31, 32, 50, 62])
def test_every_bit_of_a_key_counts(bit):
    keys = torch.arange(1000, dtype=torch.int64)
    other = keys ^ (1 << bit)
    assert not (drawn(0, *halves(keys)) == drawn(0, *halves(other))).any()


def test_numbers_of_a_sample_are_between_0_and_1_and_differ():
    keys = torch.arange(2000)
    first, second = uniform(keys, 0), uniform(keys, 1)
    assert 0 <= float(first.min()) < float(first.max()) < 1
    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.06
