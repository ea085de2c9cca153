"""Exported files predict what the model predicts, on sizes that they were not exported with."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.event_channels import EventChannels
from landslide_dist.config.model import ResUNetConfig
from landslide_dist.errors import ConfigError
from landslide_dist.models import build_model
from landslide_dist.models.export import CARD, card, read_card, save_onnx, save_program, to_program

METADATA = {"looking_distances_m": [20.0, 50.0], "pixel_m": 10.0, "model_hash": "abc"}
TEMPERATURE = 1.7
MODELS = {
    "llr": {"kind": "llr"},
    "lann": {"kind": "lann", "hidden": (6, 5)},
    "cnn": {"kind": "cnn", "widths": (4, 6, 8)},
    "lacnn": {"kind": "lacnn", "widths": (4, 6)},
}
#: Cores on the pooling grid, of other sizes than the exported example; some reach over the edge.
CORES = (
    [(0, 0, 20, 32)],
    [(8, 12, 16, 16), (40, 60, 16, 16), (64, 84, 16, 16)],
    [(4, 4, 4, 44), (20, 40, 4, 44)],
)


def batches(model, region, uphill_dtype=torch.uint8):
    for cores in CORES:
        batch = region.cut(cores, model.exact_context_px)
        planes = {name: batch.planes[name] for name in model.inputs}
        if uphill_dtype == torch.uint16 and "uphill" in planes:
            narrow = planes["uphill"].to(torch.int32)
            planes["uphill"] = torch.where(narrow == 255, 65535, narrow).to(torch.uint16)
        yield Batch(planes, batch.target, batch.origin, batch.context_px)


def expected(model, batch):
    with torch.no_grad():
        return torch.sigmoid(model(batch) / TEMPERATURE).numpy()


# Tracing takes many seconds.
@pytest.mark.parametrize(
    ("kind", "uphill_dtype"),
    [
        ("llr", torch.uint8),
        *(
            pytest.param(kind, dtype, marks=pytest.mark.slow)
            for kind, dtype in (
                ("lann", torch.uint8),
                ("cnn", torch.uint8),
                ("lacnn", torch.uint8),
                ("lann", torch.uint16),
            )
        ),
    ],
)
def test_both_files_equal_the_model(kind, uphill_dtype, make, region, tmp_path):
    model = make(**MODELS[kind])
    program = to_program(model, uphill_dtype, TEMPERATURE)
    description = card(model, METADATA, TEMPERATURE)
    save_program(tmp_path / "model.pt2", program, description)
    save_onnx(tmp_path / "model.onnx", program, description)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.pt2"]
    extra = {CARD: ""}
    loaded = torch.export.load(tmp_path / "model.pt2", extra_files=extra).module()
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    assert [i.name for i in session.get_inputs()] == list(model.inputs)
    for batch in batches(model, region, uphill_dtype):
        with torch.no_grad():
            of_torch = loaded(batch.planes).numpy()
        np.testing.assert_allclose(of_torch, expected(model, batch), atol=1e-5)
        feed = {name: plane.numpy() for name, plane in batch.planes.items()}
        (of_onnx,) = session.run(["probability"], feed)
        np.testing.assert_allclose(of_onnx, expected(model, batch), atol=1e-5)
    card_of_onnx = session.get_modelmeta().custom_metadata_map[CARD]
    assert json.loads(extra[CARD]) == json.loads(card_of_onnx)
    told = json.loads(card_of_onnx)
    assert read_card(tmp_path / "model.pt2") == read_card(tmp_path / "model.onnx") == told
    assert told["temperature"] == TEMPERATURE
    assert told["exact_context_px"] == model.exact_context_px
    assert told["stride_px"] == model.stride_px
    assert told["inputs"] == list(model.inputs)
    assert told["channels"] == list(model.encoder.names)
    assert told["recipe"]["statistics"] == {"slope": [15.0, 8.0], "elevation": [600.0, 250.0]}
    assert told["looking_distances_m"] == [20.0, 50.0]


@pytest.mark.parametrize("name", ["model.pt2", "model.onnx"])
def test_a_file_without_a_card_tells_nothing(name, tmp_path):
    (tmp_path / name).write_bytes(b"something else")
    assert read_card(tmp_path / name) == {}


def test_a_baseline_has_nothing_to_export(make):
    with pytest.raises(ConfigError, match="kind 'naive' has no weights"):
        to_program(make(kind="naive"), torch.uint8)


@pytest.mark.slow
def test_a_model_of_events_is_exported_with_its_terrain(tmp_path):
    """Slope, hillshade, normalisation and masks are inside; images may have holes."""
    channels = EventChannels(("red", "green"), 10.0)
    statistics = dict.fromkeys(channels.images, (1500.0, 400.0)) | {"slope": (20.0, 8.0)}
    config = ResUNetConfig(kind="resunet", widths=(4, 6))
    model = build_model(config, channels, statistics, {}, 0.1).eval()
    metadata = METADATA | {"looking_distances_m": []}
    program = to_program(model, torch.uint8, TEMPERATURE)
    description = card(model, metadata, TEMPERATURE)
    save_program(tmp_path / "model.pt2", program, description)
    save_onnx(tmp_path / "model.onnx", program, description)
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    random = torch.Generator().manual_seed(0)
    for num, height, width in ((1, 16, 8), (3, 12, 20)):
        around = 2 * model.exact_context_px
        shape = (num, height + around, width + around)
        planes = {
            name: torch.randint(0, 4000, shape, generator=random).to(torch.uint16)
            for name in channels.images
        }
        planes["elevation"] = torch.rand(shape, generator=random).cumsum(1).cumsum(2)
        planes["pre_red"][:, 3:6, 3:6] = 0
        planes["elevation"][:, 9, 9] = torch.nan
        core = torch.zeros((num, height, width), dtype=torch.uint8)
        batch = Batch(planes, core, torch.zeros((num, 2)), model.exact_context_px)
        with torch.no_grad():
            of_torch = loaded(planes).numpy()
        np.testing.assert_allclose(of_torch, expected(model, batch), atol=1e-5)
        (of_onnx,) = session.run(
            ["probability"], {name: plane.numpy() for name, plane in planes.items()}
        )
        np.testing.assert_allclose(of_onnx, expected(model, batch), atol=1e-5)
