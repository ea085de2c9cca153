from dataclasses import replace

import numpy as np
import pytest
import torch

from landslide_dist.errors import ConfigError
from landslide_dist.grid import Window
from landslide_dist.patches.planes import TARGET
from landslide_dist.patches.reader import GIB, HostReader, ZarrReader
from landslide_dist.patches.region import Region, RegionData

from .small import INPUTS, PARTS, SHAPE, WINDOWS, assert_equal, datamodule, planes, write

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def locations(tmp_path_factory):
    return write(str(tmp_path_factory.mktemp("region") / "cube.zarr"))


@pytest.fixture
def data(locations):
    return RegionData(ZarrReader(locations), INPUTS, PARTS, SHAPE, WINDOWS)


def test_the_size_is_that_of_the_inputs_and_a_target_for_each_part(data):
    held = planes()
    inputs = sum(held[name].nbytes for name in INPUTS)
    assert data.nbytes() == inputs + len(PARTS) * held["split"].nbytes
    layout = data.layout()
    assert list(layout) == [*INPUTS, "train", "validation", "test"]
    assert layout["uphill"] == ((3, *SHAPE), np.dtype("uint16"))
    assert layout["test"] == (SHAPE, np.dtype("uint8"))


def test_auto_takes_the_host_where_it_has_room_and_else_streams(data):
    fits = Region(data, host_memory_gib=data.nbytes() / GIB)
    assert fits.settle(CPU) == fits.residency == "host"
    small = Region(data, host_memory_gib=(data.nbytes() - 1) / GIB)
    assert small.settle(CPU) == small.residency == "stream"
    assert small.planes("train") is None


def test_nothing_is_loaded_before_it_is_settled_and_then_once(data):
    region = Region(data)
    assert region.residency is None
    assert region.planes("train") is None
    region.settle(CPU)
    kept = region.planes("train")
    region.data = replace(data, reader=None)
    assert region.settle(CPU) == "host"
    assert region.planes("train") is kept


def test_stream_is_streamed_though_there_is_room(data):
    region = Region(data, "stream")
    assert region.settle(CPU) == "stream"
    assert region.planes("train") is None


@pytest.mark.parametrize("wanted", ["host", "device"])
def test_a_place_without_room_is_refused(data, wanted):
    region = Region(data, wanted, host_memory_gib=0.0001)
    with pytest.raises(
        ConfigError,
        match=r"training.residency host needs 0.00 GiB .* there are 0.00; give "
        r"training.host_memory_gib or residency stream",
    ):
        region.settle(CPU)


def test_the_device_of_a_cpu_is_the_host(data):
    assert Region(data, "device").settle(CPU) == "host"


def test_kept_planes_are_those_of_the_store(data):
    region = Region(data)
    region.settle(CPU)
    held = planes()
    for part, values in PARTS.items():
        kept = region.planes(part)
        assert kept.window == Window(0, 0, *SHAPE)
        assert list(kept.tensors) == [*INPUTS, TARGET]
        for name in INPUTS:
            np.testing.assert_array_equal(kept.tensors[name], held[name])
        mine = np.isin(held["split"], sorted(values))
        target = np.where(mine, held["landslide"], 255)
        np.testing.assert_array_equal(kept.tensors[TARGET], target)
    # Inputs are there once for all parts.
    addresses = {region.planes(part).tensors["uphill"].data_ptr() for part in PARTS}
    assert len(addresses) == 1


def test_planes_that_are_in_memory_are_not_copied():
    reader = HostReader(planes())
    region = Region(RegionData(reader, INPUTS, PARTS, SHAPE, WINDOWS))
    assert region.settle(CPU) == "host"
    for name in INPUTS:
        kept = region.planes("train").tensors[name]
        assert kept.data_ptr() == reader.planes[name].ctypes.data


def test_batches_are_the_same_wherever_planes_are_kept(locations):
    loaders = {
        (residency, type(reader)): datamodule(reader, residency)
        for residency in ("host", "stream")
        for reader in (ZarrReader(locations), HostReader(planes()))
    }
    for part in ("train", "val", "test"):
        first, *others = (list(getattr(data, f"{part}_dataloader")()) for data in loaders.values())
        for batches in others:
            assert_equal(batches, first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_holds_the_planes_where_it_has_room(data, locations):
    device = torch.device("cuda")
    region = Region(data)
    assert region.settle(device) == "device"
    held = planes()
    for name, tensor in region.planes("train").tensors.items():
        assert tensor.device.type == "cuda"
        if name in INPUTS:
            np.testing.assert_array_equal(tensor.cpu(), held[name])
    on_device, streamed = (
        datamodule(ZarrReader(locations), place) for place in ("device", "stream")
    )
    on_device.device = streamed.device = device
    ours, theirs = (list(d.train_dataloader()) for d in (on_device, streamed))
    assert all(batch.target.is_cuda for batch in ours)
    # What is streamed is laid out for a copy that nobody waits for.
    assert all(batch.planes["uphill"].is_pinned() for batch in theirs)
    assert_equal([batch.to("cpu") for batch in ours], theirs)
