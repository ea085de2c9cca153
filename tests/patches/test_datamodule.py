import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.split import SplitConfig
from landslide_dist.errors import StoreError
from landslide_dist.grid import Grid, Window
from landslide_dist.patches.datamodule import PatchDataModule
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.ordered import Sampling
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.region import Region, RegionData

SHAPE = (95, 88)
GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, SHAPE[1] * 10, SHAPE[0] * 10))
CORE_PX = 10
INPUTS = ("elevation", "lithology", "uphill")
PARTS = SplitConfig().parts()


def region():
    """A region whose cores belong to parts in turn; elevation is the number of the pixel."""
    rng = np.random.default_rng(0)
    landslide = (rng.random(SHAPE) < 0.002).astype("uint8")
    landslide[:12, :30] = 255
    rows, columns = np.indices(SHAPE) // CORE_PX
    split = np.array([0, 0, 0, 1, 2], dtype="uint8")[(rows + columns) % 5]
    # Some pixels of each core belong to no part, as in a buffer.
    split[rng.random(SHAPE) < 0.2] = 255
    split[landslide == 255] = 255
    return {
        "elevation": np.arange(landslide.size, dtype="float32").reshape(SHAPE),
        "lithology": rng.integers(0, 5, SHAPE).astype("uint8"),
        "uphill": rng.integers(0, 16, (2, *SHAPE)).astype("uint8"),
        "landslide": landslide,
        "split": split,
    }


def datamodule(planes, parts=PARTS, context_px=3, residency="host", **sampling):
    reader = HostReader(planes)
    windows = list(GRID.windows(50))
    index = PatchIndex.build(reader, windows, SHAPE, CORE_PX, 3)
    region = Region(RegionData(reader, INPUTS, parts, SHAPE, windows), residency)
    settings = {"batch_size": 7, "oversample": 3, "num_lanes": 4, **sampling}
    return PatchDataModule(region, index, INPUTS, context_px, Sampling(**settings))


@pytest.fixture(scope="module")
def planes():
    return region()


def origins(batches):
    return [tuple(origin) for batch in batches for origin in batch.origin.tolist()]


def cores(values):
    """Cores with labels of a part, and whether a landslide of the part is in them."""
    planes = region()
    found = {}
    for window in GRID.windows(CORE_PX):
        mine = np.isin(planes["split"][window.slices], sorted(values))
        if mine.any():
            positive = (planes["landslide"][window.slices][mine] == 1).any()
            found[window.y0, window.x0] = bool(positive)
    return found


@pytest.mark.parametrize("residency", ["host", "stream"])
def test_planes_and_targets_are_those_of_the_region(planes, residency):
    reader = HostReader(planes)
    for batch in datamodule(planes, residency=residency).train_dataloader():
        assert set(batch.planes) == set(INPUTS)
        assert batch.context_px == 3
        assert batch.origin.dtype == torch.int64
        assert batch.target.dtype == torch.uint8
        for number, (y0, x0) in enumerate(batch.origin.tolist()):
            core = Window(y0, x0, CORE_PX, CORE_PX)
            context = reader.read(core.expand(3))
            for name in INPUTS:
                np.testing.assert_array_equal(batch.planes[name][number], context[name])
            labels = reader.read(core)
            target = np.where(labels["split"] == 0, labels["landslide"], 255)
            np.testing.assert_array_equal(batch.target[number], target)


def test_an_epoch_is_every_patch_and_its_copies(planes):
    batches = list(datamodule(planes).train_dataloader())
    expected = [c for c, positive in cores({0}).items() for _ in range(3 if positive else 1)]
    assert len(set(cores({0}).values())) == 2
    assert sorted(origins(batches)) == sorted(expected)
    assert [len(batch) for batch in batches[:-1]] == [7] * (len(batches) - 1)
    assert len(datamodule(planes).train_dataloader()) == len(batches)


def test_every_label_of_a_part_is_seen_once_in_validation_and_test(planes):
    data = datamodule(planes)
    for loader, value in ((data.val_dataloader(), 1), (data.test_dataloader(), 2)):
        batches = list(loader)
        assert sorted(origins(batches)) == sorted(cores({value}))
        labelled = sum(int((batch.target != 255).sum()) for batch in batches)
        assert labelled == (planes["split"] == value).sum()
        positive = sum(int((batch.target == 1).sum()) for batch in batches)
        assert positive == ((planes["split"] == value) & (planes["landslide"] == 1)).sum()


def test_epochs_differ_repeat_and_resume(planes):
    data = datamodule(planes)
    first = origins(data.train_dataloader())
    data.set_epoch(1)
    second = origins(data.train_dataloader())
    assert sorted(first) == sorted(second)
    assert first != second
    data.set_epoch(1, first_batch=2)
    assert origins(data.train_dataloader()) == second[14:]
    # Validation is always whole.
    assert origins(data.val_dataloader()) == list(cores({1}))
    data.set_epoch(0)
    assert origins(data.train_dataloader()) == first


def test_without_a_validation_part_there_is_no_loader(planes):
    parts = SplitConfig(folds=3, validation="none").parts()
    assert datamodule(planes, parts).val_dataloader() == []


@pytest.mark.parametrize("residency", ["host", "stream"])
def test_an_unfinished_loader_leaves_no_thread(planes, residency):
    iterator = iter(datamodule(planes, residency=residency).train_dataloader())
    next(iterator)
    iterator.close()
    assert not [t for t in threading.enumerate() if t.name.startswith(("cut", "decode"))]


@pytest.mark.parametrize("residency", ["host", "stream"])
def test_errors_of_the_reading_threads_arrive(planes, residency):
    data = datamodule(planes, residency=residency)
    data.region.data = replace(data.region.data, reader=Faulty(planes))
    with pytest.raises(StoreError, match="no longer"):
        list(data.train_dataloader())


class Faulty(HostReader):
    """Gives pixels, and fails on more."""

    def read(self, window, variables=None):
        if window.height > 1:
            raise StoreError("the store no longer answers")
        return super().read(window, variables)


class Recorder(pl.LightningModule):
    """Notes which patches Lightning hands over."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.automatic_optimization = False
        self.seen = {}

    def training_step(self, batch, batch_idx):
        assert isinstance(batch, Batch)
        self.seen.setdefault(("train", self.current_epoch), []).extend(origins([batch]))

    def validation_step(self, batch, batch_idx):
        self.seen.setdefault(("val", self.current_epoch), []).extend(origins([batch]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


# Lightning asks torch in a way that torch will give up.
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")
def test_lightning_takes_a_new_order_each_epoch(planes, tmp_path):
    data, module = datamodule(planes), Recorder()
    pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=1,
        default_root_dir=tmp_path,
    ).fit(module, datamodule=data)
    apart = datamodule(planes)
    for epoch in range(3):
        apart.set_epoch(epoch)
        assert module.seen["train", epoch] == origins(apart.train_dataloader())
        assert sorted(module.seen["val", epoch][-len(cores({1})) :]) == sorted(cores({1}))


RANK_1 = """
import json, sys
from tests.patches.test_datamodule import shares_of_rank
print(json.dumps(shares_of_rank(1, sys.argv[1])))
"""


def shares_of_rank(rank, store):
    """Origins of each batch, and which of them have a label."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    batches = list(datamodule(region()).train_dataloader())
    torch.distributed.destroy_process_group()
    return [(b.origin.tolist(), (b.target != 255).flatten(1).any(1).tolist()) for b in batches]


def test_two_ranks_share_the_same_global_batches(planes, tmp_path):
    store = str(tmp_path / "store")
    other = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", RANK_1, store],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    ranks = [shares_of_rank(0, store), json.loads(other.communicate(timeout=120)[0])]
    alone = list(datamodule(planes).train_dataloader())
    assert len(ranks[0]) == len(ranks[1]) == len(alone)
    for one, two, whole in zip(*ranks, alone, strict=True):
        assert len(one[0]) == len(two[0])
        taken = []
        for share, labelled in (one, two):
            taken += [tuple(o) for o, real in zip(share, labelled, strict=True) if real]
            # What fills up a share lies beyond the raster and has no label.
            padding = [o for o, real in zip(share, labelled, strict=True) if not real]
            assert all(max(origin) < -CORE_PX for origin in padding)
        assert sorted(taken) == sorted(origins([whole]))
