"""Every kind of model: its size, how it starts, what it refuses."""

from itertools import pairwise

import pytest
import torch

from landslide_dist.config.model import (
    AlignedFeatures,
    CNNConfig,
    LACNNConfig,
    LANNConfig,
    LLRConfig,
    NaiveConfig,
    paper_models,
)
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.models import aligned_features, build_model, reach_of
from landslide_dist.tasks.losses import nll_sum

STATISTICS = {"slope": (15.0, 8.0), "elevation": (600.0, 250.0)}
LOOKING_PX = {30: 3, 100: 10, 300: 30}


def num_weights(model):
    return sum(parameter.numel() for parameter in model.parameters())


def pixel_weights(*widths):
    return sum((i + 1) * o for i, o in pairwise(widths))


def test_sizes_of_the_published_models(channels):
    features = channels.names[:22]
    models = {
        name: build_model(config, channels, STATISTICS, LOOKING_PX, 0.013, features)
        for name, config in paper_models().items()
    }
    assert num_weights(models["naive"]) == num_weights(models["random"]) == 0
    assert num_weights(models["llr"]) == 94 + 1
    assert num_weights(models["nn"]) == pixel_weights(94, 64, 32, 1)
    assert num_weights(models["lann"]) == pixel_weights(160, 64, 32, 1)
    assert num_weights(models["lacnn"]) - num_weights(models["cnn"]) == 66 * 16 * 9
    for name, config in paper_models().items():
        assert reach_of(config, LOOKING_PX) == models[name].halo_px + models[name].reach_px
    assert [reach_of(c, LOOKING_PX) for c in paper_models().values()] == [0, 0, 0, 0, 30, 122, 152]
    assert models["lacnn"].exact_context_px == 30 + 128
    assert models["lann"].exact_context_px == 30


@pytest.mark.parametrize("kind", ["llr", "nn", "lann", "cnn", "lacnn"])
def test_training_starts_at_the_share_and_reaches_every_weight(kind, make, region):
    model = make(kind=kind, randomise=False).train()
    batch = region.cut([(8, 8, 40, 40)], 8)
    logits = model(batch)
    assert float(logits.detach().median().sigmoid()) == pytest.approx(0.013, rel=1.0)
    target = (torch.rand(batch.target.shape) < 0.3).to(torch.uint8)
    nll_sum(logits, target)[0].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_llr_starts_as_the_naive_baseline(make, region):
    logits = make(kind="llr", randomise=False)(region.whole(0))
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.013))


def test_aligned_features_are_the_large_weights(channels):
    llr = build_model(LLRConfig(kind="llr"), channels, STATISTICS, LOOKING_PX, 0.013)
    weights = llr.network.output.weight.data
    weights[0, 3], weights[0, 0], weights[0, 93] = -0.2, 0.5, 0.19
    smallest = float(weights[0, 3].abs())
    assert aligned_features(llr, smallest) == (channels.names[0], channels.names[3])
    with pytest.raises(ConfigError, match=r"min_weight 0\.6: the largest is 0\.5, of 'slope'"):
        aligned_features(llr, 0.6)


def test_aligned_features_come_from_an_llr_alone(channels):
    naive = build_model(NaiveConfig(kind="naive"), channels, STATISTICS, LOOKING_PX, 0.013)
    with pytest.raises(ConfigError, match="not from a model of kind 'naive'"):
        aligned_features(naive, 0.2)


def test_a_list_in_the_config_is_used_where_none_is_given(channels):
    config = LANNConfig(kind="lann", aligned=AlignedFeatures(features=("slope",)))
    model = build_model(config, channels, STATISTICS, LOOKING_PX, 0.013)
    assert model.recipe.aligned_features == ("slope",)
    assert len(model.encoder.names) == 94 + 3


@pytest.mark.parametrize(
    ("features", "radii_px", "message"),
    [
        (None, LOOKING_PX, "lann has no aligned features"),
        ((), LOOKING_PX, "is empty or names a channel twice"),
        (("slope", "slope"), LOOKING_PX, "is empty or names a channel twice"),
        (("lithology=clai",), LOOKING_PX, r"'lithology=clai' is not .* mean 'lithology=clay'\?"),
        (("slope",), {}, "looking_distances_m"),
    ],
)
def test_wrong_aligned_features(channels, features, radii_px, message):
    with pytest.raises(ConfigError, match=message):
        build_model(LANNConfig(kind="lann"), channels, STATISTICS, radii_px, 0.01, features)


def test_a_network_without_levels(channels):
    config = CNNConfig(kind="cnn", widths=())
    with pytest.raises(ConfigError, match=r"widths \(\) of cnn"):
        build_model(config, channels, STATISTICS, LOOKING_PX, 0.01)
    with pytest.raises(ConfigError, match=r"widths \(\) of cnn"):
        reach_of(config, LOOKING_PX)


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_a_share_that_cannot_be_trained_on(channels, share):
    with pytest.raises(DataError, match="share of landslides"):
        build_model(LLRConfig(kind="llr"), channels, STATISTICS, LOOKING_PX, share)


def test_statistics_that_cannot_standardise(channels):
    constant = {**STATISTICS, "slope": (3.0, 0.0)}
    with pytest.raises(DataError, match="'slope' has mean 3 and standard deviation 0"):
        build_model(LLRConfig(kind="llr"), channels, constant, LOOKING_PX, 0.01)
    with pytest.raises(ConfigError, match="'elevation' has no mean"):
        build_model(LLRConfig(kind="llr"), channels, {"slope": (3.0, 1.0)}, LOOKING_PX, 0.01)


def some_distances(*distances_m, kind=LANNConfig):
    aligned = AlignedFeatures(features=("slope",), looking_distances_m=distances_m or None)
    return kind(kind=kind.model_fields["kind"].annotation.__args__[0], aligned=aligned)


@pytest.mark.parametrize(
    ("distances_m", "radii_px"),
    [((), (3, 10, 30)), ((300, 30), (3, 30)), ((100,), (10,)), ((30, 100, 300), (3, 10, 30))],
)
def test_a_model_looks_at_the_distances_it_names(channels, distances_m, radii_px):
    config = some_distances(*distances_m)
    model = build_model(config, channels, STATISTICS, LOOKING_PX, 0.013)
    assert model.recipe.radii_px == (3, 10, 30)
    assert model.recipe.aligned_radii_px == radii_px
    assert model.reach_px == reach_of(config, LOOKING_PX) == max(radii_px)
    assert len(model.encoder.names) == 94 + len(radii_px)
    deep = some_distances(*distances_m, kind=LACNNConfig)
    assert reach_of(deep, LOOKING_PX) == 122 + max(radii_px)


def test_a_distance_that_the_cube_does_not_have(channels):
    message = r"lann: looking distance 50 m is not among the cube's \(30, 100, 300 m\)"
    with pytest.raises(ConfigError, match=message):
        build_model(some_distances(30, 50), channels, STATISTICS, LOOKING_PX, 0.013)
    with pytest.raises(ConfigError, match=message):
        reach_of(some_distances(30, 50), LOOKING_PX)
    with pytest.raises(ConfigError, match=r"\[30\.0, 30\.0\] name one twice"):
        reach_of(some_distances(30, 30), LOOKING_PX)
