import numpy as np
import pytest
import torch

from landslide_dist.grid import Window
from landslide_dist.patches.cutter import part_target
from landslide_dist.patches.order import PADDING, Share
from landslide_dist.patches.planes import TARGET
from landslide_dist.patches.reader import HostReader

from .small import CONTEXT_PX, CORE_PX, INPUTS, PARTS, SHAPE, cutter, planes


@pytest.fixture(scope="module")
def reader():
    return HostReader(planes())


@pytest.fixture(scope="module")
def train():
    return cutter("train")


def share(patch):
    """Samples of an order, of which patch and key are used."""
    patch = np.asarray(patch)
    return Share(patch, np.zeros_like(patch), np.zeros_like(patch), np.arange(len(patch)) + 7)


def whole(cut, reader):
    """The region in one piece."""
    return cut.decode(reader, Window(0, 0, *SHAPE))


def assert_is_of_the_region(batch, reader, part):
    """Planes and targets are those that the reader gives, pixel by pixel."""
    for sample, (y0, x0) in enumerate(batch.origin.tolist()):
        core = Window(y0, x0, CORE_PX, CORE_PX)
        context = reader.read(core.expand(CONTEXT_PX))
        for name in INPUTS:
            assert batch.planes[name][sample].numpy().dtype == context[name].dtype
            np.testing.assert_array_equal(batch.planes[name][sample], context[name])
        mine = np.isin(context["split"], sorted(PARTS[part]))
        target = np.where(mine, context["landslide"], 255)
        inner = slice(CONTEXT_PX, CONTEXT_PX + CORE_PX)
        np.testing.assert_array_equal(batch.target[sample], target[inner, inner])


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_batches_are_of_the_region_at_its_edges_too(reader, part):
    cut = cutter(part)
    patch = np.arange(len(cut.patches))
    batch = cut.batch(share(patch), [whole(cut, reader)] * len(patch))
    assert batch.origin.tolist() == cut.patches.origins.tolist()
    assert batch.key.tolist() == [*range(7, 7 + len(patch))]
    # Among them some that reach beyond each edge.
    assert batch.origin.min() == 0
    assert (batch.origin.max(dim=0).values + CORE_PX + CONTEXT_PX > torch.tensor(SHAPE)).all()
    assert batch.planes["uphill"].shape == (len(patch), 3, 22, 22)
    assert_is_of_the_region(batch, reader, part)
    assert (batch.target != 255).flatten(1).any(1).all()


def test_samples_may_lie_in_different_windows(reader, train):
    patch = np.array([5, 0, 20])
    windows = [
        Window(*origin, CORE_PX, CORE_PX).expand(CONTEXT_PX + margin)
        for margin, origin in enumerate(train.patches.origins[patch].tolist())
    ]
    batch = train.batch(share(patch), [train.decode(reader, window) for window in windows])
    assert_is_of_the_region(batch, reader, "train")


def test_padding_has_no_labels_and_lies_beyond_the_raster(reader, train):
    held = whole(train, reader)
    batch = train.batch(share([3, PADDING]), [held] * 2)
    assert (batch.target[1] == 255).all()
    assert (batch.target[0] != 255).any()
    assert torch.isnan(batch.planes["elevation"][1]).all()
    assert (batch.planes["uphill"][1].numpy() == 65535).all()
    assert (batch.origin[1] <= -CORE_PX - CONTEXT_PX).all()
    alone = train.batch(share([PADDING]), [held])
    assert (alone.target == 255).all()


def test_padding_that_was_read_is_that_of_the_whole_region(reader, train):
    padding = np.array([PADDING])
    y0, x0 = (train.origins(padding)[0] - CONTEXT_PX).tolist()
    read = train.decode(reader, Window(y0, x0, train.side_px, train.side_px))
    streamed, resident = (train.batch(share(padding), [p]) for p in (read, whole(train, reader)))
    assert torch.equal(streamed.target, resident.target)
    for name in INPUTS:
        np.testing.assert_array_equal(streamed.planes[name], resident.planes[name])


def test_decoded_planes_are_the_inputs_and_the_target_of_the_part(reader, train):
    window = Window(-4, 100, 30, 60)
    decoded = train.decode(reader, window)
    assert decoded.window == window
    assert list(decoded.tensors) == [*INPUTS, TARGET]
    read = reader.read(window)
    target = np.where(read["split"] == 0, read["landslide"], 255)
    np.testing.assert_array_equal(decoded.tensors[TARGET], target)


def test_batches_are_copies(reader, train):
    """What was decoded can go, and the region in memory stays as it is."""
    held = whole(train, reader)
    batch = train.batch(share([0]), [held])
    memory = {tensor.untyped_storage().data_ptr() for tensor in held.tensors.values()}
    for plane in (*batch.planes.values(), batch.target):
        assert plane.untyped_storage().data_ptr() not in memory


def test_the_target_of_a_part_holds_its_labels_only():
    landslide = np.array([[0, 1, 0, 1, 255]], dtype="uint8")
    split = np.array([[0, 1, 2, 255, 255]], dtype="uint8")
    assert part_target(landslide, split, frozenset({0, 1})).tolist() == [[0, 1, 255, 255, 255]]
    assert part_target(landslide, split, frozenset({2})).tolist() == [[255, 255, 0, 255, 255]]
    assert (part_target(landslide, split, frozenset()) == 255).all()
    assert part_target(landslide, split, frozenset({1})).dtype == np.uint8
    assert landslide.tolist() == [[0, 1, 0, 1, 255]]
