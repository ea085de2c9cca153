"""The trainer on real patches of a small synthetic region."""

import numpy as np
import pytest
import torch

from landslide_dist.config.model import CNNConfig, LLRConfig
from landslide_dist.config.training import TrainingConfig
from landslide_dist.errors import DataError
from landslide_dist.models import build_model
from landslide_dist.patches.datamodule import PatchDataModule
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.ordered import Sampling
from landslide_dist.patches.region import Region, RegionData
from landslide_dist.patches.statistics import split_moments, training_statistics
from landslide_dist.tasks import SusceptibilityTask
from landslide_dist.training.fit import Outputs, fit
from landslide_dist.training.module import PatchModule

from .small import CHANNELS, CORE_PX, PARTS, SHAPE, WINDOWS


def train(reader, folder, config, micro_batch_size=4, parts=PARTS, oversample=1, **settings):
    index = PatchIndex.build(reader, WINDOWS, SHAPE, CORE_PX, 3)
    moments = split_moments(reader, WINDOWS, 3, CHANNELS.continuous)
    statistics = training_statistics(index, moments, parts["train"])
    torch.manual_seed(0)
    model = build_model(config, CHANNELS, statistics.mean_std, {30: 3}, statistics.share)
    data = PatchDataModule(
        Region(RegionData(reader, model.inputs, parts, SHAPE, WINDOWS)),
        index,
        model.inputs,
        model.halo_px,
        Sampling(config.batch_size, oversample),
    )
    module = PatchModule(model, SusceptibilityTask(), config, micro_batch_size)
    saved = []

    def save():
        saved.append({name: w.detach().clone() for name, w in model.state_dict().items()})

    validated = bool(parts["validation"])
    fit(
        module,
        data,
        TrainingConfig(accelerator="cpu", **settings),
        Outputs(folder, save, ""),
        validated,
    )
    return module, saved


def test_loss_falls_and_the_best_epoch_is_kept(reader, tmp_path):
    config = LLRConfig(kind="llr", epochs=6, learning_rate=0.05, batch_size=8)
    first, _ = train(reader, tmp_path / "one", config.model_copy(update={"epochs": 1}))
    module, saved = train(reader, tmp_path / "llr", config)
    assert module.epoch_loss["train"] < first.epoch_loss["train"]
    assert 1 <= len(saved) <= 6
    assert list((tmp_path / "llr" / "csv").rglob("metrics.csv"))


@pytest.mark.parametrize(
    "config",
    [
        LLRConfig(kind="llr", epochs=2, learning_rate=0.05, batch_size=7),
        CNNConfig(kind="cnn", widths=(4, 8), epochs=1, learning_rate=0.02, batch_size=7),
    ],
    ids=["llr", "cnn"],
)
def test_micro_batches_do_not_change_the_result(reader, tmp_path, config):
    """The mean is over the labelled pixels of the whole batch, however it is cut."""
    _, whole = train(reader, tmp_path / "a", config, micro_batch_size=7)
    _, cut = train(reader, tmp_path / "b", config, micro_batch_size=2)
    for name, weight in whole[-1].items():
        torch.testing.assert_close(weight, cut[-1][name], rtol=1e-4, atol=1e-6)


def test_epoch_loss_is_the_mean_over_all_labelled_pixels(reader, tmp_path):
    config = LLRConfig(kind="llr", epochs=1, learning_rate=1e-9, batch_size=5)
    module, _ = train(reader, tmp_path, config)
    planes = reader.planes
    validation = planes["landslide"][planes["split"] == 1] == 1
    train_share = (planes["landslide"][planes["split"] == 0] == 1).mean()
    # Untrained, the model predicts the training share everywhere.
    expected = -np.where(validation, np.log(train_share), np.log1p(-train_share)).mean()
    assert module.epoch_loss["val"] == pytest.approx(expected, rel=1e-5)


def test_without_validation_the_last_epoch_is_kept(reader, tmp_path):
    parts = {"train": frozenset({0, 1}), "validation": frozenset(), "test": frozenset({2})}
    config = LLRConfig(kind="llr", epochs=3, learning_rate=0.05, batch_size=8)
    module, saved = train(reader, tmp_path, config, parts=parts)
    assert len(saved) == 1
    torch.testing.assert_close(saved[0], module.model.state_dict())


def test_plateau_lowers_the_rate(reader, tmp_path):
    config = LLRConfig(kind="llr", epochs=4, learning_rate=50.0, batch_size=8, plateau_patience=0)
    module, _ = train(reader, tmp_path, config)
    assert module.trainer.optimizers[0].param_groups[0]["lr"] < 50.0


def test_a_loss_that_is_not_finite_is_an_error(reader, tmp_path):
    config = CNNConfig(kind="cnn", widths=(4, 8), epochs=2, learning_rate=1e30, batch_size=8)
    with pytest.raises(DataError, match="lower learning_rate"):
        train(reader, tmp_path, config)


def test_bf16_trains_nearly_the_same_model(reader, tmp_path):
    config = CNNConfig(kind="cnn", widths=(4, 8), epochs=2, learning_rate=0.02, batch_size=7)
    exact, _ = train(reader, tmp_path / "a", config)
    rounded, _ = train(reader, tmp_path / "b", config, precision="bf16-mixed")
    for phase, loss in exact.epoch_loss.items():
        assert rounded.epoch_loss[phase] == pytest.approx(loss, rel=0.02)
        assert rounded.epoch_loss[phase] != loss


@pytest.mark.long
# torch's own compiler.
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_network_trains_the_same_model(reader, tmp_path):
    config = CNNConfig(kind="cnn", widths=(4, 8), epochs=2, learning_rate=0.02, batch_size=7)
    eager, weights = train(reader, tmp_path / "a", config)
    compiled, of_compiled = train(reader, tmp_path / "b", config, compile=True)
    assert compiled.epoch_loss == pytest.approx(eager.epoch_loss, rel=1e-4)
    assert of_compiled[-1].keys() == weights[-1].keys()


def test_throughput_counts_patches_and_waiting_from_where_it_starts(monkeypatch):
    from types import SimpleNamespace

    from landslide_dist.training import callbacks

    clock = iter([100.0, 100.0, 103.0, 104.0, 110.0, 111.0, 112.0])
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    said = []
    monkeypatch.setattr(callbacks.console, "print", said.append)
    trainer = SimpleNamespace(world_size=2, is_global_zero=True)
    batch = SimpleNamespace(target=[0] * 5)
    measured = callbacks.Throughput("llr", quiet=False)
    # Resumed within an epoch: no start of one.
    measured.on_train_start(trainer, None)
    measured.on_train_batch_start(trainer, None, batch, 7)  # waited 0 s
    measured.on_train_batch_end(trainer, None, None, batch, 7)  # 3 s
    measured.on_train_epoch_start(trainer, None)  # validation took 1 s
    measured.on_train_batch_start(trainer, None, batch, 0)  # waited 6 s
    measured.on_train_batch_end(trainer, None, None, batch, 0)  # 1 s
    measured.on_train_end(trainer, None)
    # Ten patches on each of two processes, in 3 + 6 + 1 s.
    assert said == ["llr      2 patches/s, 60.0% of the time between steps"]
