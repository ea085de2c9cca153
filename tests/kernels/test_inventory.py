import numpy as np
import pytest

from landslide_dist.kernels.inventory import (
    Groups,
    Totals,
    around,
    connected,
    halo_px,
    joined,
    landslide_mask,
    seam_pairs,
)

NAN = float("nan")


def picture(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_threshold_is_landslide_and_nodata_is_not():
    probability = np.array([[0.3, 0.29999, NAN, 0.9]], dtype=np.float32)
    assert landslide_mask(probability, 0.3).tolist() == [[True, False, False, True]]


def test_opening_removes_what_is_narrow_and_closing_bridges_gaps_but_not_nodata():
    mask = picture(
        ".........",
        ".###.....",
        ".###.###.",
        ".###.###.",
        ".....###.",
        "#........",
    )
    probability = np.where(mask, 0.9, 0.1).astype(np.float32)
    padded = np.pad(probability, halo_px(1, 1), constant_values=np.nan)
    inside = (slice(4, -4), slice(4, -4))
    assert not landslide_mask(padded, 0.5, opening_px=1)[inside][5, 0]
    bridged = landslide_mask(padded, 0.5, closing_px=1)[inside]
    assert bridged[2:4, 4].all()
    assert bridged[mask].all()
    padded[6, 8] = np.nan
    assert landslide_mask(padded, 0.5, closing_px=1)[inside][2:4, 4].tolist() == [False, True]


@pytest.mark.parametrize(("connectivity", "count", "holes"), [(4, 4, 1), (8, 1, 2)])
def test_corners_join_by_connectivity_and_ground_the_other_way(connectivity, count, holes):
    ring = picture(".#.", "#.#", ".#.")
    assert connected(ring, connectivity)[1] == count
    # The middle is a hole only where the ring is closed: the ground joins the other way round.
    ground = np.pad(~ring, 1, constant_values=True)
    assert connected(ground, around(connectivity))[1] == holes


def test_seams_join_faces_and_corners():
    before, after = np.array([1, 0, 2, 0]), np.array([0, 3, 4, 0])
    assert seam_pairs(before, after, 4).tolist() == [[2, 4]]
    assert seam_pairs(before, after, 8).tolist() == [[1, 3], [2, 3], [2, 4]]
    groups = joined(5, np.array([[1, 3], [3, 2]]))
    assert len(set(groups[[0, 1, 2]])) == 1
    assert len(set(groups)) == 3
    assert joined(0, np.zeros((0, 2), dtype=np.int64)).shape == (0,)


def test_groups_reduce_and_leave_out_missing_values():
    groups = Groups(np.array([1, 0, 1, 2]))
    assert groups.total(np.array([2**60, 3, 1, 5])).tolist() == [3, 2**60 + 1, 5]
    values = np.array([NAN, 2, 7, NAN])
    np.testing.assert_array_equal(groups.highest(values), [2, 7, NAN])
    np.testing.assert_array_equal(groups.lowest(values), [2, 7, NAN])
    assert Groups(np.zeros(0, dtype=np.int64)).total(np.zeros(0)).shape == (0,)


def of_block(labels, corner=(0, 0), **fields):
    layers = {
        name: np.broadcast_to(np.asarray(fields.get(name, 0), dtype=np.float32), labels.shape)
        for name in ("probability", "slope_deg", "aspect_deg", "elevation_m")
    }
    return Totals.of_block(labels.astype(np.int32), corner, 100, **layers)


def test_means_are_those_of_plain_numpy():
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, (40, 30))
    layers = {
        "probability": random.random(labels.shape, dtype=np.float32),
        "slope_deg": 90 * random.random(labels.shape, dtype=np.float32),
        "aspect_deg": 200 * random.random(labels.shape, dtype=np.float32),
        "elevation_m": 1000 * random.random(labels.shape, dtype=np.float32),
    }
    layers["slope_deg"][::3] = np.nan
    totals = of_block(labels, corner=(3, 5), **layers)
    for body in (1, 2, 3):
        at = labels == body
        probability, slope = layers["probability"][at], layers["slope_deg"][at]
        assert totals.mean_confidence[body - 1] == pytest.approx(probability.mean(dtype=float))
        assert totals.max_confidence[body - 1] == probability.max()
        assert totals.mean_slope_deg[body - 1] == pytest.approx(np.nanmean(slope, dtype=float))
        assert totals.max_slope_deg[body - 1] == np.nanmax(slope)
        assert totals.lowest_m[body - 1] == layers["elevation_m"][at].min()
        unit = np.exp(1j * np.radians(layers["aspect_deg"][at].astype(float))).mean()
        assert totals.mean_aspect_deg[body - 1] == pytest.approx(np.degrees(np.angle(unit)) % 360)
        row, column = np.argwhere(at)[0]
        assert totals.first[body - 1] == 100 * (row + 3) + column + 5


def test_directions_are_averaged_on_the_circle():
    labels = np.array([[1, 1, 2, 2, 3, 3]])
    aspect = [[350, 20, 90, 270, NAN, NAN]]
    found = of_block(labels, aspect_deg=aspect).mean_aspect_deg
    assert found[0] == pytest.approx(5)
    assert np.isnan(found[1:]).all()


def test_parts_of_a_body_add_up_to_the_same_bits():
    random = np.random.default_rng(1)
    labels = np.ones((30, 20), dtype=np.int64)
    layers = {
        "probability": random.random(labels.shape, dtype=np.float32),
        "slope_deg": 90 * random.random(labels.shape, dtype=np.float32),
        "aspect_deg": 360 * random.random(labels.shape, dtype=np.float32),
        "elevation_m": random.random(labels.shape, dtype=np.float32),
    }
    whole = of_block(labels, **layers)
    cuts = (slice(0, 7), slice(7, 8), slice(8, 30))
    parts = [
        of_block(labels[cut], (cut.start, 0), **{n: v[cut] for n, v in layers.items()})
        for cut in cuts
    ]
    merged = Totals.joined(parts, np.zeros(3, dtype=np.int64))
    assert merged.first == whole.first == 0
    assert merged.sums == whole.sums
    for name in ("mean_confidence", "mean_slope_deg", "mean_aspect_deg", "max_slope_deg"):
        assert getattr(merged, name) == getattr(whole, name)
