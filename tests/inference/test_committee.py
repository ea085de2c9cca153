"""Means and spreads of several predictions."""

import numpy as np
import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.categories import synthetic
from landslide_dist.config.channels import Channels
from landslide_dist.config.model import CNNConfig, LANNConfig, LLRConfig
from landslide_dist.config.predict import PredictConfig
from landslide_dist.grid import Window
from landslide_dist.inference.committee import Committee, Member, crop, num_draws
from landslide_dist.inference.predictor import TiledPredictor
from landslide_dist.models import build_model
from landslide_dist.patches.reader import HostReader

SHAPE = (70, 90)
WHOLE = Window(0, 0, *SHAPE)
CONFIGS = (
    LLRConfig(kind="llr"),
    LANNConfig(kind="lann", hidden=(8, 4)),
    CNNConfig(kind="cnn", widths=(4, 6, 8)),
)


@pytest.fixture(scope="module")
def models():
    torch.manual_seed(1)
    built = []
    for config in CONFIGS:
        model = build_model(
            config,
            Channels(synthetic()),
            {"slope": (10.0, 5.0), "elevation": (500.0, 100.0)},
            {30: 3, 100: 10},
            0.2,
            ("slope", "elevation"),
        )
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        built.append(model.eval())
    return built


@pytest.fixture(scope="module")
def reader(models):
    rng = np.random.default_rng(0)
    planes = {name: rng.integers(1, 3, SHAPE, dtype=np.uint8) for name in synthetic()}
    planes["slope"] = rng.uniform(0, 30, SHAPE).astype(np.float32)
    planes["elevation"] = rng.uniform(300, 700, SHAPE).astype(np.float32)
    planes["elevation"][:5, :5] = np.nan
    planes["uphill"] = rng.integers(0, 16, (2, *SHAPE), dtype=np.uint8)
    return HostReader(planes)


def predict(committee, reader, window=WHOLE, **settings):
    predictor = TiledPredictor.of(committee, reader, PredictConfig(tile_px=32, **settings))
    return predictor.predict(window, predictor.read(window))


def test_an_ensemble_is_the_mean_of_models_that_look_differently_far(models, reader):
    together = predict(Committee([Member(model) for model in models]), reader)
    alone = [predict(Committee([Member(model)]), reader).probability for model in models]
    np.testing.assert_allclose(together.probability, np.mean(alone, axis=0), atol=1e-6)
    np.testing.assert_allclose(together.std, np.std(alone, axis=0), atol=1e-6)
    assert np.nanmin(np.std(alone, axis=0)) < np.nanmax(together.std)
    assert np.isnan(together.std[:5, :5]).all()


def test_one_prediction_has_no_spread(models, reader):
    committee = Committee([Member(models[0])])
    assert np.nanmax(predict(committee, reader).std) == 0


def test_a_temperature_divides_logits(models, reader):
    plain = predict(Committee([Member(models[0])]), reader).probability
    cool = predict(Committee([Member(models[0], 2.0)]), reader).probability
    logits = np.log(plain) - np.log1p(-plain)
    np.testing.assert_allclose(cool, 1 / (1 + np.exp(-logits / 2)), atol=1e-6)


@pytest.fixture
def dropping(models):
    block = models[2].network.down[0]
    block[-1].p = 0.5
    yield models[2].eval()
    block[-1].p = 0.0


def test_dropout_draws_depend_on_the_block_and_the_seed_alone(dropping, reader):
    committee = Committee([Member(dropping)], dropout_draws=5)
    whole = Window(0, 0, 64, 64)
    first = predict(committee, reader, whole)
    torch.manual_seed(99)
    again = predict(committee, reader, whole)
    np.testing.assert_array_equal(first.probability, again.probability)
    np.testing.assert_array_equal(first.std, again.std)
    assert np.nanmean(first.std) > 0.001
    other = predict(committee, reader, whole, seed=1)
    assert not np.array_equal(first.std, other.std, equal_nan=True)
    assert not dropping.network.down[0][-1].training


def test_dropout_draws_leave_the_random_numbers_of_others_alone(dropping, reader):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    predict(Committee([Member(dropping)], dropout_draws=2), reader)
    torch.testing.assert_close(torch.rand(3), expected)


def test_a_model_without_dropout_predicts_once(models, dropping, reader):
    assert num_draws(models[0], 5) == 1
    assert num_draws(dropping, 5) == 5
    assert num_draws(dropping, 0) == 1
    assert np.nanmax(predict(Committee([Member(models[0])], 5), reader).std) == 0


def test_less_context_is_cropped_evenly():
    planes = {"slope": torch.arange(100.0).reshape(1, 10, 10)}
    batch = Batch(planes, torch.zeros(1, 4, 4), torch.zeros(1, 2), 3)
    less = crop(batch, 1)
    assert less.context_px == 1
    torch.testing.assert_close(less.planes["slope"], planes["slope"][:, 2:8, 2:8])
    assert crop(batch, 3) is batch
