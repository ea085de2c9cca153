import numpy as np
import pytest
from pyproj import Transformer

from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.viewer.readout import read_pixel


def click(region, row, column):
    return read_pixel(
        list(region.layers.values()), region.grid,
        float(region.grid.x[column]) + 3, float(region.grid.y[row]) - 4,
    )  # fmt: skip


def test_a_click_shows_every_layer_at_that_pixel(region):
    found = click(region, 50, 90)
    values = dict(found.values)
    assert values["Elevation"] == f"{region.arrays['elevation'][50, 90]:.4g} m"
    assert values["Lithology"] == ("unknown", "clay", "granite")[region.arrays["lithology"][50, 90]]
    assert values["Landslides"] == (
        "landslide" if region.arrays["landslide"][50, 90] else "no landslide"
    )
    assert values["Partition of labels"] == "train"
    assert float(values["Landslide probability, good"]) == pytest.approx(
        region.arrays["good"][50, 90], rel=1e-3
    )
    assert "predicted" in values["Errors, good"] or values["Errors, good"] in (
        "landslide, missed", "false alarm",
    )  # fmt: skip
    longitude, latitude = Transformer.from_crs(32632, 4326, always_xy=True).transform(
        found.x, found.y
    )
    assert found.place[0] == f"{latitude:.5f}° N, {longitude:.5f}° E"
    assert "EPSG:32632" in found.place[1]
    assert values["Lithology"] in found.html()


def test_uphill_points_are_the_highest_pixels_of_their_rings(region):
    elevation = region.arrays["elevation"]
    found = click(region, 60, 77)
    assert [point.distance for point in found.uphill] == ["30 m", "100 m"]
    for point, radius in zip(found.uphill, (3, 10), strict=True):
        rows, columns = (ring_offsets(radius) + np.array([60, 77])).T
        highest = elevation[rows, columns].max()
        (row,), (column,) = region.grid.rows_columns(np.array([point.x]), np.array([point.y]))
        assert elevation[row, column] == highest
        assert point.rise_m == pytest.approx(highest - elevation[60, 77], abs=1e-3)


def test_where_there_is_nothing_it_says_so(region):
    values = dict(click(region, region.grid.height - 5, region.grid.width - 5).values)
    assert values["Elevation"] == "no data"
    assert values["Uphill direction, 30 m"] == "none"
    assert dict(click(region, 5, 5).values)["Errors, good"] == "not labelled"
    band = "Reflectance 2024-02-01 post red"
    assert dict(click(region, 50, 50).values)[band] == "no data"  # not clear
    (row, *_), (column, *_) = np.nonzero(region.arrays["valid"][1])
    seen = dict(click(region, row, column).values)
    assert seen[band].startswith(f"{region.arrays['reflectance'][1, 2, row, column]:.4g}"[:3])
    assert not any("composite" in title for title in seen)
    assert read_pixel([], region.grid, 0.0, 0.0) is None
