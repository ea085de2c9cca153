"""``export`` and ``explain`` through the real command line."""

import json

import numpy as np
import onnxruntime
import pytest
import rasterio
import torch
from rio_cogeo import cog_validate

from landslide_dist.config import load
from landslide_dist.errors import ConfigError
from landslide_dist.stages.derive import derive
from landslide_dist.stages.explain import explain
from landslide_dist.stages.export import export
from landslide_dist.stages.ingest import ingest
from landslide_dist.stages.place import Place, numbers
from landslide_dist.stages.predict import predict
from landslide_dist.stages.split import split
from landslide_dist.stages.train import train


@pytest.fixture
def trained(command_line, smoke, monkeypatch):
    """A run of three models whose maps are predicted, and its configuration file."""
    smoke["models"] = {name: smoke["models"][name] for name in ("naive", "llr", "lacnn")}
    smoke["models"]["llr"]["epochs"] = 1
    smoke["predict"]["cog"] = True
    smoke["publish"] = {"title": "Smoke", "end": "2020-12-31"}
    monkeypatch.chdir(command_line.folder)
    path = command_line.write(smoke)
    config = load(path)
    ingest(config, overwrite=False)
    derive(config)
    split(config, audit=False)
    train(config)
    predict(config)
    return path


@pytest.mark.slow
def test_export_and_explain(trained, command_line):
    run = command_line.folder / "runs" / "smoke"
    _check_export(trained, command_line, run)
    _check_explain(trained, command_line, run)
    _check_mistakes(load(trained))


def _check_export(config, command_line, run):
    command_line("export", config, "--model", "llr")
    folder = run / "export" / "llr"
    names = ["model.json", "model.onnx", "model.pt2", "prediction.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    program = torch.export.load(folder / "model.pt2").module()
    card = json.loads(session.get_modelmeta().custom_metadata_map["landslide_dist.json"])
    side = 2 * card["exact_context_px"] + 8 * card["stride_px"]
    rng = np.random.default_rng(0)
    feed = {}
    for entry in session.get_inputs():
        shape = (1, *(size if isinstance(size, int) else side for size in entry.shape[1:]))
        dtype = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}[entry.type]
        feed[entry.name] = rng.integers(0, 4, shape).astype(dtype)
    (of_onnx,) = session.run(None, feed)
    of_torch = program({name: torch.from_numpy(plane) for name, plane in feed.items()})
    np.testing.assert_allclose(of_onnx, of_torch.detach().numpy(), atol=1e-5)
    model = json.loads((folder / "model.json").read_text())
    assert set(model["assets"]) == {"checkpoint", "torch", "onnx"}
    assert model["properties"]["title"] == "Smoke"
    prediction = json.loads((folder / "prediction.json").read_text())
    assert set(prediction["assets"]) == {"zarr", "probability"}
    for asset in (*model["assets"].values(), *prediction["assets"].values()):
        assert (folder / asset["href"]).exists()
    folder = export(load(config), "lacnn", ("stac",))
    assert {path.name for path in folder.iterdir()} == {"model.json", "prediction.json"}


def _check_explain(config, command_line, run):
    with rasterio.open(run / "predictions" / "lacnn.tif") as whole:
        x0, y0 = whole.xy(60, 50, offset="ul")
        x1, y1 = whole.xy(110, 130, offset="ul")
        crs = whole.crs
    window = f"{x0},{y1},{x1},{y0}"
    done = command_line("explain", config, "--model", "lacnn", "--window", window, "--repeats", "2")
    assert "NLL rise" in done.stdout
    folder = run / "explain" / "lacnn"
    of_window = folder / "_".join(str(round(value)) for value in (x0, y1, x1, y0))
    with rasterio.open(of_window / "gradients.tif") as file:
        assert file.descriptions[0] == "total"
        assert "elevation" in file.descriptions
        assert "uphill 100 m" in file.descriptions
        assert file.crs == crs
        assert file.bounds == (x0, y1, x1, y0)
        bands = file.read()
    np.testing.assert_allclose(np.nansum(bands[1:], axis=0), np.nan_to_num(bands[0]), atol=1e-4)
    assert cog_validate(of_window / "gradients.tif", strict=True)[0]
    with rasterio.open(of_window / "grad_cam.tif") as file:
        assert file.descriptions == ("level 0, cells of 10 m", "level 1, cells of 20 m")
        assert file.shape == bands.shape[1:]
    numbers = json.loads((of_window / "gradients.json").read_text())
    difference = numbers["log_odds"] - numbers["baseline"]
    assert sum(numbers["sums"].values()) == pytest.approx(difference, abs=0.02 * abs(difference))
    importance = json.loads((folder / "importance_validation.json").read_text())
    assert "slope" in importance["groups"]
    assert len(importance["groups"]["slope"]["nll_rise"]["repeats"]) == 2
    for picture in ("gradients.png", "grad_cam.png"):
        assert (of_window / picture).stat().st_size > 10_000
    assert (folder / "importance_validation.png").exists()
    place = Place(at=((x0 + x1) / 2, (y0 + y1) / 2), side_m=300)
    explain(load(config), "llr", place, ("gradients",))
    (only,) = (run / "explain" / "llr").iterdir()
    assert sorted(p.name for p in only.iterdir()) == [
        "gradients.json", "gradients.png", "gradients.tif",
    ]  # fmt: skip
    assert json.loads((only / "gradients.json").read_text())["pixels"] == 1


def _check_mistakes(config):
    nowhere = Place(bounds=(1, 2, 3, 4))
    for call, message in (
        (lambda: explain(config, "llr", methods=("grad-cam",)), "convolutions and llr has none"),
        (lambda: explain(config, "llr", methods=("shap",)), "'shap' is not one of gradients"),
        (lambda: explain(config, "llr", nowhere, ("gradients",)), "holds no pixel of the region"),
        (lambda: explain(config, "llr", methods=("importance",), part="a"), "is not a part of the"),
        (lambda: explain(config, "naive"), "is a baseline of kind 'naive'"),
        (lambda: export(config, "cnn"), "is not in the run"),
        (lambda: export(config, "llr", ("tflite",)), "'tflite' is not one of torch, onnx, stac"),
        (lambda: numbers("--window", "1,2,3", 4), "is not 4 numbers"),
        (lambda: numbers("--window", "1,2,inf,4", 4), "is not 4 numbers"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()
