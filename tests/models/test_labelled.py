"""Training looks at labelled pixels alone; that must be what the whole core gives there."""

from dataclasses import replace

import pytest
import torch

from landslide_dist.schema import UNLABELLED


@pytest.mark.parametrize("kind", ["llr", "nn", "lann", "cnn", "lacnn"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.7, 1.0])
def test_labelled_logits_are_those_of_the_whole_core(region, make, kind, share):
    model = make(kind=kind, **({"widths": (4, 8)} if "cnn" in kind else {}))
    batch = region.cut([(0, 0, 40, 40), (30, 50, 40, 40), (60, 80, 40, 40)], 16)
    torch.manual_seed(1)
    label = torch.rand(batch.target.shape) < share
    target = torch.where(label, 1, UNLABELLED).to(torch.uint8)
    batch = replace(batch, target=target)
    torch.testing.assert_close(
        model.labelled_logits(batch), model(batch)[label], rtol=1e-4, atol=1e-5
    )
