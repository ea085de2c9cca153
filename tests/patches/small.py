"""A small region as planes in memory and as a sharded store; what tests of reading it share."""

import numpy as np

from landslide_dist import schema
from landslide_dist.config.cube import StorageConfig
from landslide_dist.config.split import SplitConfig
from landslide_dist.grid import Grid
from landslide_dist.patches.cutter import PatchCutter
from landslide_dist.patches.datamodule import PatchDataModule, Reading
from landslide_dist.patches.index import PatchIndex
from landslide_dist.patches.order import training_order
from landslide_dist.patches.ordered import Sampling
from landslide_dist.patches.reader import HostReader
from landslide_dist.patches.region import Region, RegionData
from landslide_dist.store import cube
from landslide_dist.store.location import open_group

SHAPE = (220, 205)
GRID = Grid.from_bounds("EPSG:32632", 10, (0, 0, SHAPE[1] * 10, SHAPE[0] * 10))
STORAGE = StorageConfig(chunk_px=16, shard_px=32)
WINDOWS = list(GRID.windows(STORAGE.shard_px))
CORE_PX, CONTEXT_PX = 10, 6
INPUTS = ("elevation", "lithology", "uphill")
PARTS = SplitConfig().parts()
DISTANCES_M = [30, 100, 300]


def planes():
    """Every plane of the region; elevation is the number of the pixel."""
    rng = np.random.default_rng(0)
    # Parts of several cores each, so that one read serves many patches.
    rows, columns = np.indices(SHAPE) // (4 * CORE_PX)
    split = np.array([0, 0, 0, 1, 2], dtype="uint8")[(rows + columns) % 5]
    split[rng.random(SHAPE) < 0.1] = schema.UNLABELLED
    landslide = (rng.random(SHAPE) < 0.0005).astype("uint8")
    landslide[split == schema.UNLABELLED] = schema.UNLABELLED
    return {
        "elevation": np.arange(landslide.size, dtype="float32").reshape(SHAPE),
        "lithology": rng.integers(0, 2, SHAPE).astype("uint8"),
        "uphill": rng.integers(0, 300, (len(DISTANCES_M), *SHAPE)).astype("uint16"),
        "landslide": landslide,
        "split": split,
    }


def write(location):
    """The region as a cube; gives the location of each variable."""
    values = planes()
    variables = [
        schema.ELEVATION,
        schema.categorical("lithology", {1: "clay"}),
        schema.LANDSLIDE,
        schema.SPLIT,
        schema.uphill(len(DISTANCES_M), "uint16"),
    ]
    cube.create(location, GRID, variables, STORAGE, {}, {"distance": DISTANCES_M})
    group = open_group(location, "r+")
    for name, plane in values.items():
        array = cube.array(group, name)
        for window in WINDOWS:
            cube.write_block(array, window, plane[(..., *window.slices)])
    return dict.fromkeys(values, location)


def index():
    """The patches of the region."""
    return PatchIndex.build(HostReader(planes()), WINDOWS, SHAPE, CORE_PX, 3)


def cutter(part="train"):
    """Makes batches of a part."""
    return PatchCutter(index().select(PARTS[part]), PARTS[part], INPUTS, CONTEXT_PX)


def shares(patches, batch_size=7, num_lanes=4, rank=0, world_size=1):
    """Shares of an epoch in which patches with landslides come twice."""
    order = training_order(patches.blocks(num_lanes), patches.copies(2), 0, 0, num_lanes)
    num_batches = -(-len(order) // batch_size)
    return [order.share(b, batch_size, rank, world_size) for b in range(num_batches)]


def datamodule(reader, residency, host_memory_gib=4.0, **reading):
    """Patches of the region, read by ``reader``."""
    region = Region(RegionData(reader, INPUTS, PARTS, SHAPE, WINDOWS), residency, host_memory_gib)
    sampling = Sampling(batch_size=7, oversample=2, num_lanes=4)
    return PatchDataModule(region, index(), INPUTS, CONTEXT_PX, sampling, Reading(**reading))


def assert_equal(batches, expected):
    """The same batches in the same order, bit for bit."""
    assert len(batches) == len(expected)
    for ours, theirs in zip(batches, expected, strict=True):
        assert ours.context_px == theirs.context_px
        assert ours.origin.tolist() == theirs.origin.tolist()
        np.testing.assert_array_equal(ours.target, theirs.target)
        assert list(ours.planes) == list(theirs.planes)
        for name, plane in theirs.planes.items():
            assert ours.planes[name].dtype == plane.dtype
            np.testing.assert_array_equal(ours.planes[name], plane)
