import io
import json

import numpy as np
import pytest
from matplotlib.image import imread

from landslide_dist.evaluation import curves
from landslide_dist.evaluation.curves import (
    loss_figure,
    mean_roc_figure,
    median_losses,
    read_history,
)
from landslide_dist.evaluation.experiment import RATES, Outcome


def pixels(png):
    return imread(io.BytesIO(png), format="png")[..., :3]


def history(tmp_path, epochs):
    path = tmp_path / "history.json"
    path.write_text(json.dumps(epochs))
    return read_history(str(path))


def test_a_history_is_read_with_and_without_validation(tmp_path):
    epochs = [
        {"epoch": 1, "train_loss": 0.5, "val_loss": 0.6, "learning_rate": 0.1},
        {"epoch": 2, "train_loss": 0.4, "val_loss": 0.5, "learning_rate": 0.1},
    ]
    losses = history(tmp_path, epochs)
    np.testing.assert_array_equal(losses["val_loss"], [[1, 2], [0.6, 0.5]])
    without = history(tmp_path, [{"epoch": 1, "train_loss": 0.5, "learning_rate": 0.1}])
    assert list(without) == ["train_loss"]
    assert read_history(str(tmp_path / "none.json")) == {}


def test_the_median_goes_on_while_half_of_the_trainings_do():
    runs = [(np.arange(1, n + 1), np.full(n, loss)) for n, loss in ((2, 0.1), (4, 0.2), (4, 0.6))]
    epochs, medians = median_losses(runs)
    np.testing.assert_array_equal(epochs, [1, 2, 3, 4])
    np.testing.assert_allclose(medians, [0.2, 0.2, 0.4, 0.4])
    epochs, _ = median_losses([*runs, runs[0], runs[0]])
    np.testing.assert_array_equal(epochs, [1, 2])


def losses(n, level):
    return {"train_loss": (np.arange(1, n + 1), level / np.arange(1, n + 1))}


def test_every_training_leaves_a_mark_beside_the_median():
    # Medians and scale are the same; only a training that is not the median differs.
    one, other = (
        pixels(loss_figure({"llr": [losses(6, 0.5)] * 3, "nn": runs}, "random"))
        for runs in ([losses(8, level) for level in (0.2, 0.2, odd)] for odd in (0.3, 0.25))
    )
    assert one.shape == other.shape
    assert 50 < (one != other).any(axis=-1).sum() < 20_000
    for edge in (one[:3], one[-3:], one[:, :3], one[:, -3:]):
        assert (edge == 1).all()


def test_validation_and_the_kept_epoch_are_named_where_there_are_any():
    at = np.arange(1, 7)
    validated = losses(6, 0.5) | {"val_loss": (at, 0.6 / at)}
    without, with_both = (
        pixels(loss_figure({"llr": [run]}, "random")) for run in (losses(6, 0.5), validated)
    )
    legends = [(p[:60, 1100:] < 0.5).sum() for p in (without, with_both)]
    assert legends[0] == 0
    assert legends[1] > 0


def test_areas_under_mean_curves_are_the_mean_areas(monkeypatch):
    labels = []
    monkeypatch.setattr(curves, "legend", lambda axes, *_: labels.extend(drawn(axes)))

    def drawn(axes):
        for line in axes.get_lines():
            if not line.get_label().startswith("_"):
                yield line.get_label(), np.trapezoid(line.get_ydata(), line.get_xdata())

    rows = [
        Outcome("random", p, 0, "llr", {"test_auc": auc}, {}, RATES ** ((1 - auc) / auc))
        for p, auc in enumerate((0.6, 0.8))
    ]
    mean_roc_figure(rows, "random", ["llr"])
    ((label, area),) = labels
    assert label == "llr  0.700"
    assert area == pytest.approx(0.7, abs=1e-3)
