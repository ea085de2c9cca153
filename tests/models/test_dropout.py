"""Dropout by the keys of samples."""

from dataclasses import replace

import pytest
import torch

from landslide_dist.models.dropout import SampleDropout2d


def test_a_sample_loses_the_same_maps_whatever_is_beside_it():
    dropout = SampleDropout2d(0.3, layer=2).train()
    features = torch.ones(4, 50, 3, 3)
    keys = torch.tensor([11, 12, 13, 14])
    dropout.keys = keys
    together = dropout(features)
    for sample in range(4):
        dropout.keys = keys[sample : sample + 1]
        torch.testing.assert_close(dropout(features[:1])[0], together[sample])
    assert together.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert not torch.equal(together[0], together[1])
    assert (together.amax((-2, -1)) == together.amin((-2, -1))).all()


def test_the_share_that_is_dropped_and_layers_that_differ():
    features = torch.ones(100, 100, 1, 1)
    layers = [SampleDropout2d(0.2, layer).train() for layer in (0, 1)]
    kept = []
    for layer in layers:
        layer.keys = torch.arange(100)
        kept.append(layer(features) > 0)
    assert float(kept[0].double().mean()) == pytest.approx(0.8, abs=0.02)
    both = float((kept[0] & kept[1]).double().mean())
    assert both == pytest.approx(0.64, abs=0.02)


def test_nothing_is_dropped_in_evaluation():
    dropout = SampleDropout2d(0.5, 0).eval()
    dropout.keys = torch.tensor([1])
    features = torch.rand(1, 8, 2, 2)
    assert dropout(features) is features


def test_a_model_drops_by_the_keys_of_its_batch_however_it_is_cut(region, make):
    model = make(kind="cnn", widths=(4, 6, 8), dropout=0.4).train()
    cores = [(0, 0, 16, 16), (16, 16, 16, 16), (0, 0, 16, 16)]
    batch = replace(region.cut(cores, 8), key=torch.tensor([5, 6, 5]))
    with torch.no_grad():
        together = model(batch)
        torch.manual_seed(1)
        apart = torch.cat([model(piece) for piece in batch.micro_batches(1)])
    torch.testing.assert_close(apart, together)
    torch.testing.assert_close(together[0], together[2])
    with torch.no_grad():
        other = model(replace(batch, key=torch.tensor([7, 8, 9])))
    assert not torch.allclose(other, together)
