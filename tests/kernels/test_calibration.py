"""Temperature scaling against the same likelihood on raw logits."""

import numpy as np
import pytest
import torch

from landslide_dist.errors import DataError
from landslide_dist.kernels import scores
from landslide_dist.kernels.calibration import at_temperature, fit_temperature
from landslide_dist.kernels.scores import ScoreCounts


@pytest.fixture(params=[0.4, 1.0, 3.0])
def drawn(request):
    """Labels drawn from logits that a model has multiplied: the temperature is known."""
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 1.5, 40_000)
    labels = rng.random(len(logits)) < 1 / (1 + np.exp(-logits))
    said = logits * request.param
    return said, labels, ScoreCounts.from_block(1 / (1 + np.exp(-said)), labels)


def test_it_is_the_temperature_of_the_highest_likelihood(drawn):
    said, labels, counts = drawn
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [log_t], max_iter=100, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
    )
    logits, target = torch.from_numpy(said), torch.from_numpy(labels.astype(float))

    def closure():
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits / log_t.exp(), target)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert fit_temperature(counts) == pytest.approx(
        log_t.exp().item(), rel=3e-4
    )  # few logits are clipped


def test_counts_at_a_temperature_are_those_of_scaled_logits(drawn):
    said, labels, counts = drawn
    expected = ScoreCounts.from_block(1 / (1 + np.exp(-said / 1.7)), labels)
    scaled = at_temperature(counts, 1.7)
    assert scaled.num_positive == counts.num_positive
    assert scores.nll(scaled) == pytest.approx(scores.nll(expected), abs=5e-5)
    assert scores.brier(scaled) == pytest.approx(scores.brier(expected), abs=1e-5)
    assert scores.auc(scaled) == pytest.approx(scores.auc(counts), abs=1e-4)


def test_calibration_error_falls(drawn):
    said, _, counts = drawn
    after = at_temperature(counts, fit_temperature(counts))
    assert scores.nll(after) <= scores.nll(counts) + 1e-9
    if abs(np.std(said) / 1.5 - 1) > 0.1:
        before = scores.expected_calibration_error(counts)
        assert scores.expected_calibration_error(after) < before / 3


def test_labels_of_one_kind_are_refused():
    counts = ScoreCounts.from_block(np.array([0.1, 0.2]), np.array([0, 0]))
    with pytest.raises(DataError, match="validation has 0 and 2"):
        fit_temperature(counts)
