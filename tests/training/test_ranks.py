"""Real processes that train together over gloo: the result is that of one, and survives kill -9."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

#: Global batches of table 1 of the LACNN paper.
TABLE_1 = (15, 13, 10, 12, 9)


@contextmanager
def started(world_size, settings):
    """The processes of a training, as ``torchrun`` starts them; what is left is killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world_size),
        "NODE_RANK": "0",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.training.small", settings],
            cwd=Path(__file__).parents[2],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world_size)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def run(world_size, folder, jobs):
    """Trainings one after the other, each by all processes."""
    settings = folder / f"settings-{world_size}.json"
    settings.write_text(json.dumps({"jobs": jobs}))
    with started(world_size, settings) as processes:
        end(processes)


def end(processes):
    """All must end well."""
    for process in processes:
        errors = process.communicate(timeout=200)[1]
        assert process.returncode == 0, errors


def wait(processes, happened):
    """Until it has happened, which must be before any process ends."""
    deadline = time.monotonic() + 200
    while not happened() and time.monotonic() < deadline:
        ended = [process for process in processes if process.poll() is not None]
        assert not ended, ended[0].communicate()[1]
        time.sleep(0.05)


def samples(folder, first_step=1, last_step=10**9):
    """Patches of every step, over all ranks."""
    steps = {}
    for file in sorted(folder.glob("rank-*.jsonl")):
        for line in file.read_text().splitlines():
            step, origins = json.loads(line)
            if first_step <= step <= last_step:
                steps.setdefault(step, []).extend(origins)
    return {step: sorted(origins) for step, origins in sorted(steps.items())}


def history(folder):
    return json.loads((folder / "history.json").read_text())


def losses(folder):
    return torch.tensor([[row["train_loss"], row["val_loss"]] for row in history(folder)])


@pytest.mark.slow
def test_one_two_and_four_processes_train_the_same_model(tmp_path):
    """Also with networks, and with batches that do not divide by the number of processes."""
    jobs = {
        world_size: [
            {"folder": str(tmp_path / f"{kind}-{size}-{world_size}"), "kind": kind,
             "model": {"batch_size": size, "epochs": 1}}
            for kind, sizes in (("llr", TABLE_1), ("cnn", TABLE_1[3:]))
            for size in sizes
        ]
        for world_size in (1, 2, 4)
    }  # fmt: skip
    for world_size, of_size in jobs.items():
        run(world_size, tmp_path, of_size)
    for alone, *together in zip(*jobs.values(), strict=True):
        expected = Path(alone["folder"])
        assert len(samples(expected)) > 1
        for job in together:
            folder = Path(job["folder"])
            assert samples(folder) == samples(expected)
            torch.testing.assert_close(losses(folder), losses(expected), rtol=1e-5, atol=0)
            weights = (torch.load(f / "weights.pt") for f in (folder, expected))
            torch.testing.assert_close(*weights, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_four_processes_killed_go_on_as_two_or_as_one(tmp_path, recovery):
    job = {"kind": "cnn", "model": {"batch_size": 5, "epochs": 2}}
    run(1, tmp_path, [job | {"folder": str(tmp_path / "whole")}])
    expected = samples(tmp_path / "whole")
    steps_an_epoch = len(expected) // 2

    killed = tmp_path / "killed"
    every = {"training": {"checkpoint_every_n_steps": 3}}
    settings = tmp_path / "slow.json"
    slow = {"jobs": [job | every | {"folder": str(killed)}], "slowness_s": 0.3}
    settings.write_text(json.dumps(slow))
    # In the second epoch, after a state within it.
    enough = steps_an_epoch + 5
    with started(4, settings) as processes:
        wait(processes, lambda: max(samples(killed), default=0) >= enough)
        for process in processes:
            process.send_signal(signal.SIGKILL)
    state = torch.load(killed / "state.ckpt", weights_only=True)
    saved_step = state["global_step"]
    assert steps_an_epoch < saved_step < steps_an_epoch * 2
    assert saved_step <= max(samples(killed))

    for world_size in (2, 1):
        folder = tmp_path / f"resumed-{world_size}"
        shutil.copytree(killed, folder, ignore=shutil.ignore_patterns("rank-*"))
        settings.write_text(json.dumps({"jobs": [job | every | {"folder": str(folder)}]}))
        with started(world_size, settings) as processes:
            with recovery(f"kill -9 of four training processes, as {world_size}"):
                wait(processes, lambda folder=folder: samples(folder))
            end(processes)
        before = samples(killed, last_step=saved_step)
        after = samples(folder)
        assert min(after) == saved_step + 1
        assert before | after == expected
        torch.testing.assert_close(losses(folder), losses(tmp_path / "whole"), rtol=0, atol=1e-5)
