"""Checkpoints of other runs: mapped with, or trained on from, where they mean the same."""

import pytest
import torch

from landslide_dist.config.load import validate
from landslide_dist.errors import DataError
from landslide_dist.models import checkpoint
from landslide_dist.stages.derive import derive
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.predict import predict
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train

from .conftest import SMOKE

LLR = {"kind": "llr", "epochs": 1, "learning_rate": 0.05}
CNN = {"kind": "cnn", "epochs": 1, "widths": [4, 8], "learning_rate": 0.01}
LANN = {"kind": "lann", "epochs": 1, "hidden": [4], "aligned": {"features": ["slope"]}}


def config(folder, name="run", models=None, **changes):
    """A run on the one cube of the folder."""
    tree = {
        **SMOKE,
        "name": name,
        "run_dir": f"{folder}/{name}",
        "cube": {**SMOKE["cube"], "location": f"{folder}/cube.zarr"},
        "models": models or {"llr": LLR, "cnn": CNN, "lann": LANN},
        **changes,
    }
    return validate(tree, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    run = config(folder)
    for stage in (ingest, derive, split, train):
        stage(run)
    return folder


def of_run(folder, name):
    return str(folder / "run" / "models" / name / "best.ckpt")


def changed(folder, model, name, change):
    """A model's checkpoint as another region would have left it."""
    bundle = torch.load(of_run(folder, model), weights_only=True)
    change(bundle["metadata"])
    path = folder / f"{name}.ckpt"
    torch.save(bundle, path)
    return str(path)


def swap_codes(metadata):
    codes = metadata["channels"]["categorical"]["lithology"]["codes"]
    codes["6"], codes["8"] = codes["8"], codes["6"]


def forget_unknown(metadata):
    metadata["channels"]["categorical"]["rock_family"]["unknown"] = None


def look_further(metadata):
    metadata["looking_distances_m"][0] += 5


def start(folder, model, path, **settings):
    """Train from a checkpoint, in a run of its own."""
    models = {"llr": LLR, "cnn": CNN, "lann": LANN}
    other = {model: {**models[model], **settings, "init_from": path}}
    run = config(folder, "start", other)
    split(run)
    train(run)
    return checkpoint.load(folder / "start" / "models" / model / "best.ckpt")[0]


def test_a_map_by_a_model_of_other_codes_is_refused(folder):
    def drawn(path):
        ensembles = {"two": [path, of_run(folder, "cnn")]}
        predict(config(folder, predict={"ensembles": ensembles, "cog": False}), ["two"])

    drawn(changed(folder, "llr", "same", lambda metadata: None))
    with pytest.raises(DataError, match=r"code 6 of 'lithology' is '.+' in this cube but '.+' to"):
        drawn(changed(folder, "llr", "swapped", swap_codes))


@pytest.mark.parametrize("model", ["llr", "cnn", "lann"])
def test_training_goes_on_from_a_model_of_the_same_channels(folder, model):
    trained = checkpoint.load(of_run(folder, model))[0]
    started = start(folder, model, of_run(folder, model), learning_rate=1e-12)
    for name, weight in trained.state_dict().items():
        torch.testing.assert_close(started.state_dict()[name], weight, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        ("llr", swap_codes, "channel 2 is 'lithology=.+' there but 'lithology=.+' in this run"),
        (
            "llr",
            forget_unknown,
            "channel .+ is 'rock_family=.+' there but 'rock_family=.+ or no value'",
        ),
        ("lann", look_further, "channel 27 is 'slope, uphill 35 m' there but 'slope, uphill 30 m'"),
    ],
)
def test_training_does_not_start_from_other_channels(folder, model, change, message):
    path = changed(folder, model, "other", change)
    with pytest.raises(DataError, match=f"init_from '{path}': {message}"):
        start(folder, model, path)


def test_training_does_not_start_from_weights_of_another_shape(folder):
    for model, path in (("cnn", of_run(folder, "llr")), ("llr", of_run(folder, "cnn"))):
        with pytest.raises(DataError, match=f"init_from '{path}': its weights do not fit"):
            start(folder, model, path)
    path = of_run(folder, "cnn")
    with pytest.raises(DataError, match=f"init_from '{path}': its weights do not fit .*size mism"):
        start(folder, "cnn", path, widths=[8, 16])
