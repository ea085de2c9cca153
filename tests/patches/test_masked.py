"""Labels of some parts of a split alone."""

import numpy as np

from landslide_dist.grid import Window
from landslide_dist.patches.masked import MaskedLabels
from landslide_dist.patches.reader import HostReader
from landslide_dist.schema import UNLABELLED


def test_labels_of_other_parts_are_no_labels():
    landslide = np.array([[0, 1, 0, 1, UNLABELLED]], np.uint8)
    split = np.array([[0, 1, 2, UNLABELLED, UNLABELLED]], np.uint8)
    reader = MaskedLabels(HostReader({"landslide": landslide, "split": split}), frozenset({0, 1}))
    seen = reader.read(Window(0, -1, 1, 6), ("landslide",))["landslide"]
    assert seen.dtype == np.uint8
    assert seen.tolist() == [[UNLABELLED, 0, 1, UNLABELLED, UNLABELLED, UNLABELLED]]
