"""Kernels on one thread, in memory: the uphill index and slope.

    python benchmarks/bench_kernels.py [--quick] [--json PATH]

``cv2.dilate`` with the ring as its footprint finds the highest value of the ring, not where it is;
the plain loop is the definition of the uphill index compiled by Numba, pixel by pixel.
"""

import cv2
import numpy as np
import xarray as xr
import xrspatial
from harness import Row, arguments, compare_rates, publish
from numba import njit

from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import ring_offsets, uphill_index

PIXEL_M = 10.0


@njit(nogil=True)
def plain_loop(elevation, offsets, none):
    """The definition of the uphill index."""
    height, width = elevation.shape
    out = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            best, position = -np.inf, none
            if np.isfinite(elevation[y, x]):
                for k in range(len(offsets)):
                    v, u = y + offsets[k, 0], x + offsets[k, 1]
                    if 0 <= v < height and 0 <= u < width:
                        value = elevation[v, u]
                        if np.isfinite(value) and value > best:
                            best, position = value, k
            out[y, x] = position
    return out


def terrain(size):
    """Hills with roughness, float32 metres."""
    y, x = np.mgrid[:size, :size]
    rough = np.random.default_rng(0).random((size, size)) * 20
    return (1000 + 300 * np.sin(x / 50) * np.cos(y / 70) + rough).astype(np.float32)


def uphill_rows(elevation, repeats) -> list[Row]:
    """The uphill index at the paper's radii against both peers."""
    rows = []
    megapixels = elevation.size / 1e6
    for radius in (3, 10, 30):
        offsets = ring_offsets(radius)
        footprint = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
        footprint[offsets[:, 0] + radius, offsets[:, 1] + radius] = 1
        if not np.array_equal(plain_loop(elevation, offsets, 255), uphill_index(elevation, radius)):
            raise SystemExit(f"uphill index differs from its definition at radius {radius}")
        peers = {
            "plain Numba loop": lambda o=offsets: plain_loop(elevation, o, 255),
            "cv2.dilate": lambda f=footprint: cv2.dilate(elevation, f),
        }
        for peer_name, peer in peers.items():
            rows.append(
                compare_rates(
                    f"uphill index, r = {radius}", megapixels, "Mpx/s",
                    lambda r=radius: uphill_index(elevation, r), peer, peer_name, repeats,
                )
            )  # fmt: skip
    return rows


def slope_row(elevation, repeats) -> Row:
    """Slope against xarray-spatial."""
    coords = {axis: np.arange(n) * PIXEL_M for axis, n in zip("yx", elevation.shape, strict=True)}
    raster = xr.DataArray(elevation, dims=("y", "x"), coords=coords)
    return compare_rates(
        "slope", elevation.size / 1e6, "Mpx/s",
        lambda: slope(elevation, PIXEL_M), lambda: xrspatial.slope(raster),
        "xarray-spatial", repeats,
    )  # fmt: skip


def main() -> None:
    """Run all comparisons."""
    options = arguments("Kernels on one thread, in memory.")
    cv2.setNumThreads(1)
    elevation = terrain(768 if options.quick else 4096)
    repeats = 3 if options.quick else 5
    rows = [*uphill_rows(elevation, repeats), slope_row(elevation, repeats)]
    packages = ["landslide-dist", "numba", "numpy", "opencv-python-headless", "xarray-spatial"]
    publish(rows, packages, options.json)


if __name__ == "__main__":
    main()
