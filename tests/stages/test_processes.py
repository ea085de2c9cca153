"""The command line with several training processes on this machine."""

import json

import pytest


@pytest.mark.long
def test_a_run_of_two_processes_has_the_scores_of_one(command_line, smoke):
    """They are started by the first training; what one process writes is written once."""
    models = smoke["models"]
    smoke["models"] = {name: models[name] for name in ("naive", "llr", "lann", "lacnn")}
    smoke["experiment"] = {"splits": ["random"], "window_px": 64}
    config = command_line.write(smoke)
    scores = {}
    for processes in (1, 2):
        place = f"runs/{processes}"
        settings = (f"run_dir={place}", f"cube.location={place}/cube.zarr",
                    f"training.devices={processes}", "training.accelerator=cpu")  # fmt: skip
        overrides = [word for setting in settings for word in ("--set", setting)]
        done = command_line("run", config, *overrides)
        assert done.stderr.count("lacnn    epoch 1/1") == 1
        assert done.stdout.count("scores of the labelled pixels") == 1
        done = command_line("experiment", config, *overrides)
        assert done.stdout.count("Test and training error") == 1
        scores[processes] = [
            json.loads((command_line.folder / place / name).read_text())
            for name in ("metrics.json", "experiment.json")
        ]
    assert flat(scores[2]) == pytest.approx(flat(scores[1]), rel=1e-3, abs=1e-4)


def flat(node):
    """All numbers of nested dicts and lists, in order."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        return [number for child in node for number in flat(child)]
    return [node] if isinstance(node, int | float) else []


@pytest.mark.parametrize(
    ("stage", "environment"),
    [
        ("run", {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "GROUP_RANK": "0"}),
        ("experiment", {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0"}),
    ],
)
def test_stages_that_prepare_data_are_not_started_several_times(
    command_line, smoke, stage, environment
):
    smoke["experiment"] = {}
    command_line.environment |= environment
    done = command_line(stage, command_line.write(smoke), status=2)
    assert f"{stage} was started as several processes" in done.stderr
    assert "start it once with training.devices" in done.stderr
    assert not (command_line.folder / "runs").exists()
