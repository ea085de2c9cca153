"""Batch-norm sees the samples of a share, and not those that make it as large as others."""

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config.model import LLRConfig
from landslide_dist.config.training import TrainingConfig
from landslide_dist.schema import UNLABELLED
from landslide_dist.training.fit import Outputs, fit
from landslide_dist.training.module import PatchModule


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3, padding=1))

    def forward(self, batch):
        return self.layers(batch.planes["image"][:, None])[:, 0]


class CrossEntropy:
    weights = torch.ones(1, dtype=torch.float64)

    def counts(self, target):
        return (target != UNLABELLED).sum(dtype=torch.float64)[None]

    def sums(self, model, batch):
        labelled = batch.target != UNLABELLED
        logits, target = model(batch)[labelled].double(), batch.target[labelled].double()
        return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")[None]


def share(num_real, num_padding):
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(4, 8, 8, generator=generator)[:num_real]
    target = (image > 0.5).to(torch.uint8)
    return Batch(
        {"image": F.pad(image, (0, 0, 0, 0, 0, num_padding), value=9.0)},
        F.pad(target, (0, 0, 0, 0, 0, num_padding), value=UNLABELLED),
        F.pad(torch.arange(num_real * 2).reshape(-1, 2), (0, 0, 0, num_padding), value=-1),
        context_px=0,
    )


class OneBatch(pl.LightningDataModule):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __iter__(self):
        return iter([self.batch])

    def train_dataloader(self):
        return self

    def val_dataloader(self):
        return self


def trained(batch, folder):
    torch.manual_seed(0)
    network, config = Network(), LLRConfig(kind="llr", epochs=1)
    module = PatchModule(network, CrossEntropy(), config, micro_batch_size=2)
    outputs = Outputs(folder, lambda: None, "a", quiet=True)
    fit(module, OneBatch(batch), TrainingConfig(accelerator="cpu"), outputs)
    return network.state_dict()


@pytest.mark.parametrize("num_real", [1, 3])
def test_padding_changes_nothing(num_real, tmp_path):
    padded, alone = (trained(share(num_real, n), tmp_path / str(n)) for n in (2, 0))
    torch.testing.assert_close(padded, alone)


def test_a_share_of_padding_alone_still_has_a_step():
    batch = share(0, 2).without_padding()
    assert len(batch) == 1
    assert set(batch.target.unique().tolist()) == {UNLABELLED}
    assert len(share(3, 2).without_padding()) == 3
