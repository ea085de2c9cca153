"""Kernels on one thread, in memory: the uphill index and slope.

    python benchmarks/bench_kernels.py [--quick] [--json PATH]

``cv2.dilate`` with the ring as its footprint finds the highest value of the ring, not where it is;
the plain loop is the definition of the uphill index compiled by Numba, pixel by pixel. A peer that
is not installed leaves its rows out (``pip install '.[bench]'`` has them all).
"""

from importlib import import_module
from importlib.util import find_spec

import numpy as np
import xarray as xr
from harness import Row, arguments, compare_rates, publish
from numba import njit

from landslide_dist.kernels.rings import ring_offsets
from landslide_dist.kernels.terrain import slope
from landslide_dist.kernels.uphill import uphill_index

PIXEL_M = 10.0
#: Module -> package of the peers that need installing.
PEERS = {"cv2": "opencv-python-headless", "xrspatial": "xarray-spatial"}


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


def uphill_rows(elevation) -> list[Row]:
    """The uphill index at the paper's radii against both peers."""
    rows = []
    megapixels = elevation.size / 1e6
    for radius in (3, 10, 30):
        offsets = ring_offsets(radius)
        footprint = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
        footprint[offsets[:, 0] + radius, offsets[:, 1] + radius] = 1
        if not np.array_equal(plain_loop(elevation, offsets, 255), uphill_index(elevation, radius)):
            raise SystemExit(f"uphill index differs from its definition at radius {radius}")
        peers = {"plain Numba loop": lambda o=offsets: plain_loop(elevation, o, 255)}
        if find_spec("cv2"):
            dilate = import_module("cv2").dilate
            peers["cv2.dilate"] = lambda d=dilate, f=footprint: d(elevation, f)
        for peer_name, peer in peers.items():
            rows.append(
                compare_rates(
                    f"uphill index, r = {radius}", megapixels, "Mpx/s",
                    lambda r=radius: uphill_index(elevation, r), peer, peer_name,
                )
            )  # fmt: skip
    return rows


def whole_metre_rows(elevation) -> list[Row]:
    """The uphill index of a DEM of whole metres, which compares in 16 bits, against OpenCV's."""
    if not find_spec("cv2"):
        return []
    dilate = import_module("cv2").dilate
    metres = np.round(elevation)
    short = metres.astype(np.int16)
    rows = []
    for radius in (3, 10, 30):
        offsets = ring_offsets(radius)
        footprint = np.zeros((2 * radius + 1, 2 * radius + 1), np.uint8)
        footprint[offsets[:, 0] + radius, offsets[:, 1] + radius] = 1
        small = metres[:256, :256]
        if not np.array_equal(plain_loop(small, offsets, 255), uphill_index(small, radius)):
            raise SystemExit(f"uphill index of whole metres differs at radius {radius}")
        rows.append(
            compare_rates(
                f"uphill index, whole metres, r = {radius}", elevation.size / 1e6, "Mpx/s",
                lambda r=radius: uphill_index(metres, r),
                lambda f=footprint: dilate(short, f), "cv2.dilate, int16",
            )
        )  # fmt: skip
    return rows


def slope_row(elevation) -> Row:
    """Slope against xarray-spatial."""
    coords = {axis: np.arange(n) * PIXEL_M for axis, n in zip("yx", elevation.shape, strict=True)}
    raster = xr.DataArray(elevation, dims=("y", "x"), coords=coords)
    xrspatial = import_module("xrspatial")
    return compare_rates(
        "slope", elevation.size / 1e6, "Mpx/s",
        lambda: slope(elevation, PIXEL_M), lambda: xrspatial.slope(raster),
        "xarray-spatial",
    )  # fmt: skip


def main() -> None:
    """Run all comparisons."""
    options = arguments("Kernels on one thread, in memory.")
    installed = [module for module in PEERS if find_spec(module)]
    for module in PEERS.keys() - installed:
        print(f"without {PEERS[module]}, which is not installed")
    if "cv2" in installed:
        import_module("cv2").setNumThreads(1)
    elevation = terrain(768 if options.quick else 4096)
    rows = uphill_rows(elevation) + whole_metre_rows(elevation)
    if "xrspatial" in installed:
        rows.append(slope_row(elevation))
    packages = ["landslide-dist", "numba", "numpy", *(PEERS[module] for module in installed)]
    publish(rows, packages, options.json)


if __name__ == "__main__":
    main()
