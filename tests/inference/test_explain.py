"""Attributions add up, look where the model looks, and permuted inputs cost what they are worth."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from landslide_dist.batch import Batch
from landslide_dist.config.categories import synthetic
from landslide_dist.config.channels import Channels
from landslide_dist.config.model import CNNConfig, LACNNConfig, LANNConfig, LLRConfig
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.errors import ConfigError, DataError
from landslide_dist.grid import Window
from landslide_dist.inference.explain import TOTAL, SeenWindow, grad_cam, integrated_gradients
from landslide_dist.inference.importance import (
    Labels,
    Shuffling,
    interval,
    permutation_importance,
)
from landslide_dist.inference.inputs import aligned, input_groups
from landslide_dist.kernels import scores
from landslide_dist.kernels.scores import ScoreCounts
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_indices
from landslide_dist.models import build_model
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.reader import HostReader
from landslide_dist.sources.synthetic import synthetic_grid, synthetic_sources

REGION = SyntheticSource(seed=4, height=150, width=170, base_rate=0.2)
LOOKING_PX = {30.0: 3, 100.0: 10}
CPU = torch.device("cpu")
#: Not on the pooling grid.
WINDOW = Window(33, 51, 22, 27)
CONFIGS = {
    "llr": LLRConfig(kind="llr"),
    "lann": LANNConfig(kind="lann", hidden=(6, 5)),
    "cnn": CNNConfig(kind="cnn", widths=(4, 6, 8)),
    "lacnn": LACNNConfig(kind="lacnn", widths=(4, 6, 8)),
}


@pytest.fixture(scope="module")
def reader():
    grid = synthetic_grid(REGION)
    whole = Window(0, 0, *grid.shape)
    planes = {name: s.read(whole) for name, s in synthetic_sources(REGION).items()}
    planes["elevation"][40:44, 60:70] = np.nan
    planes["slope"] = slope(planes["elevation"], grid.pixel_m)
    planes["uphill"] = uphill_indices(
        planes["elevation"], tuple(LOOKING_PX.values()), np.dtype("uint8")
    )
    planes["split"] = np.zeros(grid.shape, np.uint8)
    planes["split"][:70] = 1
    planes["split"][np.isnan(planes["elevation"])] = 255
    return HostReader(planes)


@pytest.fixture(scope="module")
def make(reader):
    mean_std = {
        name: (float(np.nanmean(reader.planes[name])), float(np.nanstd(reader.planes[name])))
        for name in ("slope", "elevation")
    }

    def build(kind):
        torch.manual_seed(0)
        channels = Channels(synthetic())
        features = ("slope", "elevation")
        model = build_model(CONFIGS[kind], channels, mean_std, LOOKING_PX, 0.2, features)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        return model.eval()

    return build


def logits_of_region(model, reader):
    shape = reader.planes["elevation"].shape
    context_px = model.exact_context_px
    planes = reader.read(Window(0, 0, *shape).expand(context_px), model.inputs)
    planes = {name: torch.from_numpy(plane[None].copy()) for name, plane in planes.items()}
    batch = Batch(
        planes, torch.zeros((1, *shape), dtype=torch.uint8), torch.zeros(1, 2), context_px
    )
    with torch.no_grad():
        return model(batch)[0].numpy()


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_attributions_add_up_to_the_difference_to_the_baseline(kind, make, reader):
    model = make(kind)
    seen = SeenWindow.read(model, reader, WINDOW, CPU)
    found = integrated_gradients(seen, input_groups(model, tuple(LOOKING_PX)), 64)
    ground = ~np.isnan(reader.planes["elevation"][WINDOW.slices])
    logits = logits_of_region(model, reader)[WINDOW.slices]
    assert found.num_pixels == ground.sum() < ground.size
    assert found.log_odds == pytest.approx(logits[ground].sum(), rel=1e-4)
    difference = found.log_odds - found.baseline
    # Attributions of either sign nearly cancel over a window.
    size = float(np.nansum(np.abs(found.maps[TOTAL])))
    assert size > 1
    assert sum(found.sums.values()) == pytest.approx(difference, abs=0.005 * size)
    assert found.gap == pytest.approx(difference - sum(found.sums.values()))
    groups = [values for name, values in found.maps.items() if name != TOTAL]
    np.testing.assert_allclose(sum(groups), found.maps[TOTAL], atol=1e-4)
    np.testing.assert_array_equal(np.isnan(found.maps[TOTAL]), ~ground)


def test_of_a_linear_model_they_are_weight_times_channel(make, reader):
    model = make("llr")
    seen = SeenWindow.read(model, reader, WINDOW, CPU)
    found = integrated_gradients(seen, input_groups(model, tuple(LOOKING_PX)), 3)
    mean, std = model.recipe.statistics["elevation"]
    standardised = (reader.planes["elevation"][WINDOW.slices] - mean) / std
    weight = model.network.output.weight[0, model.encoder.names.index("elevation")].item()
    np.testing.assert_allclose(found.maps["elevation"], weight * standardised, atol=1e-5)


def test_one_pixel_is_explained_by_what_it_sees(make, reader):
    model = make("cnn")
    at = (45, 62)
    seen = SeenWindow.read(model, reader, WINDOW.expand(12), CPU, at)
    found = integrated_gradients(seen, input_groups(model, tuple(LOOKING_PX)), 64)
    assert found.num_pixels == 1
    assert found.log_odds == pytest.approx(logits_of_region(model, reader)[at], rel=1e-4)
    rows, columns = np.nonzero(np.nan_to_num(found.maps[TOTAL]))
    window = WINDOW.expand(12)
    assert np.abs(rows + window.y0 - at[0]).max() <= model.halo_px
    assert np.abs(columns + window.x0 - at[1]).max() <= model.halo_px
    with pytest.raises(ConfigError, match="no elevation at what is to be explained"):
        SeenWindow.read(model, reader, WINDOW, CPU, (41, 62))
    with pytest.raises(ConfigError, match="too large to explain"):
        SeenWindow.read(model, reader, Window(0, 0, 20, 2000), CPU)


def test_inputs_are_grouped_by_variable_and_by_distance(make):
    model = make("lacnn")
    groups = input_groups(model, tuple(LOOKING_PX))
    maps = tuple(synthetic())
    assert tuple(groups) == ("slope", *maps, "elevation", "uphill 30 m", "uphill 100 m")
    numbers = [number for group in groups.values() for number in group]
    assert sorted(numbers) == list(range(len(model.encoder.names)))
    names = [model.encoder.names[number] for number in groups["uphill 100 m"]]
    assert names == ["slope, uphill 10 px", "elevation, uphill 10 px"]
    assert all(model.encoder.names[n].startswith(f"{maps[0]}=") for n in groups[maps[0]])


@pytest.mark.parametrize("level", [0, 1, -1])
def test_grad_cam_is_the_weighted_sum_of_a_levels_features(level, make, reader):
    model = make("lacnn")
    seen = SeenWindow.read(model, reader, WINDOW, CPU)
    kept = []
    layer = model.network.down[level]
    handle = layer.register_forward_hook(lambda *call: kept.append(call[2]))
    channels = seen.channels.detach().requires_grad_(True)
    target = seen.log_odds(channels).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(target, kept)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = torch.relu((weights * kept[0]).sum(dim=1, keepdim=True))
    fine = F.interpolate(coarse, size=seen.seen.shape, mode="bilinear", align_corners=False)
    found = grad_cam(seen, level)
    np.testing.assert_allclose(found, seen.shown(fine[0, 0]), atol=1e-5)
    assert np.nanmax(found) > 0


def test_grad_cam_needs_convolutions_and_a_level(make, reader):
    with pytest.raises(ConfigError, match="needs convolutions and lann has none"):
        grad_cam(SeenWindow.read(make("lann"), reader, WINDOW, CPU), 0)
    with pytest.raises(ConfigError, match="level 3 is not one of the model's 3"):
        grad_cam(SeenWindow.read(make("cnn"), reader, WINDOW, CPU), 3)


def labels_of(reader, core_px, values=frozenset({0})):
    shape = reader.planes["elevation"].shape
    index = PatchIndex.build(reader, [Window(0, 0, *shape)], shape, core_px, 2)
    return Labels(reader, index.select(values), values)


THREE_TIMES = Shuffling(num_repeats=3)


def weigh(model, labels, shuffling=THREE_TIMES):
    groups = input_groups(model, tuple(LOOKING_PX))
    return permutation_importance(model, labels, groups, shuffling, CPU, "weigh")


@pytest.mark.parametrize(("kind", "core_px"), [("llr", 40), ("lacnn", 40), ("lacnn", 42)])
def test_scores_before_permutation_are_those_of_the_whole_map(kind, core_px, make, reader):
    model = make(kind)
    whole, _ = weigh(model, labels_of(reader, core_px), Shuffling(1, temperature=1.5))
    mine = (reader.planes["split"] == 0) & (reader.planes["landslide"] != 255)
    probability = 1 / (1 + np.exp(-logits_of_region(model, reader)[mine] / 1.5))
    expected = ScoreCounts.from_block(probability, reader.planes["landslide"][mine])
    assert whole.num_positive == expected.num_positive
    assert whole.num_labelled == expected.num_labelled
    assert scores.nll(whole) == pytest.approx(scores.nll(expected), abs=1e-5)


def test_only_inputs_that_count_are_important(make, reader):
    model = make("lann")
    first = model.network.hidden[0]
    kept = input_groups(model, tuple(LOOKING_PX))["uphill 100 m"]
    silenced = [number for number in range(first.weight.shape[1]) if number not in kept]
    first.weight.data[:, silenced] = 0
    labels = labels_of(reader, 40)
    _, found = weigh(model, labels)
    for name, importance in found.items():
        changed = np.any(importance.nll_rise) or np.any(importance.auc_drop)
        assert changed == (name == "uphill 100 m")
    assert weigh(model, labels)[1] == found
    assert weigh(model, labels, Shuffling(3, seed=1))[1] != found
    few = weigh(model, labels, Shuffling(1, max_patches=2))[0]
    assert few.num_labelled <= 2 * 40 * 40


def test_an_input_that_makes_the_labels_is_worth_most(make, reader):
    planes = dict(reader.planes)
    mean, _ = make("llr").recipe.statistics["slope"]
    steep = planes["slope"] > mean
    planes["landslide"] = np.where(np.isnan(planes["slope"]), 255, steep).astype(np.uint8)
    model = make("llr")
    model.network.output.weight.data[:] = 0
    model.network.output.weight.data[0, model.encoder.names.index("slope")] = 4
    model.network.output.bias.data[:] = 0
    whole, found = weigh(model, labels_of(HostReader(planes), 40))
    assert scores.auc(whole) > 0.999
    assert min(found["slope"].nll_rise) > 0.3
    assert min(found["slope"].auc_drop) > 0.2


def test_importance_needs_labels_of_both_kinds(make, reader):
    planes = dict(reader.planes)
    planes["landslide"] = np.zeros_like(planes["landslide"])
    with pytest.raises(DataError, match="importance needs both"):
        weigh(make("llr"), labels_of(HostReader(planes), 40))


def test_the_interval_is_students():
    low, high = interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2)
    assert high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-5)
    assert interval([1.5]) == (1.5, 1.5)


def test_windows_are_widened_to_the_pooling_grid():
    assert aligned(Window(33, 48, 22, 16), 16) == Window(32, 48, 32, 16)
