import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage

from landslide_dist import schema
from landslide_dist.config.load import validate
from landslide_dist.config.sources import SyntheticSource
from landslide_dist.grid import Window
from landslide_dist.sources.synthetic import synthetic_sources
from landslide_dist.sources.synthetic_event import synthetic_imagery
from landslide_dist.stages.ingest import ingest
from landslide_dist.store.cube import open_cube

SHAPE = (190, 230)
EVENTS = {
    "earthquake": {"trigger": "earthquake", "soil": "pale", "cloud": 0.1, "season": 0.5},
    "rainfall": {"trigger": "rainfall", "climate": "tropical", "area_px": (12, 3000)},
    "single": {"trigger": "rainfall", "single": True, "season": -0.4},
    "pairs": {"num_pairs": 2, "bands": ("nir", "red", "green"), "soil": (0.3, 0.2, 0.1)},
}


def source(shape=SHAPE, seed=3, base_rate=0.05, **event):
    return SyntheticSource(
        seed=seed, height=shape[0], width=shape[1], base_rate=base_rate, event=event
    )


def read(config, window=None):
    """Elevation, landslides, reflectance and clear pixels of a window, by default of all."""
    window = window or Window(0, 0, config.height, config.width)
    blocks = {name: field.read(window) for name, field in synthetic_sources(config).items()}
    blocks["reflectance"], blocks["valid"] = synthetic_imagery(config).read(window)
    return blocks


def rank_auc(score, labels):
    """Probability that a landslide pixel scores above another one."""
    order = np.argsort(np.argsort(score))
    ones = labels.sum()
    above = order[labels].sum() - ones * (ones - 1) / 2
    return above / (ones * (labels.size - ones))


@pytest.fixture(scope="module", params=list(EVENTS))
def region(request):
    config = source(**EVENTS[request.param])
    fields, imagery = synthetic_sources(config), synthetic_imagery(config)
    return fields, imagery, read(config)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_blocks_equal_the_whole(region, data):
    fields, imagery, whole = region
    y0, x0 = (data.draw(st.integers(0, size - 1)) for size in SHAPE)
    height = data.draw(st.integers(1, SHAPE[0] - y0))
    width = data.draw(st.integers(1, SHAPE[1] - x0))
    window = Window(y0, x0, height, width)
    blocks = {name: field.read(window) for name, field in fields.items()}
    blocks["reflectance"], blocks["valid"] = imagery.read(window)
    for name, block in blocks.items():
        np.testing.assert_array_equal(block, whole[name][(..., *window.slices)], err_msg=name)


def test_survives_pickling(region):
    _, imagery, whole = region
    window = Window(100, 90, 40, 60)
    for values, name in zip(
        pickle.loads(pickle.dumps(imagery)).read(window), ("reflectance", "valid"), strict=True
    ):
        np.testing.assert_array_equal(values, whole[name][(..., *window.slices)])


def test_only_elevation_and_landslides_and_every_pixel_has_an_image(region):
    fields, _, whole = region
    assert list(fields) == ["elevation", "landslide"]
    assert set(np.unique(whole["landslide"])) == {0, 1}
    assert whole["reflectance"].dtype == np.uint16
    assert whole["reflectance"].min() >= 1
    assert whole["elevation"].min() > 0


def test_ingest_makes_a_cube_of_it(tmp_path):
    config = validate(
        {
            "name": "made-up",
            "task": "event_mapping",
            "run_dir": str(tmp_path / "run"),
            "cube": {
                "location": str(tmp_path / "cube.zarr"),
                "storage": {"chunk_px": 32, "shard_px": 64},
            },
            "sources": {
                "synthetic": {"seed": 3, "height": 190, "width": 230, "base_rate": 0.05,
                              "event": EVENTS["pairs"]}
            },
        },
        "test",
    )  # fmt: skip
    ingest(config)
    with open_cube(config.cube.location) as ds:
        schema.validate(ds, config.cube.location)
        assert set(ds.data_vars) == {"elevation", "landslide", "reflectance", "valid"}
        assert ds.attrs["categorical"] == []
        assert list(ds["band"].values) == ["nir", "red", "green"]
        assert list(ds["role"].values) == ["pre", "post", "pre", "post"]
        assert list(ds["pair"].values) == [0, 0, 1, 1]
        days = list(ds["time"].values)
        assert days[2] < days[0] < days[1] < days[3]
        whole = read(config.sources.synthetic)
        for name, values in whole.items():
            np.testing.assert_array_equal(ds[name].to_numpy(), values, err_msg=name)
        roles = [entry["role"] for entry in ds.attrs["source"] if "role" in entry]
        assert roles == ["pre", "post", "pre", "post"]


def test_slides_change_the_image_after_and_not_the_one_before():
    with_slides = source(soil="pale")
    few = source(soil="pale", base_rate=1e-6)
    # Slides of earlier years follow the rate; here both regions have none.
    one, other = (synthetic_imagery(config) for config in (with_slides, few))
    window = Window(0, 0, *SHAPE)
    values, without = (
        images.__class__(images.config, images.new, other.old, images.sensors).read(window)[0]
        for images in (one, other)
    )
    body = one.new.cover(window).depth > 0.3
    outside = one.new.cover(window).depth == 0
    assert body.sum() > 200
    np.testing.assert_array_equal(values[0], without[0])
    np.testing.assert_array_equal(values[1][:, outside], without[1][:, outside])
    brighter = values[1].astype(float) - without[1]
    assert np.median(brighter[0, body]) > 500


@pytest.mark.parametrize("cloud", [0.0, 0.05, 0.4])
def test_share_under_clouds(cloud):
    images = synthetic_imagery(source((300, 700), cloud=cloud, num_pairs=2))
    values, clear = images.read(Window(0, 0, 300, 700))
    masked = 1 - clear.mean(axis=(1, 2))
    np.testing.assert_allclose(masked, cloud, atol=2e-5)
    if cloud:
        assert np.percentile(values[:, 0][clear == 0], 80) > 1.5 * values[:, 0][clear == 1].mean()
        assert not np.array_equal(clear[0], clear[1])


def test_share_under_clouds_of_a_large_region_is_about_right():
    _, clear = synthetic_imagery(source((300, 2500), cloud=0.3)).read(Window(0, 0, 300, 2500))
    np.testing.assert_allclose(1 - clear.mean(axis=(1, 2)), 0.3, atol=0.06)


def test_pairs_see_the_same_ground_otherwise():
    values, clear = synthetic_imagery(source(num_pairs=2)).read(Window(0, 0, *SHAPE))
    assert (values[:2] != values[2:]).mean() > 0.9
    assert not np.array_equal(clear[:2], clear[2:])
    both = clear.all(axis=0) == 1
    assert np.corrcoef(values[0, 0][both], values[2, 0][both])[0, 1] > 0.8


def test_two_seeds_are_two_events():
    first, second = (read(source(seed=seed)) for seed in (0, 1))
    for name, values in first.items():
        assert not np.array_equal(values, second[name])


@pytest.mark.parametrize("trigger", ["earthquake", "rainfall"])
def test_sizes_are_broad_and_small_slides_most_frequent(trigger):
    config = source((700, 700), trigger=trigger, base_rate=0.04)
    mask = read_landslides(config)
    assert 0.02 < mask.mean() < 0.08
    sizes = np.bincount(ndimage.label(mask, np.ones((3, 3)))[0].ravel())[1:]
    assert len(sizes) > 100
    assert np.median(sizes) < 60
    assert sizes.max() > 600
    counts = [((sizes >= low) & (sizes < 4 * low)).sum() for low in (12, 48, 192)]
    assert counts[0] > counts[1] > counts[2] > 2


def test_triggers_fail_other_places():
    """Shaking starts slides high and they stay short; rain's lie lower, and are longer."""
    high, length = {}, {}
    for trigger in ("earthquake", "rainfall"):
        config = source((700, 700), trigger=trigger, base_rate=0.04)
        fields = synthetic_sources(config)
        window = Window(0, 0, 700, 700)
        ground, mask = fields["elevation"].read(window), read_landslides(config)
        above = ground - ndimage.uniform_filter(ground, 41)
        high[trigger] = above[mask].mean()
        labels, number = ndimage.label(mask)
        stretch = []
        for index in range(1, number + 1):
            y, x = np.nonzero(labels == index)
            if len(y) >= 40:
                spread = np.linalg.eigvalsh(np.cov(y, x))
                stretch.append(np.sqrt(spread[1] / max(spread[0], 0.1)))
        length[trigger] = np.median(stretch)
    assert high["earthquake"] > high["rainfall"] + 5
    assert length["rainfall"] > 1.8 * length["earthquake"]


def test_a_single_slide_is_one_long_body():
    mask = read_landslides(source((400, 400), base_rate=0.03, trigger="rainfall", single=True))
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    assert sizes.max() > 0.98 * mask.sum()
    assert 0.012 < mask.mean() < 0.05
    y, x = np.nonzero(mask)
    assert max(np.ptp(y), np.ptp(x)) > 100


def test_change_tells_slides_but_not_all_and_fields_change_too():
    config = source((400, 400), soil="ochre", climate="tropical", farmland=0.8, cloud=0.02)
    whole = read(config)
    values, clear = whole["reflectance"].astype(float), whole["valid"].all(axis=0)
    redness = (values[1, 0] - values[1, 1]) - (values[0, 0] - values[0, 1])
    mask = whole["landslide"] == 1
    assert 0.75 < rank_auc(redness[clear], mask[clear]) < 0.97
    # What is ploughed between the images looks like slides: it is hard to tell by change alone.
    bare = redness > np.median(redness[mask & clear])
    assert (bare & ~mask & clear).sum() > 0.2 * (bare & mask & clear).sum()


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"area_px": [100, 50]}, "not a range"),
        ({"bands": ["red", "red"]}, "each once"),
        ({"soil": "blue"}, "soil"),
        ({"cloud": 1.0}, "cloud"),
    ],
)
def test_settings_that_make_no_event(event, message):
    with pytest.raises(ValidationError, match=message):
        SyntheticSource(event=event)


def read_landslides(config):
    return (
        synthetic_sources(config)["landslide"]
        .read(Window(0, 0, config.height, config.width))
        .astype(bool)
    )
