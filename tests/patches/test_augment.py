"""Augmentation: what moves moves together, slopes stay those of the ground, keys alone decide."""

import math

import numpy as np
import pytest
import torch

from landslide_dist.batch import Batch
from landslide_dist.config.augment import AugmentConfig
from landslide_dist.models import terrain
from landslide_dist.patches.augment import Augment, draw_geometry, lay_anew, lay_labels, recolour

SIDE = 81
NOTHING = AugmentConfig(
    flips=False, turn_deg=0, scale=1, shear=0, brightness=0, contrast=0, colour=0, sharpness=0,
    noise=0,
)  # fmt: skip
IMAGES = (("pre_red", "pre_green"), ("post_red", "post_green"))


def offsets():
    along = torch.arange(SIDE) - (SIDE - 1) / 2
    return torch.meshgrid(along, along, indexing="xy")


def turned(degrees, scale=1.0, flip=False):
    angle = math.radians(degrees)
    matrix = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return (matrix @ torch.diag(torch.tensor([-1.0 if flip else 1.0, 1.0])) / scale)[None]


def hill(pixel_m=10.0):
    """A smooth surface that has no symmetry, metres."""
    x, y = offsets()
    x, y = x * pixel_m, y * pixel_m
    return 900 + 0.3 * x - 0.15 * y + 60 * torch.sin(x / 180) * torch.cos(y / 250 + 0.4)


def slope_of(elevation, geometry, pixel_m=10.0):
    size = pixel_m * torch.linalg.det(geometry).abs().sqrt()
    return terrain.slope_deg(*terrain.gradient(elevation[None], size))[0]


def batch(keys=(5,), planes=None):
    num = len(keys)
    rng = torch.Generator().manual_seed(0)
    images = {
        name: torch.randint(500, 3000, (num, SIDE, SIDE), generator=rng).to(torch.uint16)
        for image in IMAGES
        for name in image
    }
    target = (torch.rand(num, SIDE, SIDE, generator=rng) < 0.3).to(torch.uint8)
    elevation = hill().expand(num, SIDE, SIDE).clone()
    return Batch(
        {**images, "elevation": elevation, **(planes or {})},
        target,
        torch.zeros(num, 2, dtype=torch.int64),
        0,
        torch.tensor(keys),
    )


@pytest.mark.parametrize("degrees", [0, 33, 90, 145, -70])
@pytest.mark.parametrize("scale", [1.0, 1.25, 0.8])
@pytest.mark.parametrize("flip", [False, True])
def test_the_slope_of_the_moved_surface_is_the_moved_slope(degrees, scale, flip):
    geometry = turned(degrees, scale, flip)
    moved = lay_anew(hill()[None, None], geometry)[0, 0]
    there = slope_of(moved, geometry)
    here = slope_of(hill(), torch.eye(2)[None])
    expected = lay_anew(
        torch.nn.functional.pad(here, (1, 1, 1, 1), value=math.nan)[None, None], geometry
    )[0, 0, 1:-1, 1:-1]  # fmt: skip
    both = torch.isfinite(there) & torch.isfinite(expected)
    assert both.float().mean() > 0.35
    assert float((there - expected)[both].abs().max()) < 0.1
    assert float(here.max() - here.min()) > 10


def test_without_the_pixel_size_an_enlarged_surface_would_be_too_flat():
    geometry = turned(0, 2.0)
    moved = lay_anew(hill()[None, None], geometry)[0, 0]
    right = slope_of(moved, geometry)[40, 40]
    as_if_unscaled = slope_of(moved, torch.eye(2)[None])[40, 40]
    rise = math.tan(math.radians(float(right)))
    assert math.tan(math.radians(float(as_if_unscaled))) == pytest.approx(rise / 2, rel=1e-3)
    here = slope_of(hill(), torch.eye(2)[None])[39, 39]
    assert float(right) == pytest.approx(float(here), abs=0.1)


@pytest.mark.parametrize("degrees", [0, 30, 90, -120])
def test_aspect_turns_with_the_surface(degrees):
    """A plane that falls to the east, turned clockwise by an angle, falls that much farther on."""
    x, _ = offsets()
    geometry = turned(degrees)
    moved = lay_anew((-5 * x)[None, None], geometry)[0]
    right, down = terrain.gradient(moved, torch.tensor([10.0]))
    falls = math.degrees(math.atan2(float(-right[0, 40, 40]), float(down[0, 40, 40])))
    assert (falls - (90 + degrees) + 180) % 360 - 180 == pytest.approx(0, abs=0.01)


def test_the_sun_stays_or_turns():
    geometry = turned(90)
    fixed = terrain.sun(geometry)
    with_ground = terrain.turned(fixed, geometry)[0]
    half = math.sqrt(0.5)
    assert fixed[0].tolist() == pytest.approx([-half, -half], abs=1e-6)
    # North-west, turned clockwise by 90 degrees with the ground, is north-east.
    assert with_ground.tolist() == pytest.approx([half, -half], abs=1e-6)
    flipped = terrain.turned(fixed, turned(0, flip=True))[0]
    assert flipped.tolist() == pytest.approx([half, -half], abs=1e-6)


def test_labels_and_images_move_together():
    label = torch.zeros(1, SIDE, SIDE, dtype=torch.uint8)
    label[0, 20:40, 30:60] = 1
    geometry = turned(37, 1.1, True)
    moved = lay_labels(label, geometry)[0]
    image = lay_anew(label[None].float(), geometry)[0, 0]
    inside = moved != 255
    assert torch.equal(inside[2:-2, 2:-2], torch.isfinite(image)[2:-2, 2:-2]) or (
        float((inside ^ torch.isfinite(image)).float().mean()) < 0.05
    )
    sure = (image - 0.5).abs() > 0.45
    assert torch.equal((moved == 1)[sure & inside], (image > 0.5)[sure & inside])


def test_quarter_turns_lose_nothing():
    label = torch.randint(0, 2, (1, SIDE, SIDE), dtype=torch.uint8)
    moved = lay_labels(label, turned(90))[0]
    assert torch.equal(moved, torch.rot90(label[0], k=-1))


def test_nodata_spreads_and_never_mixes():
    plane = torch.full((1, 1, SIDE, SIDE), 1000.0)
    plane[0, 0, 30:40, 30:40] = torch.nan
    moved = lay_anew(plane, turned(20))
    known = moved[torch.isfinite(moved)]
    assert float((known - 1000).abs().max()) < 1e-2
    assert 0.5 < float(torch.isfinite(moved).float().mean()) < 0.98


def test_a_sample_depends_on_its_key_alone():
    augment = Augment(AugmentConfig(), IMAGES)
    three = batch((7, 8, 9))
    alone = augment(next(iter(list(three.micro_batches(1))[1:])))
    together = augment(three)
    for name, plane in together.planes.items():
        np.testing.assert_allclose(
            plane[1].numpy(), alone.planes[name][0].numpy(), rtol=1e-5, atol=1e-3
        )
    assert torch.equal(together.target[1], alone.target[0])
    assert not torch.equal(together.target[0], together.target[1])


def test_nothing_switched_on_changes_nothing():
    before = batch()
    after = Augment(NOTHING, IMAGES)(before)
    assert after.geometry is None
    for name, plane in before.planes.items():
        assert torch.equal(after.planes[name], plane.float())


def test_images_are_recoloured_apart_and_within_limits():
    config = NOTHING.model_copy(update={"contrast": 0.2, "brightness": 0.1, "colour": 0.1})
    keys = torch.arange(200)
    image = torch.full((200, 3, 4, 4), 1000.0)
    before, after = (recolour(image, keys, number, config) for number in (0, 1))
    assert not torch.allclose(before, after)
    correlation = np.corrcoef(before[:, 0, 0, 0], after[:, 0, 0, 0])[0, 1]
    assert abs(correlation) < 0.25
    for out in (before, after):
        assert 1000 * 0.9 * 0.9 - 1 <= float(out.min()) < 930
        assert 1070 < float(out.max()) <= 1000 * 1.1 * 1.1 + 1


def test_noise_has_the_deviation_that_was_asked_for():
    config = NOTHING.model_copy(update={"noise": 0.1})
    image = torch.full((400, 1, 16, 16), 1000.0)
    spread = recolour(image, torch.arange(400), 0, config).flatten(1).std(dim=1) / 1000
    assert 0.09 < float(spread.max()) < 0.115
    assert float(spread.mean()) == pytest.approx(0.05, abs=0.006)


def test_geometry_keeps_its_limits():
    config = AugmentConfig(flips=False, turn_deg=20, scale=1.5, shear=0)
    geometry = draw_geometry(torch.arange(500), config)
    scale = 1 / torch.linalg.det(geometry).sqrt()
    assert 1 / 1.5 - 1e-4 <= float(scale.min()) < 0.75
    assert 1.35 < float(scale.max()) <= 1.5 + 1e-4
    turn = torch.rad2deg(torch.atan2(geometry[:, 0, 1], geometry[:, 0, 0]))
    assert 18 < float(turn.abs().max()) <= 20 + 1e-3
