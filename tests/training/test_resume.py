"""A training that is stopped anywhere goes on as if it had not been."""

import signal
import time

import pytest
import pytorch_lightning as pl
import torch

from landslide_dist.errors import DataError, ProcessError, StoreError
from landslide_dist.store import lock
from landslide_dist.store.lock import hold
from landslide_dist.training.resume import Preempted, notice_between_trainings

from .small import CNN, LLR, Recorder, train


@pytest.fixture(scope="module")
def whole(reader, tmp_path_factory):
    return train(reader, tmp_path_factory.mktemp("whole"))


def test_a_signal_after_any_step_changes_nothing(reader, whole, tmp_path):
    """Within epochs, at their ends and at the very end."""
    weights, seen, history = whole
    steps_an_epoch = len(seen) // LLR.epochs
    assert steps_an_epoch >= 3
    for stop_at in range(1, len(seen) + 1):
        folder = tmp_path / str(stop_at)
        _, before, _ = train(reader, folder, stop_at=stop_at)
        assert len(before) == stop_at
        resumed, after, curve = train(reader, folder)
        assert before + after == seen
        torch.testing.assert_close(resumed, weights, rtol=0, atol=0)
        assert curve == history
        assert not (folder / "state.ckpt").exists()


def test_a_killed_training_repeats_what_follows_the_last_state(reader, whole, tmp_path):
    weights, seen, history = whole

    class Killed(Exception):
        pass

    def kill(*_):
        raise Killed

    previous = pl.Trainer.save_checkpoint
    saves = []

    def save_once(trainer, path, **keywords):
        if saves:
            raise Killed
        saves.append(trainer.global_step)
        previous(trainer, path, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.Trainer, "save_checkpoint", save_once)
        with pytest.raises(Killed):
            train(reader, tmp_path, checkpoint_every_n_steps=2)
    assert saves == [2]
    resumed, after, curve = train(reader, tmp_path, checkpoint_every_n_steps=2)
    assert after == seen[2:]
    torch.testing.assert_close(resumed, weights, rtol=0, atol=0)
    assert curve == history


def test_networks_go_on_too(reader, tmp_path):
    weights, seen, history = train(reader, tmp_path / "whole", CNN)
    _, before, _ = train(reader, tmp_path / "cut", CNN, stop_at=len(seen) // 2 + 1)
    resumed, after, curve = train(reader, tmp_path / "cut", CNN)
    assert before + after == seen
    torch.testing.assert_close(resumed, weights, rtol=0, atol=0)
    assert curve == history


def test_usr1_is_a_request_too(reader, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(Recorder, "number", signal.SIGUSR1)
    before = train(reader, tmp_path, stop_at=2)[1]
    assert before + train(reader, tmp_path)[1] == whole[1]


def test_the_state_of_another_model_is_left_alone(reader, whole, tmp_path):
    train(reader, tmp_path, stop_at=2, fingerprint="another")
    weights, seen, _ = train(reader, tmp_path)
    assert seen == whole[1]
    torch.testing.assert_close(weights, whole[0], rtol=0, atol=0)


def test_another_order_of_samples_is_refused(reader, tmp_path):
    train(reader, tmp_path, stop_at=2)
    with pytest.raises(Exception, match="the saved position has seed 0, this run 1"):
        train(reader, tmp_path, seed=1)


def test_a_damaged_state_is_named(reader, tmp_path):
    (tmp_path / "state.ckpt").write_bytes(b"half a file")
    with pytest.raises(DataError, match="is damaged: remove it"):
        train(reader, tmp_path)


def test_two_trainings_of_a_model_are_refused(reader, tmp_path):
    state = str(tmp_path / "state.ckpt")
    with hold(state, "train"), pytest.raises(StoreError, match="is being written by `train` on"):
        train(reader, tmp_path)
    train(reader, tmp_path)
    assert not list(tmp_path.glob("state.ckpt*"))


def test_a_training_whose_model_another_has_taken_over_writes_no_more(
    reader, tmp_path, monkeypatch
):
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    file = lock.open_lock_file(str(tmp_path / "state.ckpt"))

    def steal(*_):
        while not file.replace(lock.Holder.here("thief").content(), file.read()):
            pass
        time.sleep(0.2)

    monkeypatch.setattr(Recorder, "note", steal)
    with pytest.raises(ProcessError, match="another run took it over"):
        train(reader, tmp_path)
    assert not (tmp_path / "state.ckpt").exists()


def test_signals_are_given_back(reader, whole, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)]
    train(reader, tmp_path, stop_at=1)
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)] == before


def test_a_notice_between_trainings_ends_the_next_one(reader, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    before = signal.getsignal(signal.SIGUSR1)
    with notice_between_trainings():
        signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(Preempted):
            train(reader, tmp_path, requeue=False)
        assert (tmp_path / "state.ckpt").exists()
    assert signal.getsignal(signal.SIGUSR1) == before
    _, seen, _ = train(reader, tmp_path)
    assert seen
