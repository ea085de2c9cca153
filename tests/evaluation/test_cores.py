import numpy as np
import pytest
from sklearn import metrics

from landslide_dist import schema
from landslide_dist.evaluation.cores import count_parts, keep, keep_counts, kept, kept_counts
from landslide_dist.grid import Window
from landslide_dist.kernels import scores as kernel
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import HostReader


@pytest.fixture
def region():
    random = np.random.default_rng(0)
    shape = (50, 70)
    planes = {
        "landslide": (random.random(shape) < 0.2).astype(np.uint8),
        "split": random.integers(0, 3, shape).astype(np.uint8),
    }
    planes["split"][:, 60:] = schema.UNLABELLED
    probability = random.random((64, 80)).astype(np.float32)
    reader = HostReader(planes)
    index = PatchIndex.build(reader, [Window(0, 0, *shape)], shape, 16, 3)
    return reader, index, planes, probability


def counted(region, parts):
    reader, index, _, probability = region
    return count_parts(lambda core: probability[core.slices], reader, index, parts)


def test_every_labelled_pixel_of_a_part_counts_once(region):
    _, _, planes, probability = region
    parts = {"test": frozenset({2}), "train": frozenset({0, 1})}
    counts = counted(region, parts)
    for part, values in parts.items():
        mine = np.isin(planes["split"], sorted(values))
        predicted, target = probability[:50, :70][mine], planes["landslide"][mine]
        assert counts[part].num_labelled == mine.sum()
        loss = metrics.log_loss(target, predicted.astype(np.float64))
        assert kernel.nll(counts[part]) == pytest.approx(loss, rel=1e-5)
        auc = metrics.roc_auc_score(target, predicted)
        assert kernel.auc(counts[part]) == pytest.approx(auc, abs=1e-4)


def test_kept_counts_are_those_counted_and_only_of_their_fingerprint(region, tmp_path):
    counts = counted(region, {"test": frozenset({2}), "train": frozenset({0})})
    path = str(tmp_path / "folder" / "scores.npz")
    assert kept_counts(path, "a") is None
    keep_counts(path, "a", counts)
    found = kept_counts(path, "a")
    assert list(found) == ["test", "train"]
    for part, one in counts.items():
        np.testing.assert_array_equal(found[part].positive, one.positive)
        np.testing.assert_array_equal(found[part].negative, one.negative)
        assert (found[part].nll_sum, found[part].brier_sum) == (one.nll_sum, one.brier_sum)
    assert kept_counts(path, "b") is None
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["scores.npz"]


def test_half_a_file_is_as_good_as_none(tmp_path):
    path = tmp_path / "window.npz"
    keep(str(path), "a", {"probability": np.ones((9, 9), np.float32)})
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert kept(str(path), "a") is None
    path.write_bytes(whole)
    np.testing.assert_array_equal(kept(str(path), "a")["probability"], 1)
