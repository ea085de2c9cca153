"""The pointing game on maps and masks that can be counted by eye."""

import numpy as np
import pytest

from landslide_dist.evaluation.pointing import pointing_game


def test_hits_are_counted_at_the_middle_of_the_largest_value():
    maps = np.zeros((4, 2, 2), dtype=np.float32)
    masks = np.zeros((4, 8, 8), dtype=bool)
    maps[0, 1, 0], masks[0, 6, 2] = 5, True  # the middle of the lower left cell
    maps[1, 1, 0], masks[1, 6, 6] = 5, True  # the landslide is lower right
    masks[2] = True  # nothing is pointed at
    maps[3] = [[1, 3], [2, 0]]
    masks[3, 2:6, 2:7] = True  # (2, 6) is in it, and so is the centre
    found = pointing_game(maps, masks)
    assert (found.chips, found.hits, found.empty, found.centre_hits) == (4, 2, 1, 2)
    assert found.expected_hits == pytest.approx((1 + 1 + 64 + 20) / 64)
    assert found.shares() == {
        "hit_share": 0.5, "centre_share": 0.5, "random_share": pytest.approx(86 / 256),
    }  # fmt: skip


def test_maps_of_the_masks_own_size_point_at_their_own_pixel():
    masks = np.zeros((1, 5, 7), dtype=bool)
    masks[0, 3, 6] = True
    maps = masks.astype(np.float32)
    assert pointing_game(maps, masks).hits == 1
    assert pointing_game(maps[:, ::-1, ::-1], masks).hits == 0
